//! `/metrics`: requests of this process, and the queue's state from the database.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use bedel_jobs::webhook::receiver_group::ReceiverGroup;
use bedel_queue::{BreakerView, Depth, WorkerView, breakers, depths, workers};
use metrics::{describe_gauge, gauge};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::time::timeout;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::Problem;
use super::state::ApiState;
use crate::metrics::render;

/// Longest wait for the database. Then its metrics are left out.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(scrape))
}

/// Metrics for Prometheus
///
/// Requests of this process. For the whole installation: jobs of each kind, age of the oldest due job, number
/// of hosts and of receivers that are down, and time since each worker's heartbeat. Workers serve the metrics of their
/// attempts at their own address.
#[utoipa::path(
    get, path = "/metrics", tag = "health",
    responses((status = 200, description = "In the text format of Prometheus", body = String, content_type = "text/plain")),
)]
async fn scrape(State(state): State<ApiState>) -> Response {
    render(&state.scrape_cache.get_or_render(database_metrics(&state)).await)
}

/// Metrics of the database, as Prometheus text. The recorder lives for one scrape, so gauges of a dead worker
/// disappear.
async fn database_metrics(state: &ApiState) -> String {
    let snapshot = timeout(DATABASE_TIMEOUT, read(state)).await.ok().and_then(Result::ok);
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        if let Some(snapshot) = &snapshot {
            set_queue_gauges(&snapshot.depths);
            set_host_gauges(&snapshot.breakers);
            describe_gauge!("bedel_worker_silence_seconds", "Time since each worker's last heartbeat.");
            describe_gauge!("bedel_worker_running_jobs", "Jobs that each worker runs.");
            for worker in &snapshot.workers {
                set_worker_gauges(&worker.name, worker.silent_seconds, worker.running);
            }
        }
        describe_gauge!("bedel_database_up", "Whether the database answered.");
        gauge!("bedel_database_up").set(f64::from(u8::from(snapshot.is_some())));
    });
    recorder.handle().render()
}

struct Snapshot {
    depths: Vec<Depth>,
    breakers: Vec<BreakerView>,
    workers: Vec<WorkerView>,
}

async fn read(state: &ApiState) -> Result<Snapshot, Problem> {
    let mut connection = state.acquire().await?;
    Ok(Snapshot {
        depths: depths(&mut connection, &state.registry.kinds()).await?,
        breakers: breakers(&mut connection).await?,
        workers: workers(&mut connection).await?,
    })
}

fn set_queue_gauges(depths: &[Depth]) {
    describe_gauge!("bedel_jobs", "Live jobs of each kind; 10000 means that many or more.");
    describe_gauge!("bedel_oldest_due_job_age_seconds", "Age of the oldest due job of each kind.");
    for depth in depths {
        for (state, count) in [("due", depth.due), ("scheduled", depth.scheduled), ("running", depth.running)]
        {
            gauge!("bedel_jobs", "kind" => depth.kind.clone(), "state" => state).set(count as f64);
        }
        gauge!("bedel_oldest_due_job_age_seconds", "kind" => depth.kind.clone()).set(depth.oldest_seconds);
    }
}

/// The numbers of hosts and receivers, not their names: anybody may scrape.
fn set_host_gauges(breakers: &[BreakerView]) {
    let down = breakers.iter().filter(|breaker| breaker.opened_at.is_some());
    let (receivers, hosts): (Vec<_>, Vec<_>) =
        down.partition(|breaker| ReceiverGroup::parse(&breaker.group_key).is_some());
    describe_gauge!(
        "bedel_hosts_down",
        "Hosts that are down, with jobs waiting; 1000 means that many or more."
    );
    gauge!("bedel_hosts_down").set(hosts.len() as f64);
    describe_gauge!(
        "bedel_receivers_down",
        "Receivers of webhooks that are down, with messages waiting; 1000, with the hosts, means that many or more."
    );
    gauge!("bedel_receivers_down").set(receivers.len() as f64);
}

fn set_worker_gauges(name: &str, silent_seconds: f64, running: i64) {
    gauge!("bedel_worker_silence_seconds", "worker" => name.to_owned()).set(silent_seconds.max(0.0));
    gauge!("bedel_worker_running_jobs", "worker" => name.to_owned()).set(running as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || set_worker_gauges("a\"b\nc", 1.5, 2));
        let text = recorder.handle().render();
        assert!(text.contains("bedel_worker_silence_seconds{worker=\"a\\\"b\\nc\"} 1.5\n"), "{text}");
    }
}
