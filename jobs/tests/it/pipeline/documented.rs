//! The table of policies in `docs/reference/jobs.md` matches the code.

use std::time::Duration;

use bedel_jobs::registry;

use super::harness::Harness;

#[tokio::test]
async fn the_documented_policies_are_those_of_the_code() {
    let harness = Harness::new().await;
    let policies = registry(harness.ctx.clone()).policies();
    let page = include_str!("../../../../docs/reference/jobs.md");
    let rows: Vec<Vec<&str>> = page
        .lines()
        .skip_while(|row| !row.starts_with("| kind | lane |"))
        .skip(2)
        .take_while(|row| row.starts_with('|'))
        .map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), policies.len(), "{rows:?}");
    for (kind, policy) in policies {
        let wanted = [
            format!("`{kind}`"),
            policy.queue.to_owned(),
            policy.max_attempts.to_string(),
            policy.max_crashes.to_string(),
            shown(policy.backoff.first),
            shown(policy.backoff.max),
            shown(policy.timeout),
            shown(policy.give_up_after),
        ];
        let row = rows
            .iter()
            .find(|row| row[0] == wanted[0])
            .unwrap_or_else(|| panic!("{kind} is not in the table"));
        assert_eq!(row[..wanted.len()], wanted, "{kind}");
    }
}

/// In the largest unit without a remainder.
fn shown(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        _ if seconds.is_multiple_of(3600) => format!("{} h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}
