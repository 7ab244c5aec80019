//! Name resolution that refuses a name with a special address.
//!
//! It runs inside the connector, so the checked addresses are the dialled ones: a name that resolves differently the second
//! time gains nothing. Literal addresses never come here; the URL rules check them.

use std::fmt::Debug;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address;
use super::network::Network;

/// A name resolver.
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

/// Refuses a name when *any* of its addresses is special: honest names do not mix public and private addresses.
#[derive(Debug)]
pub(super) struct GuardedResolver {
    pub(super) lookup: Arc<dyn Lookup>,
    /// Special addresses that are accepted.
    pub(super) allowed: Arc<[Network]>,
}

/// The name resolves to a special address.
#[derive(Debug, thiserror::Error)]
#[error("the name resolves to an address that is {0}")]
pub(super) struct SpecialAddress(pub(super) &'static str);

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let answer = self.lookup.addresses(name.as_str().to_owned());
        let allowed = Arc::clone(&self.allowed);
        Box::pin(async move {
            let found = answer.await?;
            let refused =
                found.iter().filter(|address| !allowed.iter().any(|network| network.contains(**address)));
            if let Some(what) = refused.copied().find_map(address::special) {
                return Err(SpecialAddress(what).into());
            }
            // The connector sets the URL's port.
            let addresses: Addrs = Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}
