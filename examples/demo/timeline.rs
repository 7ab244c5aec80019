//! The lecture's jobs as a timeline: what changed in the queue since the last look, one line each.

use std::collections::HashSet;
use std::fmt;

use sqlx::{FromRow, PgPool};
use uuid::Uuid;

/// One job of the lecture. Times are in seconds since the submission, by the database's clock.
#[derive(Debug, Clone, FromRow)]
pub struct Job {
    pub id: Uuid,
    pub kind: String,
    pub state: String,
    pub attempt: i32,
    pub errors: i32,
    pub crashes: i32,
    pub worker: Option<String>,
    pub reason: Option<String>,
    pub created: f64,
    pub due: f64,
    pub started: Option<f64>,
    pub ended: Option<f64>,
}

/// One failed attempt of such a job.
#[derive(Debug, Clone, FromRow)]
pub struct Failure {
    pub job_id: Uuid,
    pub kind: String,
    pub attempt: i32,
    pub at: f64,
    pub worker: Option<String>,
    pub class: String,
    pub message: String,
}

/// What the queue holds about the lecture.
#[derive(Debug, Default)]
pub struct Story {
    /// Seconds since the submission.
    pub now: f64,
    /// In the order in which they were enqueued.
    pub jobs: Vec<Job>,
    /// In the order in which they happened.
    pub failures: Vec<Failure>,
}

impl Story {
    /// Reads the story of one lecture.
    pub async fn read(pool: &PgPool, lecture: Uuid) -> Result<Self, sqlx::Error> {
        let mut connection = pool.acquire().await?;
        let jobs = sqlx::query_as(
            "-- demo::jobs
             SELECT job.id, kind, state::text AS state, attempt, errors, crashes, worker, reason,
                    extract(epoch FROM job.created_at - lecture.created_at)::float8 AS created,
                    extract(epoch FROM run_at - lecture.created_at)::float8 AS due,
                    extract(epoch FROM attempted_at - lecture.created_at)::float8 AS started,
                    extract(epoch FROM finalized_at - lecture.created_at)::float8 AS ended
             FROM queue.jobs AS job JOIN lectures AS lecture ON lecture.id = subject
             WHERE subject = $1 ORDER BY job.id",
        )
        .bind(lecture)
        .fetch_all(&mut *connection)
        .await?;
        let failures = sqlx::query_as(
            "-- demo::failures
             SELECT job_id, kind, failed.attempt, failed.worker, class, message,
                    extract(epoch FROM failed_at - lecture.created_at)::float8 AS at
             FROM queue.jobs AS job
             JOIN lectures AS lecture ON lecture.id = subject
             JOIN queue.failed_attempts AS failed ON failed.job_id = job.id
             WHERE subject = $1 ORDER BY failed_at",
        )
        .bind(lecture)
        .fetch_all(&mut *connection)
        .await?;
        let now = sqlx::query_scalar(
            "-- demo::now
             SELECT extract(epoch FROM clock_timestamp() - created_at)::float8 FROM lectures WHERE id = $1",
        )
        .bind(lecture)
        .fetch_one(&mut *connection)
        .await?;
        Ok(Self { now, jobs, failures })
    }

    /// The lecture's job of one kind, once there is one.
    pub fn job(&self, kind: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.kind == kind)
    }
}

/// One line.
#[derive(Debug, PartialEq)]
pub struct Line {
    /// Seconds since the submission.
    pub at: f64,
    pub kind: String,
    pub attempt: Option<i32>,
    pub worker: Option<String>,
    pub what: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attempt = self.attempt.map(|attempt| format!("attempt {attempt}")).unwrap_or_default();
        let worker = self.worker.as_deref().unwrap_or_default();
        write!(f, "{:7.1} s  {:<10}  {attempt:<9}  {worker:<16}  {}", self.at.max(0.0), self.kind, self.what)
    }
}

/// Tells each change once.
#[derive(Default)]
pub struct Timeline {
    told: HashSet<(Uuid, i32, Change)>,
}

