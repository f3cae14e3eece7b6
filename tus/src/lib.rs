//! Resumable uploads after tus 1.0.0, without I/O.

pub mod client;
pub mod header;
pub mod metadata;
pub mod server;
