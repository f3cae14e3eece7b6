//! DNS resolution that refuses internal addresses. The connection uses the addresses that were checked, so a name that
//! resolves differently a moment later (DNS rebinding) cannot lead to an internal address.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address;

/// Addresses of a name, or the error of the lookup.
pub(super) type Lookup = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Source of a name's addresses; a stub in tests.
pub(super) trait Dns: Send + Sync + 'static {
    fn lookup(&self, name: &str) -> Lookup;
}

/// Resolver of the operating system.
pub(super) struct SystemDns;

impl Dns for SystemDns {
    fn lookup(&self, name: &str) -> Lookup {
        let name = name.to_owned();
        Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
    }
}

/// Error for a name without a public address.
#[derive(Debug, thiserror::Error)]
#[error("the name of the receiver does not resolve to a public address")]
pub(super) struct NotPublic;

/// Resolver for the HTTP client that returns public addresses only.
pub(super) struct PublicResolver(pub(super) Arc<dyn Dns>);

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.0.lookup(name.as_str());
        Box::pin(async move {
            let mut found = found.await?;
            found.retain(|found| address::is_public(found.ip()));
            if found.is_empty() {
                return Err(NotPublic.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
