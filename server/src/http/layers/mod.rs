//! Middleware: client addresses, security headers, compression, refusals in the audit log, traces.

pub(super) mod compression;
pub(super) mod denials;
pub(super) mod edge;
pub(super) mod security_headers;
#[cfg(feature = "otel")]
pub(super) mod trace;
