//! Middleware: client addresses, security headers, compression, metrics, logs and traces.

pub(super) mod compression;
pub(super) mod edge;
pub(super) mod metrics;
pub(super) mod request_log;
pub(super) mod security_headers;
#[cfg(feature = "otel")]
pub(super) mod trace;