/// In the order in which changes of the same moment happened.
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
    /// The changes since the last call, in the order in which they happened.
    pub fn changes(&mut self, story: &Story) -> Vec<Line> {
        let mut lines = Vec::new();
        for failure in &story.failures {
            let what = format!("failed ({}): {}", failure.class, failure.message);
            lines.push((
                Change::Failed,
                failure.job_id,
                Line {
                    at: failure.at,
                    kind: failure.kind.clone(),
                    attempt: Some(failure.attempt),
                    worker: failure.worker.clone(),
                    what,
                },
            ));
        }
        for job in &story.jobs {
            let line = |at: f64, attempt: i32, worker: Option<&String>, what: String| Line {
                at,
                kind: job.kind.clone(),
                attempt: (attempt > 0).then_some(attempt),
                worker: worker.cloned(),
                what,
            };
            // The failure's own line says why already.
            let failed = story
                .failures
                .iter()
                .any(|failure| (failure.job_id, failure.attempt) == (job.id, job.attempt));
            let why = job
                .reason
                .as_ref()
                .filter(|_| !failed)
                .map(|reason| format!(": {reason}"))
                .unwrap_or_default();
            lines.push((Change::Enqueued, job.id, line(job.created, 0, None, "enqueued".to_owned())));
            let Some(started) = job.started else { continue };
            lines.push((
                Change::Started,
                job.id,
                line(started, job.attempt, job.worker.as_ref(), "started".to_owned()),
            ));
            if job.state == "available" && job.due > story.now {
                let what = format!("next attempt in {:.1} s{why}", job.due - story.now);
                lines.push((Change::Waits, job.id, line(story.now, job.attempt, None, what)));
            }
            if let Some(ended) = job.ended {
                let (change, what) = match job.state.as_str() {
                    "completed" => (Change::Completed, format!("completed after {:.1} s", ended - started)),
                    state => (Change::GivenUp, format!("{state}{why}")),
                };
                lines.push((change, job.id, line(ended, job.attempt, job.worker.as_ref(), what)));
            }
        }
        lines.retain(|(change, job, line)| {
            self.told.insert((*job, line.attempt.unwrap_or_default(), *change))
        });
        lines.sort_by(|(change, _, one), (other, _, two)| one.at.total_cmp(&two.at).then(change.cmp(other)));
        lines.into_iter().map(|(_, _, line)| line).collect()
    }
}

#[cfg(test)]
mod tests {
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

    fn told(timeline: &mut Timeline, now: f64, job: &Job, failures: &[Failure]) -> Vec<String> {
        let story = Story { now, jobs: vec![job.clone()], failures: failures.to_vec() };
        timeline.changes(&story).into_iter().map(|line| format!("{:.1} {}", line.at, line.what)).collect()
    }

    #[test]
    fn each_change_is_told_once_and_in_order() {
        let mut timeline = Timeline::default();
        assert_eq!(told(&mut timeline, 0.6, &job("available", 0), &[]), ["0.5 enqueued"]);
        assert_eq!(told(&mut timeline, 1.1, &job("running", 1), &[]), ["1.0 started"]);
        assert!(told(&mut timeline, 1.2, &job("running", 1), &[]).is_empty());

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
        let lines = told(&mut timeline, 1.6, &failed, std::slice::from_ref(&failure));
        assert_eq!(lines, ["1.5 failed (network): the connection ended", "1.6 next attempt in 3.0 s"]);

        let done = Job { started: Some(4.6), ended: Some(6.0), ..job("completed", 2) };
        let lines = told(&mut timeline, 6.1, &done, &[failure]);
        assert_eq!(lines, ["4.6 started", "6.0 completed after 1.4 s"]);
    }

    #[test]
    fn what_ends_a_job_comes_before_its_end_and_its_successor_after() {
        let mut timeline = Timeline::default();
        let done = Job { ended: Some(2.0), ..job("completed", 1) };
        let next =
            Job { id: Uuid::from_u128(2), kind: "probe".to_owned(), created: 2.0, ..job("available", 0) };
        let story = Story { now: 2.1, jobs: vec![done, next], failures: Vec::new() };
        let told: Vec<String> =
            timeline.changes(&story).into_iter().map(|line| line.kind + " " + &line.what).collect();
        assert_eq!(told[2..], ["download completed after 1.0 s", "probe enqueued"]);
    }
}
