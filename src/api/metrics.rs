//! `/metrics`: this process's requests, and the queue as the database tells it.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use bedel_queue::{BreakerView, Depth, WorkerView, breakers, depths, workers};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::problem::Problem;
use crate::metrics;

/// Longest wait for the database; without it the rest is told.
const DATABASE_WITHIN: Duration = Duration::from_secs(2);

/// What was told is told again for so long.
const GOOD_FOR: Duration = Duration::from_secs(2);

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(tell))
}

/// Metrics for Prometheus
///
/// Requests of this process; and of the whole installation the jobs of each kind, the age of the oldest that is due, the number of
/// hosts that are down, and each worker's silence. Attempts are told by the workers, at their own address.
#[utoipa::path(
    get, path = "/metrics", tag = "health",
    responses((status = 200, description = "In the text format of Prometheus", body = String, content_type = "text/plain")),
)]
async fn tell(State(state): State<ApiState>) -> Response {
    metrics::render(&state.told.of_the_database(&state).await)
}

/// What the database told last. Anybody may ask, so it is asked once for all who do within a few seconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Told(Arc<Mutex<Option<(Instant, String)>>>);

impl Told {
    async fn of_the_database(&self, state: &ApiState) -> String {
        let mut told = self.0.lock().await;
        if let Some((_, text)) = told.as_ref().filter(|(when, _)| when.elapsed() < GOOD_FOR) {
            return text.clone();
        }
        let found = timeout(DATABASE_WITHIN, look(state)).await;
        let mut text = String::new();
        let up = matches!(found, Ok(Ok(_)));
        if let Ok(Ok(found)) = found {
            queue(&mut text, &found.depths);
            hosts(&mut text, &found.breakers);
            fleet(&mut text, &found.workers);
        }
        head(&mut text, "bedel_database_up", "Whether the database answered.");
        line(&mut text, "bedel_database_up", &[], f64::from(u8::from(up)));
        told.replace((Instant::now(), text.clone()));
        text
    }
}

/// What the database tells.
struct Found {
    depths: Vec<Depth>,
    breakers: Vec<BreakerView>,
    workers: Vec<WorkerView>,
}

async fn look(state: &ApiState) -> Result<Found, Problem> {
    let mut connection = state.acquire().await?;
    Ok(Found {
        depths: depths(&mut connection, &state.registry.kinds()).await?,
        breakers: breakers(&mut connection).await?,
        workers: workers(&mut connection).await?,
    })
}

fn queue(text: &mut String, depths: &[Depth]) {
    head(text, "bedel_jobs", "Live jobs of each kind; 10000 stands for that many or more.");
    for depth in depths {
        for (state, count) in [("due", depth.due), ("scheduled", depth.scheduled), ("running", depth.running)]
        {
            line(text, "bedel_jobs", &[("kind", &depth.kind), ("state", state)], count as f64);
        }
    }
    head(
        text,
        "bedel_oldest_due_job_age_seconds",
        "For how long the oldest due job of each kind has waited.",
    );
    for depth in depths {
        line(text, "bedel_oldest_due_job_age_seconds", &[("kind", &depth.kind)], depth.oldest_seconds);
    }
}

/// How many, but not which: anybody may ask.
fn hosts(text: &mut String, breakers: &[BreakerView]) {
    let down = breakers.iter().filter(|breaker| breaker.opened_at.is_some()).count();
    head(
        text,
        "bedel_hosts_down",
        "Hosts whose jobs wait until they answer again; 1000 stands for that many or more.",
    );
    line(text, "bedel_hosts_down", &[], down as f64);
}

fn fleet(text: &mut String, workers: &[WorkerView]) {
    head(text, "bedel_worker_silence_seconds", "Time since each worker's last heartbeat.");
    for worker in workers {
        let silent = worker.silent_seconds.max(0.0);
        line(text, "bedel_worker_silence_seconds", &[("worker", &worker.name)], silent);
    }
    head(text, "bedel_worker_running_jobs", "Jobs that each worker runs.");
    for worker in workers {
        line(text, "bedel_worker_running_jobs", &[("worker", &worker.name)], worker.running as f64);
    }
}

fn head(text: &mut String, name: &str, help: &str) {
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge").expect("writing to a string cannot fail");
}

fn line(text: &mut String, name: &str, labels: &[(&str, &str)], value: f64) {
    let labels: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    writeln!(text, "{name}{labels} {value}").expect("writing to a string cannot fail");
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_cannot_break_out_of_their_line() {
        let mut text = String::new();
        line(&mut text, "x", &[("worker", "a\"b\\\nc"), ("kind", "k")], 1.5);
        assert_eq!(text, "x{worker=\"a\\\"b\\\\\\nc\",kind=\"k\"} 1.5\n");
    }
}
