//! What a whole recording hashes to, for a sender that wants to know before it deletes its own copy: `Repr-Digest`
//! (RFC 9530).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderMap, HeaderName};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::TryStreamExt as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OnceCell, Semaphore};

use crate::storage::{Storage, StorageError};

/// RFC 9530, section 3.
pub(in crate::http) const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
/// RFC 9530, section 4.
const WANT_REPR_DIGEST: &str = "want-repr-digest";
/// The one algorithm of section 5 that is offered.
const SHA_256: &str = "sha-256";
/// Hashes that are kept.
const MAX_KNOWN: usize = 4096;
/// Objects that are hashed at once.
const AT_ONCE: usize = 2;

/// Whether a request asks for the SHA-256 of the whole: `sha-256=1` to `10`, where 0 means "not that".
pub(in crate::http) fn is_wanted(request: &HeaderMap) -> bool {
    let fields = request.get_all(WANT_REPR_DIGEST).iter();
    fields
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(','))
        .filter_map(|member| member.split_once('='))
        .filter(|(algorithm, _)| algorithm.trim() == SHA_256)
        .filter_map(|(_, weight)| weight.trim().parse().ok())
        .any(|weight| matches!(weight, 1..=10))
}

/// Hashes of recordings that were asked for. A finished object never changes.
#[derive(Debug)]
pub(crate) struct Digests {
    known: Mutex<HashMap<String, Arc<OnceCell<String>>>>,
    /// Objects that are read at once.
    seats: Semaphore,
}

impl Default for Digests {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            seats: Semaphore::new(AT_ONCE),
        }
    }
}

impl Digests {
    /// The value of the field for the object at `path`: read once, however many requests there are, which takes as long
    /// as a download. It stops when no request waits for it any more.
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
            if known.len() >= MAX_KNOWN {
                // Entries with waiting requests stay.
                known.retain(|_, cell| Arc::strong_count(cell) > 1);
            }
            Arc::clone(known.entry(path.to_owned()).or_default())
        };
        let digest = cell.get_or_try_init(|| async {
            // Never closed.
            let _seat = self.seats.acquire().await;
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
        // What is read from memory is always ready; others have requests too.
        tokio::task::yield_now().await;
    }
    Ok(format!("{SHA_256}=:{}:", STANDARD.encode(hash.finalize())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(fields: &[&'static str], expected: bool) {
        let mut request = HeaderMap::new();
        for field in fields {
            request.append(
                WANT_REPR_DIGEST,
                axum::http::HeaderValue::from_static(field),
            );
        }
        assert_eq!(is_wanted(&request), expected, "{fields:?}");
    }

    #[test]
    fn what_is_wanted_is_a_dictionary_of_weights() {
        check(&["sha-256=10"], true);
        check(&["sha-512=3, sha-256=1"], true);
        check(&["sha-512=3", "unixsum=1,sha-256=5"], true);
        check(&["sha-256=0"], false);
        check(&["sha-256=11"], false);
        check(&["sha-256"], false);
        check(&["sha-512=10"], false);
        check(&[], false);
    }
}
