//! Wake-ups: NOTIFY on one channel.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::mpsc;

use crate::dedicated_connection::answered;
use crate::stale::note_stale;

/// The channel that workers listen on.
pub(crate) const CHANNEL: &str = "bedel_queue";

/// Payload: there is work, of any kind.
pub(super) const WORK: &str = "";

/// Payload: attempts were cancelled, so check now which ones still hold their lease.
pub(crate) const CANCELLED: &str = "cancelled";

/// Begins a payload: there is a job or a few, of these kinds, separated by commas. Programs of earlier versions take it as
/// any work.
const OF_KINDS: &str = "kinds:";

/// Longest payload with kinds. PostgreSQL's limit is 8,000 bytes.
const MAX_PAYLOAD: usize = 4000;

/// Which workers to wake.
#[derive(Debug, Default)]
pub(super) enum Wanted {
    #[default]
    None,
    /// Those with one of these kinds; of many, a few.
    Kinds(BTreeSet<&'static str>),
    All,
}

impl Wanted {
    pub(super) fn add_kind(&mut self, kind: &'static str) {
        match self {
            Self::None => *self = Self::Kinds(BTreeSet::from([kind])),
            Self::Kinds(kinds) => drop(kinds.insert(kind)),
            Self::All => {}
        }
    }

    fn payload(self) -> Option<String> {
        match self {
            Self::None => None,
            Self::All => Some(WORK.to_owned()),
            Self::Kinds(kinds) => {
                let kinds: Vec<_> = kinds.into_iter().collect();
                let payload = format!("{OF_KINDS}{}", kinds.join(","));
                // A comma in a kind's name would make two kinds of it.
                let fits = payload.len() <= MAX_PAYLOAD && !kinds.iter().any(|kind| kind.contains(','));
                Some(if fits { payload } else { WORK.to_owned() })
            }
        }
    }
}

/// What a notification means to a worker with some kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Attempts were cancelled.
    Cancelled,
    /// There is work, perhaps for everybody.
    Work,
    /// There are a few jobs of a kind of ours.
    FewJobs,
    /// There is work for others.
    Nothing,
}

/// Reads a payload. What it does not know is work.
pub(crate) fn meaning(payload: &str, is_ours: impl Fn(&str) -> bool) -> Meaning {
    match payload.strip_prefix(OF_KINDS) {
        Some(kinds) if kinds.split(',').any(is_ours) => Meaning::FewJobs,
        Some(_) => Meaning::Nothing,
        None if payload == CANCELLED => Meaning::Cancelled,
        None => Meaning::Work,
    }
}

/// A NOTIFY that is not answered in this time is sent again.
const NOTIFY_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends one NOTIFY in one round trip. Only use shows that an idle connection broke, so there is a second
/// try.
pub(super) async fn notify(wakes: &PgPool, payload: &str) -> Result<(), sqlx::Error> {
    if let Err(error) = notify_once(wakes, payload).await {
        note_stale(&error);
        notify_once(wakes, payload).await?;
    }
    Ok(())
}

async fn notify_once(wakes: &PgPool, payload: &str) -> Result<(), sqlx::Error> {
    let mut connection = wakes.acquire().await?;
    let statement = sqlx::query("-- queue::notify\nSELECT pg_notify($1, $2)").bind(CHANNEL).bind(payload);
    let answer = tokio::time::timeout(NOTIFY_TIMEOUT, statement.execute(&mut *connection)).await;
    answered(connection, answer).map(|_| ())
}

/// Sends one NOTIFY per signal, for all kinds wanted so far. Signals that arrive while it is sent become one more NOTIFY.
pub(super) fn spawn_work_sender(wakes: &PgPool, wanted: &Arc<Mutex<Wanted>>) -> mpsc::Sender<()> {
    let wanted = Arc::clone(wanted);
    spawn_sender(wakes, move || {
        std::mem::take(&mut *wanted.lock().unwrap_or_else(PoisonError::into_inner)).payload()
    })
}

/// Sends one NOTIFY per signal.
pub(super) fn spawn_cancel_sender(wakes: &PgPool) -> mpsc::Sender<()> {
    spawn_sender(wakes, || Some(CANCELLED.to_owned()))
}

fn spawn_sender(wakes: &PgPool, payload: impl Fn() -> Option<String> + Send + 'static) -> mpsc::Sender<()> {
    let (sender, mut signals) = mpsc::channel(1);
    let wakes = wakes.clone();
    tokio::spawn(async move {
        while signals.recv().await.is_some() {
            let Some(payload) = payload() else { continue };
            if let Err(error) = notify(&wakes, &payload).await {
                tracing::debug!(%error, "wake-up not sent; workers poll");
            }
        }
    });
    sender
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_wakes_those_who_know_a_kind_of_it() {
        let mut wanted = Wanted::default();
        wanted.add_kind("probe");
        wanted.add_kind("download");
        let payload = wanted.payload().unwrap();
        assert_eq!(payload, "kinds:download,probe");
        assert_eq!(meaning(&payload, |kind| kind == "probe"), Meaning::FewJobs);
        assert_eq!(meaning(&payload, |kind| kind == "prob"), Meaning::Nothing);
        assert_eq!(meaning("", |_| false), Meaning::Work);
        assert_eq!(meaning("cancelled", |_| true), Meaning::Cancelled);
        assert_eq!(meaning("of a later version", |_| false), Meaning::Work);
        let mut all = Wanted::All;
        all.add_kind("probe");
        assert_eq!(all.payload().as_deref(), Some(""));
        let odd = Wanted::Kinds(BTreeSet::from(["a,b"]));
        assert_eq!(odd.payload().as_deref(), Some(""));
    }
}
