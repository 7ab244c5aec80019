//! `bedel webhooks` against a fresh `bedel dev`, with a receiver on this machine.

use bedel_upstream::{Reply, Upstream};
use serde_json::Value;

use crate::dev::{started, stop};
use crate::program::{Project, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_arrives_at_a_local_receiver_and_again_on_request() {
    let receiver = Upstream::start().await;
    receiver.on("/hook", [Reply::json("{}")]);
    let project =
        Project::new().set("BEDEL_WEBHOOK_ALLOW", "127.0.0.1").set("CDCS_URL", "http://127.0.0.1:9/");
    let slots = "deliver-webhook=2";
    let dev = started(&project, project.command(&["dev", "--listen", "127.0.0.1:0", "--slots", slots]));
    let refused = project.run(&["webhooks", "add", "http://127.0.0.2:9000/"]).refused(1);
    assert!(refused.contains("not public") && refused.contains("BEDEL_WEBHOOK_ALLOW"), "{refused}");

    let added = project.run(&["webhooks", "add", &receiver.url("/hook"), "--json"]).ok();
    let added: Value = serde_json::from_str(&added).unwrap();
    let (id, secret) = (added["id"].as_str().unwrap(), added["secret"].as_str().unwrap());
    assert!(secret.starts_with("whsec_"));
    let listed = project.run(&["webhooks", "list"]).ok();
    assert!(listed.contains(id) && !listed.contains(secret), "{listed}");

    assert!(project.run(&["webhooks", "test", id]).ok().contains("is queued"));
    receiver.wait_for_requests("/hook", 1).await;
    let message = receiver.requests_to("/hook")[0].header("webhook-id").unwrap().to_owned();
    until("the log has the answer", || {
        let deliveries = project.run(&["webhooks", "deliveries", id]).ok();
        deliveries.contains(&message) && deliveries.contains("delivered") && deliveries.contains("200")
    });
    project.run(&["webhooks", "redeliver", &message, "--webhook", id]).ok();
    receiver.wait_for_requests("/hook", 2).await;
    assert_eq!(receiver.requests_to("/hook")[1].header("webhook-id"), Some(message.as_str()));

    let rotated = project.run(&["webhooks", "rotate", id]).ok();
    assert!(rotated.starts_with("whsec_") && rotated.trim() != secret);
    assert!(project.run(&["webhooks", "callback-secret"]).ok().starts_with("whsec_"));
    project.run(&["webhooks", "disable", id]).ok();
    assert!(project.run(&["webhooks", "test", id]).refused(1).contains("disabled"));
    project.run(&["webhooks", "enable", id]).ok();
    assert!(project.run(&["webhooks", "remove", id]).ok().contains("is removed"));
    assert!(!project.run(&["webhooks", "list"]).ok().contains(id));
    assert!(!dev.log().contains(secret.trim_start_matches("whsec_")));
    stop(dev);
}
