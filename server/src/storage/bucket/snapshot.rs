//! Content of a snapshot in a staging folder, `index`.
//!
//! Bytes of sealed parts cannot be compared with it. It belongs to the stream nevertheless: its bytes were durable when it
//! was saved, and one that does not fit is removed when the folder is opened, before other bytes can take their place.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sortie_media::Snapshot;

use super::checkpoints::{self, CheckpointFile};
use super::state::CheckpointMark;
use crate::storage::snapshots;
use crate::storage::stored::SNAPSHOT;

/// Content of the file.
#[derive(Serialize, Deserialize)]
struct Content<'a> {
    /// Name of the staging folder.
    folder: &'a str,
    /// Number of bytes of the stream that are indexed.
    position: u64,
    /// End of the checkpoint file, which has everything the indexer needs before `position`. The state is saved less
    /// often: with each part.
    checkpoints: CheckpointMark,
    index: &'a [u8],
}

/// A snapshot that fits its staging folder.
#[derive(Debug)]
pub(super) struct SavedSnapshot {
    pub(super) checkpoints: CheckpointMark,
    pub(super) index: Vec<u8>,
}

/// Path of the snapshot in a staging folder.
pub(super) fn path_in(folder: &Path) -> PathBuf {
    folder.join(SNAPSHOT)
}

fn name_of(folder: &Path) -> Option<&str> {
    folder.file_name()?.to_str()
}

/// Saves a snapshot, after the checkpoints up to `mark`.
pub(super) fn save(folder: &Path, snapshot: &Snapshot, mark: CheckpointMark) -> io::Result<()> {
    CheckpointFile::sync(folder)?;
    let content = Content {
        folder: name_of(folder).unwrap_or_default(),
        position: snapshot.position,
        checkpoints: mark,
        index: &snapshot.bytes,
    };
    snapshots::write(&path_in(folder), &content)
}

/// Reads the snapshot of a folder whose stream has `length` bytes. One that does not fit is removed.
pub(super) fn load(folder: &Path, length: u64) -> Option<SavedSnapshot> {
    let saved = read(folder, length);
    if saved.is_none() {
        remove(folder);
    }
    saved
}

fn read(folder: &Path, length: u64) -> Option<SavedSnapshot> {
    let content = snapshots::read(&path_in(folder))?;
    let Content {
        folder: name,
        position,
        checkpoints,
        index,
    } = postcard::from_bytes(&content).ok()?;
    let stored = std::fs::metadata(folder.join(checkpoints::FILE)).ok()?;
    let fits = Some(name) == name_of(folder)
        && position <= length
        && position <= checkpoints.position
        && checkpoints.bytes <= stored.len();
    fits.then(|| SavedSnapshot {
        checkpoints,
        index: index.to_vec(),
    })
}

/// Removes the snapshot of a folder, if there is one.
pub(super) fn remove(folder: &Path) {
    snapshots::remove(&path_in(folder));
}
