//! Who may write to a growing object that several servers reach.
//!
//! Whoever opens it takes it from whoever had it, and gets a higher number: its *fence*. There is no waiting for the
//! former holder, which may be dead or cut off, and no clock on which being right depends: a writer makes bytes
//! durable first and then asks whether it is still the one. If so, whoever takes over later finds them; if not, they
//! were never acknowledged, and the number they carry tells that they are nobody's.

use std::time::Duration;

use async_trait::async_trait;

use super::{Stale, StorageError};

/// What is known of a growing object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The number of its holder.
    pub(crate) fence: i64,
    /// What the last holder that wrote one has written about it.
    pub(crate) manifest: String,
}

/// The book of holders. All servers see the same one.
#[async_trait]
pub(crate) trait Ledger: Send + Sync {
    /// Adds an object, held under the number 1. One that is there already is an error.
    async fn begin(&self, id: &str, manifest: &str) -> Result<(), StorageError>;

    /// Takes an object over; `None` if there is no such object.
    async fn take(&self, id: &str) -> Result<Option<Entry>, StorageError>;

    /// Looks without taking.
    async fn look(&self, id: &str) -> Result<Option<Entry>, StorageError>;

    /// Whether the object is still held under this number. Its holder counts as alive then.
    async fn holds(&self, id: &str, fence: i64) -> Result<bool, StorageError>;

    /// Writes a manifest, if the object is still held under this number.
    async fn write(&self, id: &str, fence: i64, manifest: &str) -> Result<bool, StorageError>;

    /// Objects that are not complete and whose holder has not been heard for so long, by the database's clock. That
    /// clock may have been set: see [`Stale`].
    async fn stale(&self, silence: Duration) -> Result<Vec<Stale>, StorageError>;

    /// Gives a stale object to the caller; `false` if its holder was heard meanwhile or another server has it.
    async fn claim(&self, stale: &Stale) -> Result<bool, StorageError>;

    /// Strikes an object out. One that is not there is no error.
    async fn strike(&self, id: &str) -> Result<(), StorageError>;
}
