//! Time from a kill until the jobs of that process are available, and started, again.

use crate::clock::now_ms;
use crate::error::FaultsError;
use crate::ledger::{Entry, What};
use crate::process::Kill;
use crate::report::Rescues;
use crate::round::Round;

/// Rescue times of the jobs that ran in the killed processes.
pub async fn rescues(round: &Round, kills: &[Kill]) -> Result<Rescues, FaultsError> {
    // The history uses the database's clock, the kill the machine's. Both advance alike.
    let database_ms: f64 =
        sqlx::query_scalar("-- rescue::clock\nSELECT extract(epoch FROM clock_timestamp())::float8 * 1000")
            .fetch_one(&round.pool)
            .await?;
    let ahead_ms = database_ms - now_ms() as f64;
    let mut available = Vec::new();
    for kill in kills {
        let rescued: Vec<f64> = sqlx::query_scalar(
            "-- rescue::rescues
             SELECT extract(epoch FROM failed_at)::float8 * 1000 FROM queue.failed_attempts
              WHERE class = 'crashed' AND worker = $1",
        )
        .bind(&kill.name)
        .fetch_all(&round.pool)
        .await?;
        available.extend(rescued.into_iter().map(|at_ms| (at_ms - ahead_ms) as i64 - kill.at_ms));
    }
    Ok(Rescues { available, started: started_again(&round.ledger()?, kills) })
}

fn started_again(ledger: &[Entry], kills: &[Kill]) -> Vec<i64> {
    let mut rescues = Vec::new();
    for kill in kills {
        for started in ledger.iter().filter(|entry| entry.pid == kill.pid && entry.what == What::Start) {
            let ended = ledger.iter().any(|entry| entry.lease == started.lease && entry.what == What::End);
            let again = ledger.iter().find(|entry| {
                entry.job == started.job
                    && entry.what == What::Start
                    && entry.lease != started.lease
                    && entry.at_ms >= kill.at_ms
            });
            if let (false, Some(again)) = (ended, again) {
                rescues.push(again.at_ms - kill.at_ms);
            }
        }
    }
    rescues
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_rescue_is_measured_from_the_kill_to_the_next_start_of_what_it_ended() {
        let (job, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let entry = |at_ms, pid, job, lease, what| Entry {
            at_ms,
            pid,
            job,
            lease: Uuid::from_u128(lease),
            attempt: 1,
            what,
        };
        let ledger = [
            entry(0, 7, job, 10, What::Start),
            entry(0, 7, other, 11, What::Start),
            entry(5, 7, other, 11, What::End),
            entry(1300, 8, job, 12, What::Start),
            entry(1400, 8, other, 13, What::Start),
        ];
        let kill = |pid| Kill { pid, name: String::new(), at_ms: 100 };
        assert_eq!(started_again(&ledger, &[kill(7)]), [1200]);
        assert_eq!(started_again(&ledger, &[kill(9)]), [0_i64; 0]);
    }
}
