//! Name resolution that refuses a name as soon as one of its addresses is special.
//!
//! It sits inside the connector: the addresses that were checked are the ones that are dialled, so a name that
//! answers differently the second time gains nothing. Addresses written as such never come here; the URL rules see
//! them.

use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address;

/// Resolves by the system and refuses a name when *any* of its addresses is special: a name that mixes public and
/// private addresses is never an honest one.
#[derive(Debug)]
pub(super) struct PublicOnly;

/// The name resolves to a special address.
#[derive(Debug, thiserror::Error)]
#[error("the name resolves to an address that is {0}")]
pub(super) struct SpecialAddress(pub(super) &'static str);

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if let Some(what) = found.iter().find_map(|found| address::special(found.ip())) {
                return Err(SpecialAddress(what).into());
            }
            let addresses: Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
    }
}
