//! Reads what the open streams follow: less than two statements a second, however many there are.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::Event;
use bedel_jobs::lecture::watch::{self, Watched};
use tokio::time::{MissedTickBehavior, interval, timeout};
use uuid::Uuid;

use super::changes::{of_lectures, of_queue, signal};
use super::queue_state::QueueState;
use super::streams::Shared;
use super::subscriber::Subscriber;
use crate::api::auth::sessions::SessionId;

/// Time between two rounds. Each reads the lectures.
const ROUND: Duration = Duration::from_millis(900);

/// Every second round reads the queue.
const ROUNDS_PER_QUEUE: u64 = 2;

/// Every tenth round checks the sessions.
const ROUNDS_PER_SESSION_CHECK: u64 = 10;

/// Longest wait for the database in a round.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What one round reads.
#[derive(Debug, Default)]
struct Targets {
    pairs: Vec<(Uuid, Uuid)>,
    users: Vec<Uuid>,
    jobs: Vec<Uuid>,
    follows_queue: bool,
    sessions: Vec<SessionId>,
}

/// What one round read.
#[derive(Debug, Default)]
struct Round {
    lectures: Option<Watched>,
    queue: Option<Arc<QueueState>>,
    live_sessions: Option<HashSet<SessionId>>,
}

/// Lets the next stream start another poller if this one panics.
struct Polling(Arc<Shared>);

impl Drop for Polling {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.streams().is_polled = false;
        }
    }
}

/// Runs until the last stream closes or the process stops.
pub(super) async fn run(shared: Arc<Shared>) {
    let _polling = Polling(Arc::clone(&shared));
    let mut rounds = interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_away = false;
    for number in 0_u64.. {
        tokio::select! { _ = rounds.tick() => {}, () = shared.stop.cancelled() => return }
        let Some(targets) = targets(&shared) else { return };
        let round = timeout(TIMEOUT, read(&shared, &targets, number)).await;
        match round.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
            Ok(round) => {
                is_away &= round.lectures.is_none() && round.queue.is_none();
                deliver(&shared, &round);
            }
            Err(error) => {
                bedel_queue::note_stale(&error);
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
        // What changes until the next stream opens is not seen.
        streams.queue = None;
        return None;
    }
    let (mut pairs, mut users, mut jobs) = (HashSet::new(), HashSet::new(), HashSet::new());
    let mut targets = Targets::default();
    let mut sessions = HashSet::new();
    for subscriber in streams.open.values_mut() {
        subscriber.is_polled = true;
        let user_id = subscriber.session.caller.user_id;
        pairs.extend(subscriber.lectures.keys().map(|lecture| (user_id, *lecture)));
        users.extend(subscriber.topics.list.then_some(user_id));
        jobs.extend(&subscriber.topics.jobs);
        targets.follows_queue |= subscriber.topics.follows_queue();
        sessions.insert(subscriber.session.id);
    }
    if !targets.follows_queue {
        // What changes until it is followed again is not seen.
        streams.queue = None;
    }
    targets.pairs = pairs.into_iter().collect();
    targets.users = users.into_iter().collect();
    targets.jobs = jobs.into_iter().collect();
    targets.sessions = sessions.into_iter().collect();
    Some(targets)
}

/// One statement each for lectures, the queue and sessions, if it is their turn.
async fn read(shared: &Shared, targets: &Targets, number: u64) -> Result<Round, sqlx::Error> {
    let mut connection = shared.pool.acquire().await?;
    let mut round = Round::default();
    if !targets.pairs.is_empty() || !targets.users.is_empty() {
        round.lectures = Some(watch::read(&mut connection, &targets.pairs, &targets.users).await?);
    }
    if targets.follows_queue && number.is_multiple_of(ROUNDS_PER_QUEUE) {
        let (jobs, pulse) = bedel_queue::watch(&mut connection, &targets.jobs).await?;
        let jobs = jobs.into_iter().map(|job| (job.id, job)).collect();
        round.queue = Some(Arc::new(QueueState { pulse, jobs }));
    }
    if (number + 1).is_multiple_of(ROUNDS_PER_SESSION_CHECK) {
        let live = shared.authenticator.live_sessions(&mut connection, &targets.sessions).await?;
        round.live_sessions = Some(live);
    }
    Ok(round)
}

fn deliver(shared: &Shared, round: &Round) {
    let version = round.queue.as_ref().map(|read| shared.streams().keep(Arc::clone(read)));
    for_each(shared, |subscriber| {
        if !subscriber.is_polled {
            // It opened while the round ran.
            return Some(Vec::new());
        }
        if round.live_sessions.as_ref().is_some_and(|live| !live.contains(&subscriber.session.id)) {
            // The page reloads, which leads to the sign-in page.
            let _ = subscriber.sender.try_send(signal("signed-out"));
            return None;
        }
        let mut events = Vec::new();
        let is_read =
            if subscriber.topics.follows_queue() { round.queue.is_some() } else { round.lectures.is_some() };
        if is_read && std::mem::take(&mut subscriber.is_away) {
            events.push(signal("healed"));
        }
        if let Some(lectures) = &round.lectures {
            events.extend(of_lectures(subscriber, lectures));
        }
        if let (Some(queue), Some(version), true) = (&round.queue, version, subscriber.topics.follows_queue())
        {
            events.extend(of_queue(subscriber, queue, version));
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
