//! Lease, manifest and spans of one shared recording, maintained by its holder.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use tokio::sync::Mutex;

use super::manifest::{Kind, Manifest, Span};
use crate::storage::bucket::checkpoints;
use crate::storage::bucket::keys::Keys;
use crate::storage::bucket::remote::{Remote, write_error};
use crate::storage::bucket::state::State;
use crate::storage::{StorageError, UploadLeases, blocking};

/// This many contiguous pieces of one part are merged.
const MERGE_AT: usize = 64;
/// Objects that are removed concurrently.
const REMOVALS: usize = 8;
const CONTENT_TYPE: &str = "application/octet-stream";

/// One shared recording that this server holds.
pub(in crate::storage::bucket) struct ReplicatedUpload {
    leases: Arc<dyn UploadLeases>,
    remote: Arc<Remote>,
    keys: Keys,
    id: String,
    folder: PathBuf,
    fence: i64,
    manifest: Mutex<Manifest>,
}

impl std::fmt::Debug for ReplicatedUpload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplicatedUpload")
            .field("id", &self.id)
            .field("fence", &self.fence)
            .finish_non_exhaustive()
    }
}

impl ReplicatedUpload {
    pub(super) fn new(
        leases: Arc<dyn UploadLeases>,
        remote: Arc<Remote>,
        keys: Keys,
        id: &str,
        folder: &Path,
        manifest: Manifest,
    ) -> Self {
        Self {
            leases,
            remote,
            keys,
            id: id.to_owned(),
            folder: folder.to_owned(),
            fence: manifest.fence,
            manifest: Mutex::new(manifest),
        }
    }

    pub(super) fn fence(&self) -> i64 {
        self.fence
    }

    pub(super) async fn is_held(&self) -> Result<bool, StorageError> {
        self.leases.renew(&self.id, self.fence).await
    }

    /// Fails if another server has taken over the lease.
    pub(in crate::storage::bucket) async fn require_lease(&self) -> Result<(), StorageError> {
        if self.is_held().await? {
            Ok(())
        } else {
            Err(StorageError::Fenced)
        }
    }

    fn key(&self, kind: Kind, span: Span) -> Result<object_store::path::Path, StorageError> {
        Keys::key(&span.path(kind, &self.keys.growing_path(&self.id)))
    }

    /// Puts bytes that continue the object. They may be acknowledged after [`ReplicatedUpload::require_lease`]. Calls
    /// must not be concurrent.
    pub(super) async fn put(&self, bytes: Vec<Bytes>) -> Result<(), StorageError> {
        let length: usize = bytes.iter().map(Bytes::len).sum();
        if length == 0 {
            return Ok(());
        }
        let from = self.manifest.lock().await.length;
        let span = Span {
            from,
            to: from + length as u64,
            fence: self.fence,
        };
        let key = self.key(Kind::Piece, span)?;
        let put = self.remote.put_pieces(&key, bytes, CONTENT_TYPE).await;
        put.map_err(unreachable)?;
        let mut manifest = self.manifest.lock().await;
        manifest.length = span.to;
        manifest.pieces.push(span);
        Ok(())
    }

    /// Records the parts of the multipart upload and their checkpoints; removes the spans of these parts.
    pub(in crate::storage::bucket) async fn save(&self, state: &State) -> Result<(), StorageError> {
        let mut manifest = self.manifest.lock().await;
        let mut next = manifest.clone();
        next.state = state.clone();
        let stored = next.checkpoints.last().map_or(0, |span| span.to);
        if stored < state.checkpoints.bytes {
            let span = Span {
                from: stored,
                to: state.checkpoints.bytes,
                fence: self.fence,
            };
            let path = self.folder.join(checkpoints::FILE);
            let bytes = blocking(move || {
                let size = usize::try_from(span.to - span.from).map_err(io::Error::other)?;
                let mut bytes = vec![0; size];
                File::open(path)?.read_exact_at(&mut bytes, span.from)?;
                Ok(bytes)
            })
            .await?;
            let key = self.key(Kind::Checkpoints, span)?;
            let put = self.remote.put(&key, bytes.into(), CONTENT_TYPE).await;
            put.map_err(write_error)?;
            next.checkpoints.push(span);
        }
        let spent = next.prune();
        self.write(&next).await?;
        *manifest = next;
        drop(manifest);
        self.remove(spent);
        Ok(())
    }

    /// Merges many small pieces, so that a takeover and the manifest stay cheap. `read` reads bytes of the object from
    /// the staging folder.
    pub(super) async fn merge<R: Future<Output = Result<Bytes, StorageError>>>(
        &self,
        read: impl Fn(std::ops::Range<u64>) -> R,
    ) -> Result<(), StorageError> {
        let mergeable = self.manifest.lock().await.mergeable(MERGE_AT);
        for (from, to) in mergeable {
            let merged = Span {
                from,
                to,
                fence: self.fence,
            };
            // A part that was uploaded meanwhile has removed its pieces.
            let Ok(bytes) = read(from..to).await else {
                continue;
            };
            let key = self.key(Kind::Piece, merged)?;
            let put = self.remote.put(&key, bytes, CONTENT_TYPE).await;
            put.map_err(write_error)?;
            let mut manifest = self.manifest.lock().await;
            let mut next = manifest.clone();
            let mut spent = next.merge(merged);
            if spent.is_empty() {
                self.remove(vec![merged]);
                continue;
            }
            spent.extend(next.prune());
            self.write(&next).await?;
            *manifest = next;
            drop(manifest);
            self.remove(spent);
        }
        Ok(())
    }

    async fn write(&self, manifest: &Manifest) -> Result<(), StorageError> {
        let text = manifest.to_text()?;
        if self
            .leases
            .write_manifest(&self.id, self.fence, &text)
            .await?
        {
            Ok(())
        } else {
            Err(StorageError::Fenced)
        }
    }

    /// Removes pieces that the manifest no longer lists. Remaining ones are removed at the finish.
    fn remove(&self, spans: Vec<Span>) {
        let keys: Vec<_> = spans
            .into_iter()
            .filter_map(|span| self.key(Kind::Piece, span).ok())
            .collect();
        let remote = Arc::clone(&self.remote);
        tokio::spawn(async move {
            futures_util::stream::iter(keys)
                .for_each_concurrent(REMOVALS, |key| {
                    let remote = Arc::clone(&remote);
                    async move {
                        if let Err(error) = remote.delete(&key).await {
                            tracing::debug!(%key, "a span could not be removed yet: {error}");
                        }
                    }
                })
                .await;
        });
    }

    /// Removes all spans of a finished object.
    pub(super) async fn clear(&self) -> Result<(), StorageError> {
        let mut manifest = self.manifest.lock().await;
        manifest.finished = true;
        self.write(&manifest).await?;
        clear(&self.remote, &self.keys.growing_path(&self.id)).await
    }
}

/// While the store is unreachable no other copy exists, so the sender has to retry.
fn unreachable(error: object_store::Error) -> StorageError {
    match write_error(error) {
        StorageError::Io(error) => StorageError::Unavailable(error.into()),
        error => error,
    }
}

/// Removes all spans of a recording.
pub(super) async fn clear(remote: &Arc<Remote>, folder: &str) -> Result<(), StorageError> {
    remote
        .objects(folder, None)
        .map(|object| async { remote.delete(&object?.location).await })
        .buffer_unordered(REMOVALS)
        .try_collect::<()>()
        .await
        .map_err(write_error)
}
