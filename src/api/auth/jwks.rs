//! The public keys of an identity provider (RFC 7517), cached and refreshed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bedel_fetch::{FetchError, FetchPolicy, Fetcher, ProxyChoice};
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::JwkSet;
use tokio::sync::{Mutex, RwLock};
use tokio::time::Instant;
use url::Url;

/// Age at which keys are refreshed.
const FRESH_FOR: Duration = Duration::from_secs(600);

/// Shortest time between two fetches, unless the caller sets another: unknown key ids must not flood the provider.
pub const ASK_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// Age up to which keys are trusted while refreshing fails.
const TRUSTED_FOR: Duration = Duration::from_secs(24 * 3600);

/// Longest fetch, from connecting to the last byte.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest answer, in bytes.
const MAX_BYTES: u64 = 256 * 1024;

/// A provider's keys. Cheap to clone.
#[derive(Clone)]
pub struct Jwks(Arc<Inner>);

struct Inner {
    url: Url,
    fetcher: Fetcher,
    ask_again_after: Duration,
    cache: RwLock<Cache>,
    /// Held during a fetch, so that waiting requests share it.
    fetching: Mutex<()>,
}

#[derive(Default)]
struct Cache {
    by_id: HashMap<String, DecodingKey>,
    /// Last successful fetch.
    fetched_at: Option<Instant>,
    /// Last fetch, successful or not.
    tried_at: Option<Instant>,
}

impl std::fmt::Debug for Jwks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Jwks({})", self.0.url)
    }
}

/// Why the keys could not be refreshed.
#[derive(Debug, thiserror::Error)]
enum KeySetError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("the answer is not a set of keys")]
    Malformed,
}

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JwksError {
    /// The provider has no such key.
    Unknown,
    /// The keys could not be fetched yet, or not for a day.
    Unavailable,
}

impl Jwks {
    /// Keys published at `url`. They are fetched with the first token, and for unknown keys at most every `ask_again_after`.
    ///
    /// # Errors
    /// [`FetchError::Client`] where the HTTP client cannot be set up.
    pub fn new(url: Url, ask_again_after: Duration) -> Result<Self, FetchError> {
        // The operator's policy follows no redirects: keys from another address could forge any token.
        let fetcher = Fetcher::new(FetchPolicy {
            proxy: ProxyChoice::Environment,
            stall_timeout: FETCH_TIMEOUT,
            ..FetchPolicy::operator()
        })?;
        let (cache, fetching) = (RwLock::default(), Mutex::new(()));
        Ok(Self(Arc::new(Inner { url, fetcher, ask_again_after, cache, fetching })))
    }

    /// The key with this id. A token without one is signed by the only key there is.
    pub(super) async fn key(&self, id: Option<&str>) -> Result<DecodingKey, JwksError> {
        let (found, age, recently_tried) = self.cached(id).await;
        match (found, age) {
            (Some(key), Some(age)) if age < FRESH_FOR => return Ok(key),
            // A known key is refreshed in the background.
            (Some(key), Some(age)) if age < TRUSTED_FOR => {
                if !recently_tried {
                    let keys = self.clone();
                    tokio::spawn(async move { keys.refresh().await });
                }
                return Ok(key);
            }
            _ if recently_tried => {}
            _ => self.refresh().await,
        }
        match self.cached(id).await {
            (Some(key), Some(age), _) if age < TRUSTED_FOR => Ok(key),
            (_, Some(age), _) if age < TRUSTED_FOR => Err(JwksError::Unknown),
            _ => Err(JwksError::Unavailable),
        }
    }

    /// The key with this id, the age of the cache, and whether a fetch was tried recently.
    async fn cached(&self, id: Option<&str>) -> (Option<DecodingKey>, Option<Duration>, bool) {
        let cache = self.0.cache.read().await;
        let key = match id {
            Some(id) => cache.by_id.get(id),
            None if cache.by_id.len() == 1 => cache.by_id.values().next(),
            None => None,
        };
        let recently_tried = cache.tried_at.is_some_and(|at| at.elapsed() < self.0.ask_again_after);
        (key.cloned(), cache.fetched_at.map(|at| at.elapsed()), recently_tried)
    }

    /// Fetches the keys, unless another request did while this one waited for the lock.
    async fn refresh(&self) {
        let started = Instant::now();
        let _turn = self.0.fetching.lock().await;
        if self.0.cache.read().await.tried_at.is_some_and(|at| at >= started) {
            return;
        }
        let fetched = self.fetch().await;
        let mut cache = self.0.cache.write().await;
        cache.tried_at = Some(Instant::now());
        match fetched {
            Ok(by_id) => (cache.by_id, cache.fetched_at) = (by_id, cache.tried_at),
            Err(error) => tracing::warn!(%error, "the keys of the identity provider cannot be read"),
        }
    }

    async fn fetch(&self) -> Result<HashMap<String, DecodingKey>, KeySetError> {
        let body = self.0.fetcher.get_bytes(&self.0.url, MAX_BYTES, FETCH_TIMEOUT).await?;
        let set: JwkSet = serde_json::from_slice(&body.bytes).map_err(|_| KeySetError::Malformed)?;
        // Unusable keys are skipped.
        let usable = set.keys.iter().filter_map(|jwk| {
            let id = jwk.common.key_id.clone().unwrap_or_default();
            Some((id, DecodingKey::from_jwk(jwk).ok()?))
        });
        Ok(usable.collect())
    }
}
