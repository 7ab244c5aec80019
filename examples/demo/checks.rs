//! Checks that the run went as planned.

use crate::snapshot::{Job, QueueSnapshot};
use crate::upstream::Upstream;

/// The four jobs of a lecture, in order.
const STAGES: [&str; 4] = ["submit", "download", "probe", "transcribe"];
/// Highest accepted word error rate, in percent.
pub const MAX_WORD_ERROR_RATE: f64 = 10.0;

/// Checks the final state of the queue and the requests to the upstream.
///
/// # Errors
/// The first difference from the plan.
pub fn check_run(snapshot: &QueueSnapshot, upstream: &Upstream) -> Result<(), String> {
    let kinds: Vec<&str> = snapshot.jobs.iter().map(|job| job.kind.as_str()).collect();
    if kinds != STAGES {
        return Err(format!("expected exactly one job per stage, found {}", kinds.join(", ")));
    }
    if let Some(job) = snapshot.jobs.iter().find(|job| job.state != "completed") {
        return Err(format!("the {} job is {}", job.kind, job.state));
    }
    let download = job(snapshot, "download")?;
    let unexpected = upstream.unexpected();
    if download.errors != 1 || !unexpected.is_empty() {
        return Err(format!(
            "expected one download error and one more fetch of the missing segments alone; found {} errors; \
             wrong number of requests: {}",
            download.errors,
            if unexpected.is_empty() { "none".to_owned() } else { unexpected.join(", ") }
        ));
    }
    let transcribe = job(snapshot, "transcribe")?;
    if (transcribe.attempt, transcribe.crashes, transcribe.errors) != (2, 1, 0) {
        return Err(format!(
            "expected one rescue of transcribe; found {} attempts, {} crashes and {} errors",
            transcribe.attempt, transcribe.crashes, transcribe.errors
        ));
    }
    Ok(())
}

fn job<'a>(snapshot: &'a QueueSnapshot, kind: &str) -> Result<&'a Job, String> {
    snapshot.job(kind).ok_or_else(|| format!("there is no {kind} job"))
}
