//! Composition of the server from its parts.

mod server;

pub use server::{OpenError, Server, verify_audit};
pub(crate) use server::{open_database, open_storage};
