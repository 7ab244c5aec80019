//! How much of a thing is accepted, and how often.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderValue, StatusCode, header};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use uuid::Uuid;

use super::problem::Problem;

/// Users that have been quiet are forgotten after so many questions.
const FORGET_EVERY: u32 = 1024;

/// How much of a thing is accepted, and how often. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest recording that can be uploaded, in bytes.
    pub max_audio_bytes: u64,
    /// Largest document that can be uploaded, in bytes.
    pub max_document_bytes: u64,
    /// None where anybody may hand in as much as they like.
    rate: Option<Arc<Rate>>,
    /// Streams of events that are open, by user.
    followers: Arc<Mutex<HashMap<Uuid, usize>>>,
}

/// Streams of events that a user may have open at each process.
const MAX_STREAMS: usize = 20;

/// One stream of a user's; it counts until it is dropped.
#[derive(Debug)]
pub(super) struct Following {
    user_id: Uuid,
    followers: Arc<Mutex<HashMap<Uuid, usize>>>,
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = followers.get_mut(&self.user_id) {
            *open -= 1;
            if *open == 0 {
                followers.remove(&self.user_id);
            }
        }
    }
}

#[derive(Debug)]
struct Rate {
    limiter: DefaultKeyedRateLimiter<Uuid>,
    /// The most that one call may cost: what a user may hand in at once.
    burst: NonZeroU32,
    asked: AtomicU32,
}

impl Limits {
    /// `per_minute` is how many submissions and uploads a user may send each minute, and at once; 0 stands for any number. Each
    /// process counts by itself.
    #[must_use]
    pub fn new(max_audio_bytes: u64, max_document_bytes: u64, per_minute: u32) -> Self {
        let rate = NonZeroU32::new(per_minute).map(|burst| {
            let limiter = DefaultKeyedRateLimiter::keyed(Quota::per_minute(burst));
            Arc::new(Rate { limiter, burst, asked: AtomicU32::new(0) })
        });
        Self { max_audio_bytes, max_document_bytes, rate, followers: Arc::default() }
    }

    /// Lets `user_id` follow one lecture more, or says that there are enough.
    pub(super) fn follow(&self, user_id: Uuid) -> Result<Following, Problem> {
        let mut followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
        let open = followers.entry(user_id).or_default();
        if *open >= MAX_STREAMS {
            let detail =
                format!("You follow {MAX_STREAMS} lectures already. Close one of these streams first.");
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail)
                .with_header(header::RETRY_AFTER, HeaderValue::from_static("10")));
        }
        *open += 1;
        Ok(Following { user_id, followers: Arc::clone(&self.followers) })
    }

    /// Lets `user_id` hand in something that counts as `cost` submissions, or says when to come again.
    pub(super) fn admit(&self, user_id: Uuid, cost: NonZeroU32) -> Result<(), Problem> {
        let Some(rate) = &self.rate else { return Ok(()) };
        if rate.asked.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == 0 {
            rate.limiter.retain_recent();
        }
        // Whatever costs more than all there is costs all there is.
        let Ok(Err(not_until)) = rate.limiter.check_key_n(&user_id, cost.min(rate.burst)) else {
            return Ok(());
        };
        let wait = not_until.wait_time_from(DefaultClock::default().now());
        let seconds = wait.as_secs() + 1;
        let detail = format!("You are sending too much at once. Send the rest in {seconds} seconds.");
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
        let open: Vec<_> = (0..MAX_STREAMS).map(|_| limits.follow(user).expect("one of twenty")).collect();
        assert!(limits.follow(user).is_err());
        assert!(limits.follow(Uuid::from_u128(2)).is_ok());
        drop(open);
        assert!(limits.follow(user).is_ok() && limits.followers.lock().unwrap().is_empty());
    }

    #[test]
    fn no_limit_is_no_limit() {
        let limits = Limits::new(1, 1, 0);
        for _ in 0..10_000 {
            limits.admit(Uuid::nil(), ONE).expect("anything");
        }
    }
}
