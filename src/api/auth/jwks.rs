//! The public keys of an identity provider (RFC 7517): fetched, kept, and fetched again when they change.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::JwkSet;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use tokio::sync::{Mutex, RwLock};
use tokio::time::Instant;

/// Keys are looked at again after so long.
const FRESH_FOR: Duration = Duration::from_secs(600);

/// A key that nobody knows makes them be fetched at most so often, where nothing else is asked for.
pub const ASK_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// Keys that could not be fetched again are believed for so long.
const BELIEVED_FOR: Duration = Duration::from_secs(24 * 3600);

/// Longest fetch, from connecting to the last byte.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest answer, in bytes.
const MAX_BYTES: usize = 256 * 1024;

/// A provider's keys. Cheap to clone.
#[derive(Clone)]
pub struct Jwks(Arc<Inner>);

struct Inner {
    url: Url,
    client: Client,
    ask_again_after: Duration,
    known: RwLock<Known>,
    /// Held while they are fetched: once for all who wait.
    fetching: Mutex<()>,
}

#[derive(Default)]
struct Known {
    by_id: HashMap<String, DecodingKey>,
    fetched: Option<Instant>,
    tried: Option<Instant>,
}

impl std::fmt::Debug for Jwks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Jwks({})", self.0.url)
    }
}

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JwksError {
    /// The provider has no such key.
    Unknown,
    /// The provider was never heard.
    Away,
}

impl Jwks {
    /// Keys that are published at `url`. They are fetched when the first token comes, and for tokens with a key that nobody knows
    /// at most every `ask_again_after`.
    ///
    /// # Errors
    /// Where no client can be made.
    pub fn new(url: Url, ask_again_after: Duration) -> Result<Self, reqwest::Error> {
        // No redirects: whoever answers in another's place would sign for everybody.
        let client = Client::builder().redirect(Policy::none()).timeout(ANSWER_TIMEOUT).build()?;
        let (known, fetching) = (RwLock::default(), Mutex::new(()));
        Ok(Self(Arc::new(Inner { url, client, ask_again_after, known, fetching })))
    }

    /// The key with this id. A token without one is signed by the only key there is.
    pub(super) async fn key(&self, id: Option<&str>) -> Result<DecodingKey, JwksError> {
        let (found, age, recently_tried) = self.look(id).await;
        match (found, age) {
            (Some(key), Some(age)) if age < FRESH_FOR => return Ok(key),
            // Nobody waits for what is known: it is looked at again beside.
            (Some(key), Some(age)) if age < BELIEVED_FOR => {
                if !recently_tried {
                    let all = self.clone();
                    tokio::spawn(async move { all.fetch().await });
                }
                return Ok(key);
            }
            _ if recently_tried => {}
            _ => self.fetch().await,
        }
        match self.look(id).await {
            (Some(key), Some(age), _) if age < BELIEVED_FOR => Ok(key),
            (_, Some(age), _) if age < BELIEVED_FOR => Err(JwksError::Unknown),
            _ => Err(JwksError::Away),
        }
    }

    async fn look(&self, id: Option<&str>) -> (Option<DecodingKey>, Option<Duration>, bool) {
        let known = self.0.known.read().await;
        let key = match id {
            Some(id) => known.by_id.get(id),
            None if known.by_id.len() == 1 => known.by_id.values().next(),
            None => None,
        };
        let recently_tried = known.tried.is_some_and(|tried| tried.elapsed() < self.0.ask_again_after);
        (key.cloned(), known.fetched.map(|fetched| fetched.elapsed()), recently_tried)
    }

    /// Fetches the keys, unless somebody else did while this one waited its turn.
    async fn fetch(&self) {
        let asked = Instant::now();
        let _turn = self.0.fetching.lock().await;
        if self.0.known.read().await.tried.is_some_and(|tried| tried >= asked) {
            return;
        }
        let fetched = self.ask().await;
        let mut known = self.0.known.write().await;
        known.tried = Some(Instant::now());
        match fetched {
            Ok(by_id) => (known.by_id, known.fetched) = (by_id, known.tried),
            Err(reason) => tracing::warn!(reason, "the keys of the identity provider cannot be read"),
        }
    }

    async fn ask(&self) -> Result<HashMap<String, DecodingKey>, &'static str> {
        let mut response =
            self.0.client.get(self.0.url.clone()).send().await.map_err(|_| "it does not answer")?;
        if !response.status().is_success() {
            return Err("it answers with an error");
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|_| "its answer broke off")? {
            if bytes.len() + chunk.len() > MAX_BYTES {
                return Err("its answer is too large");
            }
            bytes.extend_from_slice(&chunk);
        }
        let set: JwkSet = serde_json::from_slice(&bytes).map_err(|_| "its answer is no set of keys")?;
        // Keys that cannot be used here are no reason to refuse the others.
        let usable = set.keys.iter().filter_map(|jwk| {
            let id = jwk.common.key_id.clone().unwrap_or_default();
            Some((id, DecodingKey::from_jwk(jwk).ok()?))
        });
        Ok(usable.collect())
    }
}
