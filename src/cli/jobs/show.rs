//! Jobs as text for a terminal.

use bedel_queue::inspect::JobView;

use crate::cli::table::{self, Column};

const COLUMNS: [Column; 8] = [
    Column::whole("JOB"),
    Column::whole("KIND"),
    Column::state("STATE"),
    Column::whole("ATTEMPT").optional(),
    Column::whole("RUN AT").optional(),
    Column::whole("LECTURE").optional(),
    Column::text("WORKER").optional(),
    Column::text("REASON"),
];

const FAILURE_COLUMNS: [Column; 5] = [
    Column::whole("ATTEMPT"),
    Column::whole("FAILED AT"),
    Column::text("WORKER").optional(),
    Column::whole("CLASS"),
    Column::text("MESSAGE"),
];

/// One line per job.
pub(super) fn list(jobs: &[JobView]) -> String {
    let cells: Vec<_> = jobs.iter().map(line).collect();
    table::render(&COLUMNS, &cells)
}

fn line(job: &JobView) -> Vec<String> {
    vec![
        job.id.to_string(),
        job.kind.clone(),
        job.state.to_string(),
        attempts(job),
        table::time(job.run_at),
        job.subject.map_or_else(|| "-".to_owned(), |subject| subject.to_string()),
        job.worker.clone().unwrap_or_else(|| "-".to_owned()),
        job.reason.clone().unwrap_or_default(),
    ]
}

/// All about one job, then its failed attempts.
pub(super) fn story(job: &JobView) -> String {
    let mut rows: Vec<(&str, String)> = vec![
        ("job", job.id.to_string()),
        ("kind", format!("{} (queue {}, priority {})", job.kind, job.queue, job.priority)),
        ("state", job.state.to_string()),
        ("attempt", attempts(job)),
        ("args", job.args.to_string()),
    ];
    let mut also = |name, value: Option<String>| {
        if let Some(value) = value {
            rows.push((name, value));
        }
    };
    also("lecture", job.subject.map(|subject| subject.to_string()));
    also("progress", job.progress.map(|progress| format!("{:.0} %", progress * 100.0)));
    also("worker", job.worker.clone());
    also("created", Some(table::time(job.created_at)));
    also("run at", Some(table::time(job.run_at)));
    also("attempted", job.attempted_at.map(table::time));
    also("finalized", job.finalized_at.map(table::time));
    also("gives up", job.finalized_at.is_none().then(|| table::time(job.give_up_at)));
    also("reason", job.reason.clone());
    also("result", job.result.as_ref().map(ToString::to_string));
    let mut text = String::new();
    for (name, value) in rows {
        text.push_str(&format!("{name:<10} {}\n", table::clean(&value)));
    }
    if !job.failures.is_empty() {
        let cells: Vec<_> = job
            .failures
            .iter()
            .map(|failure| {
                vec![
                    failure.attempt.to_string(),
                    table::time(failure.failed_at),
                    failure.worker.clone().unwrap_or_else(|| "-".to_owned()),
                    failure.class.clone(),
                    failure.message.clone(),
                ]
            })
            .collect();
        text.push('\n');
        text.push_str(&table::render(&FAILURE_COLUMNS, &cells));
    }
    text
}

fn attempts(job: &JobView) -> String {
    let mut text = job.attempt.to_string();
    if job.errors > 0 {
        text.push_str(&format!(", {}/{} errors", job.errors, job.max_attempts));
    }
    if job.crashes > 0 {
        text.push_str(&format!(", {}/{} crashes", job.crashes, job.max_crashes));
    }
    text
}
