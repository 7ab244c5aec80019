//! The public keys of an identity provider (RFC 7517), cached and refreshed.

use std::sync::Arc;
use std::time::Duration;

use bedel_fetch::{FetchError, FetchPolicy, Fetcher, ProxyChoice};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
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

/// Keys that one token is tried with: each costs a check of a signature.
const MAX_TRIES: usize = 8;

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
    keys: Vec<PublishedKey>,
    /// Last successful fetch.
    fetched_at: Option<Instant>,
    /// Last fetch, successful or not.
    tried_at: Option<Instant>,
}

/// Characters of 32 bytes in base64 without padding.
const ED25519_BASE64_CHARS: usize = 43;

/// A key for signatures.
#[derive(Clone)]
struct PublishedKey {
    id: Option<String>,
    /// The only algorithm that it may be used with, if the provider names one.
    algorithm: Option<KeyAlgorithm>,
    parameters: AlgorithmParameters,
    key: DecodingKey,
}

impl PublishedKey {
    /// None for a key of another use, or one that cannot be read.
    fn of(jwk: Value) -> Option<Self> {
        let jwk = Jwk::deserialize(jwk).ok()?;
        let common = &jwk.common;
        let is_for_signatures = matches!(common.public_key_use, None | Some(PublicKeyUse::Signature))
            && common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
        let has_length = match &jwk.algorithm {
            // The library reads 32 bytes of it, whatever its length.
            AlgorithmParameters::OctetKeyPair(pair) => pair.x.len() == ED25519_BASE64_CHARS,
            _ => true,
        };
        let key = DecodingKey::from_jwk(&jwk).ok().filter(|_| is_for_signatures && has_length)?;
        Some(Self {
            id: jwk.common.key_id,
            algorithm: jwk.common.key_algorithm,
            parameters: jwk.algorithm,
            key,
        })
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        let has_kind = match (&self.parameters, algorithm) {
            (AlgorithmParameters::RSA(_), Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512) => true,
            (AlgorithmParameters::EllipticCurve(key), Algorithm::ES256) => key.curve == EllipticCurve::P256,
            (AlgorithmParameters::EllipticCurve(key), Algorithm::ES384) => key.curve == EllipticCurve::P384,
            (AlgorithmParameters::OctetKeyPair(key), Algorithm::EdDSA) => key.curve == EllipticCurve::Ed25519,
            // A published shared secret is none.
            _ => false,
        };
        has_kind && self.algorithm.is_none_or(|only| only == KeyAlgorithm::from(algorithm))
    }
}

/// What a provider answers. Each key is read by itself: one of an unknown kind must not hide the others.
#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
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
    #[error("the answer holds no key for signatures")]
    NoKey,
}

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JwksError {
    /// The provider has no such key.
    Unknown,
    /// The keys could not be fetched yet, not for a day, or not since this key is unknown.
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

    /// The keys with this id that may have signed with `algorithm`, at most [`MAX_TRIES`]. Without an id, all that
    /// may have.
    pub(super) async fn keys(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Vec<DecodingKey>, JwksError> {
        let found = self.cached(id, algorithm).await;
        match found.age {
            Some(age) if age < FRESH_FOR && !found.keys.is_empty() => return Ok(found.keys),
            // Known keys are refreshed in the background.
            Some(age) if age < TRUSTED_FOR && !found.keys.is_empty() => {
                if !found.recently_tried {
                    let keys = self.clone();
                    tokio::spawn(async move { keys.refresh().await });
                }
                return Ok(found.keys);
            }
            _ if found.recently_tried => {}
            _ => self.refresh().await,
        }
        let found = self.cached(id, algorithm).await;
        match found.age {
            Some(age) if age < TRUSTED_FOR && !found.keys.is_empty() => Ok(found.keys),
            Some(age) if age < TRUSTED_FOR && !found.is_away => Err(JwksError::Unknown),
            _ => Err(JwksError::Unavailable),
        }
    }

    /// As [`keys`](Self::keys), after those verified nothing: the provider may have replaced a key without a new
    /// id. None if they were fetched recently.
    pub(super) async fn replaced_keys(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Option<Vec<DecodingKey>> {
        let known = self.cached(id, algorithm).await;
        if known.recently_tried {
            return None;
        }
        self.refresh().await;
        let found = self.cached(id, algorithm).await;
        (!found.is_away && !found.keys.is_empty()).then_some(found.keys)
    }

    async fn cached(&self, id: Option<&str>, algorithm: Algorithm) -> Cached {
        let cache = self.0.cache.read().await;
        let fitting = cache.keys.iter().filter(|key| id.is_none_or(|id| key.id.as_deref() == Some(id)));
        let fitting = fitting.filter(|key| key.fits(algorithm)).map(|key| key.key.clone());
        Cached {
            keys: fitting.take(MAX_TRIES).collect(),
            age: cache.fetched_at.map(|at| at.elapsed()),
            recently_tried: cache.tried_at.is_some_and(|at| at.elapsed() < self.0.ask_again_after),
            is_away: cache.tried_at != cache.fetched_at,
        }
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
            Ok(keys) => (cache.keys, cache.fetched_at) = (keys, cache.tried_at),
            Err(error) => tracing::warn!(%error, "the keys of the identity provider cannot be read"),
        }
    }

    async fn fetch(&self) -> Result<Vec<PublishedKey>, KeySetError> {
        let body = self.0.fetcher.get_bytes(&self.0.url, MAX_BYTES, FETCH_TIMEOUT).await?;
        let set: KeySet = serde_json::from_slice(&body.bytes).map_err(|_| KeySetError::Malformed)?;
        let keys: Vec<_> = set.keys.into_iter().filter_map(PublishedKey::of).collect();
        if keys.is_empty() { Err(KeySetError::NoKey) } else { Ok(keys) }
    }
}

/// What the cache holds for a token.
struct Cached {
    keys: Vec<DecodingKey>,
    /// Time since the last successful fetch.
    age: Option<Duration>,
    recently_tried: bool,
    /// True if the last fetch failed.
    is_away: bool,
}
