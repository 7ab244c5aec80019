//! Name resolution that refuses a name as soon as one of its addresses is special.
//!
//! It sits inside the connector: the addresses that were checked are the ones that are dialled, so a name that
//! answers differently the second time gains nothing. Addresses written as such never come here; the URL rules see
//! them.

use std::fmt::Debug;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address;

/// Who is asked where a name is.
pub trait Lookup: Debug + Send + Sync {
    /// All addresses of `name`.
    fn addresses(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The operating system's resolver.
#[derive(Debug, Clone, Copy)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn addresses(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Refuses a name when *any* of its addresses is special: a name that mixes public and private addresses is never an
/// honest one.
#[derive(Debug)]
pub(super) struct Guarded {
    pub(super) lookup: Arc<dyn Lookup>,
    /// Addresses that are accepted although they are special.
    pub(super) listed: Arc<[IpAddr]>,
}

/// The name resolves to a special address.
#[derive(Debug, thiserror::Error)]
#[error("the name resolves to an address that is {0}")]
pub(super) struct SpecialAddress(pub(super) &'static str);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let answer = self.lookup.addresses(name.as_str().to_owned());
        let listed = Arc::clone(&self.listed);
        Box::pin(async move {
            let found = answer.await?;
            let refused = found.iter().filter(|address| !listed.contains(address));
            if let Some(what) = refused.copied().find_map(address::special) {
                return Err(SpecialAddress(what).into());
            }
            // The connector puts the URL's port in.
            let addresses: Addrs = Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}
