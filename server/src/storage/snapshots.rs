//! Snapshots of the index of a growing object: a small file beside it, so that a restart does not read the whole object.
//!
//! A snapshot is a shortcut only. One that is torn, of another recording or version, or of bytes that are not there is
//! ignored, and the object is read from its beginning.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Least number of bytes between two snapshots. Reading them again takes a few milliseconds.
const DISTANCE: u64 = 16 << 20;
/// Least number of these bytes per byte of a snapshot, so that snapshots take 2 % of the writes at most.
const DISTANCE_PER_BYTE: u64 = 64;
/// Snapshots that are written at the same time. Further ones are taken after a later chunk.
const AT_ONCE: usize = 4;
/// Size of the checksum in front.
const CHECKSUM: usize = 32;

/// Limits how many snapshots a storage writes at the same time.
#[derive(Clone, Debug)]
pub(super) struct SnapshotPermits(Arc<Semaphore>);

impl Default for SnapshotPermits {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

/// Snapshots of one growing object.
#[derive(Debug)]
pub(super) struct Snapshots {
    path: PathBuf,
    permits: SnapshotPermits,
    /// Length of the stream from which on the next snapshot is taken.
    due: u64,
    saving: Option<JoinHandle<()>>,
}

impl Snapshots {
    /// Snapshots at `path` of a growing object whose stream has `length` bytes.
    pub(super) fn new(path: PathBuf, length: u64, permits: SnapshotPermits) -> Self {
        Self {
            path,
            permits,
            due: length.saturating_add(DISTANCE),
            saving: None,
        }
    }

    /// Whether a snapshot of the first `length` bytes should be saved.
    pub(super) fn is_due(&self, length: u64) -> bool {
        length >= self.due
            && self.permits.0.available_permits() > 0
            && self.saving.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Saves a snapshot of `size` bytes, taken at stream offset `position`, in the background: `save` gets the path. A
    /// failure is only logged.
    pub(super) fn save(
        &mut self,
        position: u64,
        size: usize,
        save: impl FnOnce(&Path) -> io::Result<()> + Send + 'static,
    ) {
        let Ok(permit) = Arc::clone(&self.permits.0).try_acquire_owned() else {
            return;
        };
        let distance = (size as u64).saturating_mul(DISTANCE_PER_BYTE);
        self.due = position.saturating_add(distance.max(DISTANCE));
        let path = self.path.clone();
        self.saving = Some(tokio::task::spawn_blocking(move || {
            if let Err(error) = save(&path) {
                tracing::debug!(path = %path.display(), "a snapshot of an index was not saved: {error}");
            }
            drop(permit);
        }));
    }

    /// Waits until no snapshot is being saved.
    pub(super) async fn settle(&mut self) {
        if let Some(saving) = self.saving.take() {
            let _ = saving.await;
        }
    }
}

/// Writes the content of a snapshot durably and atomically, behind its checksum.
pub(super) fn write(path: &Path, content: &impl Serialize) -> io::Result<()> {
    let content = postcard::to_allocvec(content).map_err(io::Error::other)?;
    let fresh = path.with_added_extension("tmp");
    let mut file = File::create(&fresh)?;
    file.write_all(&Sha256::digest(&content))?;
    file.write_all(&content)?;
    file.sync_data()?;
    std::fs::rename(fresh, path)
}

/// Reads what [`write()`] has written; `None` if it is missing or damaged.
pub(super) fn read(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = std::fs::read(path).ok()?;
    let (checksum, content) = bytes.split_at_checked(CHECKSUM)?;
    if Sha256::digest(content)[..] != *checksum {
        return None;
    }
    bytes.drain(..CHECKSUM);
    Some(bytes)
}

/// Removes a snapshot, if there is one. A leftover is removed by garbage collection.
pub(super) fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(path = %path.display(), "a snapshot of an index was not removed: {error}");
    }
}
