//! Snapshots of the index of a growing object: a small file beside it, so that a restart does not read the whole object.
//!
//! A snapshot is a shortcut only. One that is torn, of another recording or version, or of bytes that are not there is
//! ignored, and the object is read from its beginning.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sortie_media::{HEAD_ROOM, Snapshot};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::stored::{ObjectKind, SNAPSHOT};

/// Least number of bytes between two snapshots. Reading them again takes a few milliseconds.
const DISTANCE: u64 = 16 << 20;
/// Least number of these bytes per byte of a snapshot, so that snapshots take 2 % of the writes at most.
const DISTANCE_PER_BYTE: u64 = 64;
/// Snapshots that are written at the same time. Further ones are taken after a later chunk.
const AT_ONCE: usize = 4;
/// Size of the checksum in front.
const CHECKSUM: usize = 32;

/// Content of the file, behind its checksum.
#[derive(Serialize, Deserialize)]
struct Content<'a> {
    /// Id of the recording.
    id: &'a str,
    /// Number of bytes of the stream that are indexed.
    position: u64,
    /// Offset and bytes of the witness; see [`Snapshot::witness`].
    witness_at: u64,
    witness: &'a [u8],
    index: &'a [u8],
}

/// Limits how many snapshots a storage writes at the same time.
#[derive(Clone, Debug)]
pub(super) struct SnapshotPermits(Arc<Semaphore>);

impl Default for SnapshotPermits {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

/// Snapshots of one growing file.
#[derive(Debug)]
pub(super) struct Snapshots {
    path: PathBuf,
    permits: SnapshotPermits,
    /// Length of the stream from which on the next snapshot is taken.
    due: u64,
    saving: Option<JoinHandle<()>>,
}

/// Path of the snapshot of a growing file.
fn path_of(growing: &Path) -> PathBuf {
    growing.with_extension(SNAPSHOT)
}

/// Id of the recording in a growing file.
fn id_of(path: &Path) -> Option<&str> {
    path.file_stem()?.to_str()
}

impl Snapshots {
    /// Snapshots of a growing file whose stream has `length` bytes.
    pub(super) fn new(growing: &Path, length: u64, permits: SnapshotPermits) -> Self {
        Self {
            path: path_of(growing),
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

    /// Saves a snapshot in the background. A failure is only logged.
    pub(super) fn save(&mut self, snapshot: Snapshot, growing: Arc<File>) {
        let Ok(permit) = Arc::clone(&self.permits.0).try_acquire_owned() else {
            return;
        };
        let distance = (snapshot.bytes.len() as u64).saturating_mul(DISTANCE_PER_BYTE);
        self.due = snapshot.position.saturating_add(distance.max(DISTANCE));
        let path = self.path.clone();
        self.saving = Some(tokio::task::spawn_blocking(move || {
            if let Err(error) = write(&path, &snapshot, &growing) {
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

/// Writes a snapshot durably and atomically.
fn write(path: &Path, snapshot: &Snapshot, growing: &File) -> io::Result<()> {
    let witness = &snapshot.witness;
    let size = usize::try_from(witness.end - witness.start).map_err(io::Error::other)?;
    let mut bytes = vec![0; size];
    growing.read_exact_at(&mut bytes, HEAD_ROOM + witness.start)?;
    let content = Content {
        id: id_of(path).unwrap_or_default(),
        position: snapshot.position,
        witness_at: witness.start,
        witness: &bytes,
        index: &snapshot.bytes,
    };
    let content = postcard::to_allocvec(&content).map_err(io::Error::other)?;
    let fresh = path.with_extension(format!("{SNAPSHOT}.tmp"));
    let mut file = File::create(&fresh)?;
    file.write_all(&Sha256::digest(&content))?;
    file.write_all(&content)?;
    file.sync_data()?;
    std::fs::rename(fresh, path)
}

/// Reads the snapshot of a growing file whose stream has `length` bytes; `None` if there is none that is certainly one of
/// these bytes.
pub(super) fn load(growing_path: &Path, growing: &File, length: u64) -> Option<Vec<u8>> {
    let path = path_of(growing_path);
    let bytes = std::fs::read(&path).ok()?;
    let (checksum, content) = bytes.split_at_checked(CHECKSUM)?;
    if Sha256::digest(content)[..] != *checksum {
        return None;
    }
    let content: Content<'_> = postcard::from_bytes(content).ok()?;
    let mut witness = vec![0; content.witness.len()];
    let at = HEAD_ROOM.checked_add(content.witness_at)?;
    let is_of_these_bytes = Some(content.id) == id_of(&path)
        && content.position <= length
        && growing.read_exact_at(&mut witness, at).is_ok()
        && witness == content.witness;
    is_of_these_bytes.then(|| content.index.to_vec())
}

/// Removes the snapshot of a file, if it is a growing one that has one. A leftover is removed by garbage collection.
pub fn remove(growing: &Path) {
    let name = growing.file_name().and_then(|name| name.to_str());
    if !matches!(name.map(ObjectKind::of_name), Some(ObjectKind::Growing(_))) {
        return;
    }
    let path = path_of(growing);
    if let Err(error) = std::fs::remove_file(&path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(path = %path.display(), "a snapshot of an index was not removed: {error}");
    }
}
