//! The lecture's jobs as a timeline: one line for each change in the queue since the last poll.

use std::collections::HashSet;
use std::fmt;

use uuid::Uuid;

use crate::snapshot::QueueSnapshot;

/// One line of the timeline.
#[derive(Debug, PartialEq)]
pub struct Entry {
    /// Seconds since the submission.
    pub at: f64,
    pub kind: String,
    pub attempt: Option<i32>,
    pub worker: Option<String>,
    pub text: String,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attempt = self.attempt.map(|attempt| format!("attempt {attempt}")).unwrap_or_default();
        let worker = self.worker.as_deref().unwrap_or_default();
        write!(f, "{:7.1} s  {:<10}  {attempt:<9}  {worker:<16}  {}", self.at.max(0.0), self.kind, self.text)
    }
}

/// Returns each change once.
#[derive(Default)]
pub struct Timeline {
    seen: HashSet<(Uuid, i32, Change)>,
}

/// The order is that of changes at the same moment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Change {
    Completed,
    Enqueued,
    Started,
    Failed,
    Waits,
    GivenUp,
}

impl Timeline {
    /// The changes since the last call, in order of time.
    pub fn changes(&mut self, snapshot: &QueueSnapshot) -> Vec<Entry> {
        let mut entries = Vec::new();
        for failure in &snapshot.failures {
            let text = format!("failed ({}): {}", failure.class, failure.message);
            entries.push((
                Change::Failed,
                failure.job_id,
                Entry {
                    at: failure.at,
                    kind: failure.kind.clone(),
                    attempt: Some(failure.attempt),
                    worker: failure.worker.clone(),
                    text,
                },
            ));
        }
        for job in &snapshot.jobs {
            let entry = |at: f64, attempt: i32, worker: Option<&String>, text: String| Entry {
                at,
                kind: job.kind.clone(),
                attempt: (attempt > 0).then_some(attempt),
                worker: worker.cloned(),
                text,
            };
            // The failure's own entry already gives the reason.
            let failed = snapshot
                .failures
                .iter()
                .any(|failure| (failure.job_id, failure.attempt) == (job.id, job.attempt));
            let reason = job
                .reason
                .as_ref()
                .filter(|_| !failed)
                .map(|reason| format!(": {reason}"))
                .unwrap_or_default();
            entries.push((Change::Enqueued, job.id, entry(job.created, 0, None, "enqueued".to_owned())));
            let Some(started) = job.started else { continue };
            entries.push((
                Change::Started,
                job.id,
                entry(started, job.attempt, job.worker.as_ref(), "started".to_owned()),
            ));
            if job.state == "available" && job.due > snapshot.now {
                let text = format!("next attempt in {:.1} s{reason}", job.due - snapshot.now);
                entries.push((Change::Waits, job.id, entry(snapshot.now, job.attempt, None, text)));
            }
            if let Some(ended) = job.ended {
                let (change, text) = match job.state.as_str() {
                    "completed" => (Change::Completed, format!("completed after {:.1} s", ended - started)),
                    state => (Change::GivenUp, format!("{state}{reason}")),
                };
                entries.push((change, job.id, entry(ended, job.attempt, job.worker.as_ref(), text)));
            }
        }
        entries.retain(|(change, job, entry)| {
            self.seen.insert((*job, entry.attempt.unwrap_or_default(), *change))
        });
        entries
            .sort_by(|(change, _, one), (other, _, two)| one.at.total_cmp(&two.at).then(change.cmp(other)));
        entries.into_iter().map(|(_, _, entry)| entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::snapshot::{Failure, Job};

    use super::*;

    fn job(state: &str, attempt: i32) -> Job {
        Job {
            id: Uuid::from_u128(1),
            kind: "download".to_owned(),
            state: state.to_owned(),
            attempt,
            errors: 0,
            crashes: 0,
            worker: Some("host:7".to_owned()),
            reason: None,
            created: 0.5,
            due: 0.5,
            started: (attempt > 0).then_some(1.0),
            ended: None,
        }
    }

    fn texts(timeline: &mut Timeline, now: f64, job: &Job, failures: &[Failure]) -> Vec<String> {
        let snapshot = QueueSnapshot { now, jobs: vec![job.clone()], failures: failures.to_vec() };
        timeline
            .changes(&snapshot)
            .into_iter()
            .map(|entry| format!("{:.1} {}", entry.at, entry.text))
            .collect()
    }

    #[test]
    fn each_change_appears_once_and_in_order() {
        let mut timeline = Timeline::default();
        assert_eq!(texts(&mut timeline, 0.6, &job("available", 0), &[]), ["0.5 enqueued"]);
        assert_eq!(texts(&mut timeline, 1.1, &job("running", 1), &[]), ["1.0 started"]);
        assert!(texts(&mut timeline, 1.2, &job("running", 1), &[]).is_empty());

        let failure = Failure {
            job_id: Uuid::from_u128(1),
            kind: "download".to_owned(),
            attempt: 1,
            at: 1.5,
            worker: None,
            class: "network".to_owned(),
            message: "the connection ended".to_owned(),
        };
        let reason = Some("the connection ended".to_owned());
        let failed = Job { due: 4.6, errors: 1, reason, ..job("available", 1) };
        let lines = texts(&mut timeline, 1.6, &failed, std::slice::from_ref(&failure));
        assert_eq!(lines, ["1.5 failed (network): the connection ended", "1.6 next attempt in 3.0 s"]);

        let done = Job { started: Some(4.6), ended: Some(6.0), ..job("completed", 2) };
        let lines = texts(&mut timeline, 6.1, &done, &[failure]);
        assert_eq!(lines, ["4.6 started", "6.0 completed after 1.4 s"]);
    }

    #[test]
    fn the_end_of_a_job_comes_before_its_successor() {
        let mut timeline = Timeline::default();
        let done = Job { ended: Some(2.0), ..job("completed", 1) };
        let next =
            Job { id: Uuid::from_u128(2), kind: "probe".to_owned(), created: 2.0, ..job("available", 0) };
        let snapshot = QueueSnapshot { now: 2.1, jobs: vec![done, next], failures: Vec::new() };
        let texts: Vec<String> =
            timeline.changes(&snapshot).into_iter().map(|entry| entry.kind + " " + &entry.text).collect();
        assert_eq!(texts[2..], ["download completed after 1.0 s", "probe enqueued"]);
    }
}
