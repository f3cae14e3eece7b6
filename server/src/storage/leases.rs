//! Leases of growing objects that several servers share.
//!
//! A server that opens an object takes over its lease and increments its fencing token. It does not wait for the former
//! holder, which may be dead or cut off, and correctness depends on no clock: a writer makes bytes durable first and
//! then checks that it still holds the lease. If it does, every later holder finds the bytes; if not, they were never
//! acknowledged, and their fencing token shows that they do not count.

use std::time::Duration;

use async_trait::async_trait;

use super::{StaleLease, StorageError};

/// Lease of one growing object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UploadLease {
    /// Fencing token of the holder.
    pub(crate) fence: i64,
    /// Manifest last written by a holder.
    pub(crate) manifest: String,
}

/// Lease table, shared by all servers.
#[async_trait]
pub(crate) trait UploadLeases: Send + Sync {
    /// Adds the lease of a new object, held with fencing token 1. An existing one is an error.
    async fn create(&self, id: &str, manifest: &str) -> Result<(), StorageError>;

    /// Takes over a lease with the next fencing token; `None` if it does not exist.
    async fn take_over(&self, id: &str) -> Result<Option<UploadLease>, StorageError>;

    async fn find(&self, id: &str) -> Result<Option<UploadLease>, StorageError>;

    /// Renews a lease; `false` if this fencing token is outdated.
    async fn renew(&self, id: &str, fence: i64) -> Result<bool, StorageError>;

    /// Writes the manifest and renews the lease; `false` if this fencing token is outdated.
    async fn write_manifest(
        &self,
        id: &str,
        fence: i64,
        manifest: &str,
    ) -> Result<bool, StorageError>;

    /// Returns leases of incomplete objects that were not renewed within `silence` by the database's clock. That clock
    /// may have been set: see [`StaleLease`].
    async fn stale(&self, silence: Duration) -> Result<Vec<StaleLease>, StorageError>;

    /// Claims a stale lease; `false` if it was renewed or claimed by another server meanwhile.
    async fn claim(&self, stale: &StaleLease) -> Result<bool, StorageError>;

    /// Deletes a lease. A missing one is no error.
    async fn delete(&self, id: &str) -> Result<(), StorageError>;
}
