//! Upload sizes and rate limits.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderValue, StatusCode, header};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use uuid::Uuid;

use super::problem::Problem;

/// Idle users are dropped after this many requests.
const REQUESTS_PER_CLEANUP: u32 = 1024;

/// Upload sizes and rate limits. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest audio upload, in bytes.
    pub max_audio_bytes: u64,
    /// Largest document upload, in bytes.
    pub max_document_bytes: u64,
    /// None without a rate limit.
    rate: Option<Arc<Rate>>,
    /// Open event streams by user.
    streams: Arc<Mutex<HashMap<Uuid, usize>>>,
}

/// Open event streams per user and process. Each open tab of the pages has one.
const MAX_STREAMS: usize = 100;

/// An open event stream; it counts until it is dropped.
#[derive(Debug)]
pub(crate) struct StreamSlot {
    user_id: Uuid,
    streams: Arc<Mutex<HashMap<Uuid, usize>>>,
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = streams.get_mut(&self.user_id) {
            *open -= 1;
            if *open == 0 {
                streams.remove(&self.user_id);
            }
        }
    }
}

#[derive(Debug)]
struct Rate {
    limiter: DefaultKeyedRateLimiter<Uuid>,
    /// Highest cost of one call: a user's burst.
    burst: NonZeroU32,
    requests: AtomicU32,
}

impl Limits {
    /// `per_minute` is the number of submissions and uploads per user, as a rate and as a burst; 0 means
    /// unlimited. Each process counts on its own.
    #[must_use]
    pub fn new(max_audio_bytes: u64, max_document_bytes: u64, per_minute: u32) -> Self {
        let rate = NonZeroU32::new(per_minute).map(|burst| {
            let limiter = DefaultKeyedRateLimiter::keyed(Quota::per_minute(burst));
            Arc::new(Rate { limiter, burst, requests: AtomicU32::new(0) })
        });
        Self { max_audio_bytes, max_document_bytes, rate, streams: Arc::default() }
    }

    /// Opens another event stream for `user_id`, or refuses it.
    pub(crate) fn open_stream(&self, user_id: Uuid) -> Result<StreamSlot, Problem> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let open = streams.entry(user_id).or_default();
        if *open >= MAX_STREAMS {
            let detail = format!("You have {MAX_STREAMS} open event streams. Close one first.");
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail)
                .with_header(header::RETRY_AFTER, HeaderValue::from_static("10")));
        }
        *open += 1;
        Ok(StreamSlot { user_id, streams: Arc::clone(&self.streams) })
    }

    /// Admits a request that costs `cost` submissions, or says when to retry.
    pub(crate) fn admit(&self, user_id: Uuid, cost: NonZeroU32) -> Result<(), Problem> {
        let Some(rate) = &self.rate else { return Ok(()) };
        if rate.requests.fetch_add(1, Ordering::Relaxed) % REQUESTS_PER_CLEANUP == 0 {
            rate.limiter.retain_recent();
        }
        // A cost above the burst is cut to the burst, or it could never pass.
        let Ok(Err(not_until)) = rate.limiter.check_key_n(&user_id, cost.min(rate.burst)) else {
            return Ok(());
        };
        let wait = not_until.wait_time_from(DefaultClock::default().now());
        let seconds = wait.as_secs() + 1;
        let detail = format!("Too many submissions. Send the rest in {seconds} seconds.");
        Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail)
            .with_header(header::RETRY_AFTER, HeaderValue::from(seconds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: NonZeroU32 = NonZeroU32::MIN;

    #[test]
    fn each_user_has_a_limit_of_their_own() {
        let limits = Limits::new(1, 1, 3);
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        for _ in 0..3 {
            limits.admit(one, ONE).expect("within the limit");
        }
        let refused = limits.admit(one, ONE).expect_err("beyond it");
        assert_eq!((refused.status, refused.code), (StatusCode::TOO_MANY_REQUESTS, "rate_limited"));
        limits.admit(other, NonZeroU32::new(100).unwrap()).expect("all there is, at once");
        limits.admit(other, ONE).expect_err("nothing is left");
    }

    #[test]
    fn streams_are_counted_while_they_are_open() {
        let limits = Limits::new(1, 1, 0);
        let user = Uuid::from_u128(1);
        let open: Vec<_> =
            (0..MAX_STREAMS).map(|_| limits.open_stream(user).expect("within the limit")).collect();
        assert!(limits.open_stream(user).is_err());
        assert!(limits.open_stream(Uuid::from_u128(2)).is_ok());
        drop(open);
        assert!(limits.open_stream(user).is_ok() && limits.streams.lock().unwrap().is_empty());
    }

    #[test]
    fn no_limit_is_no_limit() {
        let limits = Limits::new(1, 1, 0);
        for _ in 0..10_000 {
            limits.admit(Uuid::nil(), ONE).expect("anything");
        }
    }
}
