//! Reads what the open streams follow: at most two statements a second, however many there are.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::Event;
use bedel_jobs::lecture::watch::{self, Watched};
use bedel_queue::{Pulse, WatchedJob};
use tokio::time::{MissedTickBehavior, interval, timeout};
use uuid::Uuid;

use super::changes::{of_jobs, of_lectures, signal};
use super::streams::Shared;
use super::subscriber::Subscriber;
use crate::api::auth::sessions::SessionId;

/// Time between two rounds.
const ROUND: Duration = Duration::from_secs(1);

/// Every tenth round checks the sessions and skips the jobs.
const ROUNDS_PER_SESSION_CHECK: u64 = 10;

/// Longest wait for the database in a round.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What one round reads.
#[derive(Debug, Default)]
struct Targets {
    pairs: Vec<(Uuid, Uuid)>,
    users: Vec<Uuid>,
    jobs: Vec<Uuid>,
    follows_jobs: bool,
    sessions: Vec<SessionId>,
}

/// What one round read.
#[derive(Debug, Default)]
struct Round {
    lectures: Option<Watched>,
    jobs: Option<(Vec<WatchedJob>, Pulse)>,
    live_sessions: Option<HashSet<SessionId>>,
}

/// Runs until the last stream closes or the process stops.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut rounds = interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_away = false;
    for number in 1_u64.. {
        tokio::select! { _ = rounds.tick() => {}, () = shared.stop.cancelled() => return }
        let Some(targets) = targets(&shared) else { return };
        let checks_sessions = number.is_multiple_of(ROUNDS_PER_SESSION_CHECK);
        let round = timeout(TIMEOUT, read(&shared, &targets, checks_sessions)).await;
        match round.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
            Ok(round) => {
                is_away = false;
                deliver(&shared, &round);
            }
            Err(error) => {
                if !std::mem::replace(&mut is_away, true) {
                    tracing::warn!(%error, "live updates pause until the database answers");
                }
                for_each(&shared, |subscriber| {
                    let is_news = !std::mem::replace(&mut subscriber.is_away, true);
                    Some(if is_news { vec![signal("outage")] } else { Vec::new() })
                });
            }
        }
    }
}

/// What the open streams follow. `None` without any: the poller then ends.
fn targets(shared: &Shared) -> Option<Targets> {
    let mut streams = shared.streams();
    if streams.open.is_empty() {
        streams.is_polled = false;
        return None;
    }
    let (mut pairs, mut users, mut jobs) = (HashSet::new(), HashSet::new(), HashSet::new());
    let mut targets = Targets::default();
    let mut sessions = HashSet::new();
    for subscriber in streams.open.values_mut() {
        subscriber.is_polled = true;
        pairs.extend(subscriber.lectures.keys().map(|lecture| (subscriber.user_id, *lecture)));
        users.extend(subscriber.list.then_some(subscriber.user_id));
        jobs.extend(subscriber.jobs.keys().copied());
        targets.follows_jobs |= subscriber.follows_jobs();
        sessions.insert(subscriber.session);
    }
    targets.pairs = pairs.into_iter().collect();
    targets.users = users.into_iter().collect();
    targets.jobs = jobs.into_iter().collect();
    targets.sessions = sessions.into_iter().collect();
    Some(targets)
}

/// One statement for lectures, and one for jobs or sessions.
async fn read(shared: &Shared, targets: &Targets, checks_sessions: bool) -> Result<Round, sqlx::Error> {
    let mut connection = shared.pool.acquire().await?;
    let mut round = Round::default();
    if !targets.pairs.is_empty() || !targets.users.is_empty() {
        round.lectures = Some(watch::read(&mut connection, &targets.pairs, &targets.users).await?);
    }
    if checks_sessions {
        let live = shared.authenticator.live_sessions(&mut connection, &targets.sessions).await?;
        round.live_sessions = Some(live);
    } else if targets.follows_jobs {
        round.jobs = Some(bedel_queue::watch(&mut connection, &targets.jobs).await?);
    }
    Ok(round)
}

fn deliver(shared: &Shared, round: &Round) {
    for_each(shared, |subscriber| {
        if !subscriber.is_polled {
            // It opened while the round ran.
            return Some(Vec::new());
        }
        if round.live_sessions.as_ref().is_some_and(|live| !live.contains(&subscriber.session)) {
            // The page reloads, which leads to the sign-in page.
            let _ = subscriber.sender.try_send(signal("signed-out"));
            return None;
        }
        let mut events = Vec::new();
        if std::mem::take(&mut subscriber.is_away) {
            events.push(signal("healed"));
        }
        if let Some(lectures) = &round.lectures {
            events.extend(of_lectures(subscriber, lectures));
        }
        if let Some((jobs, pulse)) = &round.jobs {
            events.extend(of_jobs(subscriber, jobs, pulse));
        }
        Some(events)
    });
}

/// Sends each stream its events. A stream without an answer, or too slow for its events, is closed.
fn for_each(shared: &Shared, mut events: impl FnMut(&mut Subscriber) -> Option<Vec<Event>>) {
    shared.streams().open.retain(|_, subscriber| {
        events(subscriber)
            .is_some_and(|events| events.into_iter().all(|event| subscriber.sender.try_send(event).is_ok()))
    });
}
