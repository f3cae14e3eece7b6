//! Durable state of a staging folder: the parts that the store has.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// File name in the staging folder of a recording.
const FILE: &str = "state.json";
/// Version of the staging folder layout.
const VERSION: u32 = 1;

/// A persistent format: fields may be added, with a default.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    version: u32,
    /// Size of every part but the last. Fixed when the recording begins.
    pub(super) part_size: u64,
    /// The multipart upload, once the first part is sealed.
    pub(super) upload: Option<Upload>,
    /// ETags of the parts confirmed by the store, by index from 0.
    pub(super) parts: BTreeMap<u64, String>,
    /// Durable end of the checkpoint file.
    #[serde(rename = "excerpts")]
    pub(super) checkpoints: CheckpointMark,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Upload {
    /// Id assigned by the store.
    pub(super) id: String,
    /// Extension of the object's key.
    pub(super) extension: String,
}

/// End of the checkpoint file, and the stream offset it covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CheckpointMark {
    /// Length of the file, in bytes.
    pub(super) bytes: u64,
    /// The file has everything the indexer needs before this stream offset.
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

    /// Writes the state durably and atomically.
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
    fn saved_state_is_loaded() -> io::Result<()> {
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
    fn partially_written_state_is_ignored() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        State::new(8).save(folder.path())?;
        std::fs::write(folder.path().join("state.json.tmp"), b"{\"version\":1,")?;
        assert_eq!(State::load(folder.path())?.part_size, 8);
        Ok(())
    }

    #[test]
    fn state_of_another_version_is_refused() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let mut state = State::new(8);
        state.version = 2;
        state.save(folder.path())?;
        assert!(State::load(folder.path()).is_err());
        Ok(())
    }
}
