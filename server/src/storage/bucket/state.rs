//! What must outlive the process, besides the bytes: which parts the store has.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The file in a recording's staging folder.
const FILE: &str = "state.json";
/// The layout of the staging folder that this program writes.
const VERSION: u32 = 1;

/// A stored format: fields may be added, with a default.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    version: u32,
    /// Bytes of every part but the last. It stays what it was when the recording began.
    pub(super) part_size: u64,
    /// The multipart upload, from the first sealed part on.
    pub(super) upload: Option<Upload>,
    /// The parts that the store has confirmed, by index from 0, with what it calls each.
    pub(super) parts: BTreeMap<u64, String>,
    /// How far the checkpoints are durable.
    #[serde(rename = "excerpts")]
    pub(super) checkpoints: CheckpointMark,
}

/// A multipart upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Upload {
    /// The store's name for it.
    pub(super) id: String,
    /// The ending of its object's key.
    pub(super) extension: String,
}

/// A place in the checkpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CheckpointMark {
    /// Length of the file, in bytes.
    pub(super) bytes: u64,
    /// The stream offset up to which everything that an index needs is in it.
    pub(super) position: u64,
}

impl State {
    pub(super) fn new(part_size: u64) -> Self {
        Self {
            version: VERSION,
            part_size,
            upload: None,
            parts: BTreeMap::new(),
            checkpoints: CheckpointMark::default(),
        }
    }

    /// Reads what the last [`State::save`] wrote.
    pub(super) fn load(folder: &Path) -> io::Result<Self> {
        let state: Self =
            serde_json::from_slice(&std::fs::read(folder.join(FILE))?).map_err(io::Error::other)?;
        if state.version != VERSION || state.part_size == 0 {
            return Err(io::Error::other(format!(
                "{} was written by another version ({})",
                folder.join(FILE).display(),
                state.version
            )));
        }
        Ok(state)
    }

    /// Writes it durably. After a crash there is either the old or the new, whole.
    pub(super) fn save(&self, folder: &Path) -> io::Result<()> {
        let fresh = folder.join("state.json.tmp");
        let mut file = File::create(&fresh)?;
        file.write_all(&serde_json::to_vec(self).map_err(io::Error::other)?)?;
        file.sync_all()?;
        std::fs::rename(&fresh, folder.join(FILE))?;
        File::open(folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_survives() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let mut state = State::new(8);
        state.save(folder.path())?;
        assert_eq!(State::load(folder.path())?.upload, None);
        state.upload = Some(Upload {
            id: "an id".to_owned(),
            extension: "webm".to_owned(),
        });
        state.parts.insert(1, "\"etag\"".to_owned());
        state.checkpoints = CheckpointMark {
            bytes: 20,
            position: 17,
        };
        state.save(folder.path())?;
        let loaded = State::load(folder.path())?;
        assert_eq!(loaded.upload, state.upload);
        assert_eq!(loaded.parts, state.parts);
        assert_eq!(loaded.checkpoints, state.checkpoints);
        Ok(())
    }

    #[test]
    fn half_a_new_state_is_not_believed() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        State::new(8).save(folder.path())?;
        std::fs::write(folder.path().join("state.json.tmp"), b"{\"version\":1,")?;
        assert_eq!(State::load(folder.path())?.part_size, 8);
        Ok(())
    }

    #[test]
    fn another_version_is_refused() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let mut state = State::new(8);
        state.version = 2;
        state.save(folder.path())?;
        assert!(State::load(folder.path()).is_err());
        Ok(())
    }
}
