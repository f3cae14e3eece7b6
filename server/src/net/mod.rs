//! Network: connections and their limits, TLS.

mod connections;
mod encryption;
mod registry;
#[cfg(any(
    feature = "otel",
    feature = "s3",
    feature = "sso",
    feature = "webhooks"
))]
pub(crate) mod tls;

pub(crate) use connections::{Answer, Limits, listen, serve};
pub(crate) use encryption::Encrypted;
pub use encryption::Tls;
