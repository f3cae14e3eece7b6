//! Network: connections and their limits, TLS.

mod connections;
mod registry;
#[cfg(any(
    feature = "otel",
    feature = "s3",
    feature = "sso",
    feature = "webhooks"
))]
pub(crate) mod tls;

pub(crate) use connections::{Answer, Limits, listen, serve};
