//! Content of a snapshot beside a growing file, `<id>.index`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sortie_media::{HEAD_ROOM, Snapshot};

use crate::storage::ObjectKind;
use crate::storage::snapshots;
use crate::storage::stored::SNAPSHOT;

/// Content of the file.
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

/// Path of the snapshot of a growing file.
pub(super) fn path_of(growing: &Path) -> PathBuf {
    growing.with_extension(SNAPSHOT)
}

/// Id of the recording in a growing file.
fn id_of(path: &Path) -> Option<&str> {
    path.file_stem()?.to_str()
}

/// Saves a snapshot of a growing file.
pub(super) fn save(path: &Path, snapshot: &Snapshot, growing: &File) -> io::Result<()> {
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
    snapshots::write(path, &content)
}

/// Reads the snapshot of a growing file whose stream has `length` bytes; `None` if there is none that is certainly one of
/// these bytes.
pub(super) fn load(growing_path: &Path, growing: &File, length: u64) -> Option<Vec<u8>> {
    let path = path_of(growing_path);
    let content = snapshots::read(&path)?;
    let content: Content<'_> = postcard::from_bytes(&content).ok()?;
    let mut witness = vec![0; content.witness.len()];
    let at = HEAD_ROOM.checked_add(content.witness_at)?;
    let is_of_these_bytes = Some(content.id) == id_of(&path)
        && content.position <= length
        && growing.read_exact_at(&mut witness, at).is_ok()
        && witness == content.witness;
    is_of_these_bytes.then(|| content.index.to_vec())
}

/// Removes the snapshot of a file, if it is a growing one that has one.
pub fn remove(growing: &Path) {
    let name = growing.file_name().and_then(|name| name.to_str());
    if matches!(name.map(ObjectKind::of_name), Some(ObjectKind::Growing(_))) {
        snapshots::remove(&path_of(growing));
    }
}
