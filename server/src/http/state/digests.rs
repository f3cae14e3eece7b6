//! Cache of `Repr-Digest` values (RFC 9530).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::TryStreamExt as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OnceCell, Semaphore};

use crate::storage::{Storage, StorageError};

/// Largest number of cached digests.
const DIGESTS_MAX: usize = 4096;
/// Largest number of objects that are read concurrently.
const CONCURRENT_READS: usize = 2;

/// SHA-256 of recordings. A finished object never changes, so entries stay valid.
#[derive(Debug)]
pub(in crate::http) struct Digests {
    known: Mutex<HashMap<String, Arc<OnceCell<String>>>>,
    permits: Semaphore,
}

impl Default for Digests {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            permits: Semaphore::new(CONCURRENT_READS),
        }
    }
}

impl Digests {
    /// Returns the field's value for the object at `path`. Concurrent requests share one read of the object, which
    /// takes as long as a download and is cancelled with the last request.
    ///
    /// # Errors
    /// The object cannot be read.
    pub(in crate::http) async fn repr_digest(
        &self,
        storage: &dyn Storage,
        path: &str,
        size: u64,
    ) -> Result<String, StorageError> {
        let cell = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= DIGESTS_MAX {
                // Entries with waiting requests stay.
                known.retain(|_, cell| Arc::strong_count(cell) > 1);
            }
            Arc::clone(known.entry(path.to_owned()).or_default())
        };
        let digest = cell.get_or_try_init(|| async {
            // The semaphore is never closed.
            let _permit = self.permits.acquire().await;
            hashed(storage, path, size).await
        });
        digest.await.cloned()
    }
}

async fn hashed(storage: &dyn Storage, path: &str, size: u64) -> Result<String, StorageError> {
    let mut bytes = storage.read(path, 0..size).await?;
    let mut hash = Sha256::new();
    while let Some(chunk) = bytes.try_next().await? {
        hash.update(&chunk);
        // A stream from memory is always ready; this gives other tasks a turn.
        tokio::task::yield_now().await;
    }
    Ok(format!("sha-256=:{}:", STANDARD.encode(hash.finalize())))
}
