//! Names of a recording in the bucket, in its row and in the staging folder.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use object_store::path::Path as Key;

use crate::storage::StorageError;

/// Extension of the path of a growing object. The bucket never has such a key.
const GROWING: &str = ".part";
/// Extension of a staging folder that is being removed.
const GONE: &str = ".gone";

/// Naming scheme of a bucket and its staging folder.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    /// `SORTIE_RECORDING_S3_PREFIX`.
    prefix: Arc<str>,
    staging: Arc<Path>,
}

impl Keys {
    pub(super) fn new(prefix: &str, staging: &Path) -> Self {
        Self {
            prefix: prefix.into(),
            staging: staging.into(),
        }
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(super) fn staging(&self) -> &Path {
        &self.staging
    }

    pub(super) fn growing_path(&self, id: &str) -> String {
        format!("{}{id}{GROWING}", self.prefix)
    }

    pub(super) fn finished_path(&self, id: &str, extension: &str) -> String {
        format!("{}{id}.{extension}", self.prefix)
    }

    /// Returns the id of the recording with this growing path.
    pub(super) fn growing_id<'a>(&self, path: &'a str) -> Option<&'a str> {
        let id = path.strip_suffix(GROWING)?;
        // The prefix may have changed since the row was created.
        Some(id.rsplit_once('/').map_or(id, |(_, id)| id))
    }

    pub(super) fn key(path: &str) -> Result<Key, StorageError> {
        Key::parse(path).map_err(|_| StorageError::Missing)
    }

    pub(super) fn finished(&self, id: &str, extension: &str) -> Result<Key, StorageError> {
        Self::key(&self.finished_path(id, extension))
    }

    /// Returns the staging folder of a recording, whose id must be a plain name.
    pub(super) fn folder(&self, id: &str) -> Result<PathBuf, StorageError> {
        let mut parts = Path::new(id).components();
        match (parts.next(), parts.next()) {
            (Some(Component::Normal(_)), None) if !id.ends_with(GONE) => Ok(self.staging.join(id)),
            _ => Err(StorageError::Missing),
        }
    }

    /// Returns the name of a staging folder while it is removed.
    pub(super) fn gone(folder: &Path) -> PathBuf {
        let mut name = folder.as_os_str().to_owned();
        name.push(GONE);
        name.into()
    }

    pub(super) fn is_gone(folder: &Path) -> bool {
        folder.to_str().is_some_and(|name| name.ends_with(GONE))
    }

    /// Returns the recording id in the name of a staging folder.
    pub(super) fn id_of(folder_name: &str) -> &str {
        folder_name.strip_suffix(GONE).unwrap_or(folder_name)
    }
}

/// Extensions of finished objects.
pub(super) const EXTENSIONS: [&str; 4] = ["webm", "mkv", "mp4", crate::storage::RAW_EXTENSION];

/// Content type of an object, for clients that download it from the store.
pub(super) fn media_type(extension: &str) -> &'static str {
    match extension {
        "webm" => "video/webm",
        "mkv" => "video/x-matroska",
        "mp4" => "video/mp4",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_keys_follow_the_scheme() -> Result<(), StorageError> {
        let keys = Keys::new("some/where/", Path::new("/staging"));
        assert_eq!(keys.growing_path("id"), "some/where/id.part");
        assert_eq!(keys.growing_id("some/where/id.part"), Some("id"));
        assert_eq!(keys.growing_id("else/where/id.part"), Some("id"));
        assert_eq!(keys.growing_id("some/where/id.webm"), None);
        assert_eq!(keys.finished("id", "webm")?.as_ref(), "some/where/id.webm");
        assert_eq!(keys.folder("id")?, Path::new("/staging/id"));
        Ok(())
    }

    #[test]
    fn ids_cannot_lead_out_of_the_staging_folder() {
        let keys = Keys::new("", Path::new("/staging"));
        for id in ["..", "a/b", "/etc", "", "id.gone"] {
            assert!(keys.folder(id).is_err(), "{id:?}");
        }
    }
}
