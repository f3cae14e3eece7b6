//! How far each recording is: one file, replaced as a whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What is known of recordings, by their names.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    pages: Pages,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Pages {
    /// Where they were sent; with another server all begins anew.
    server: String,
    recordings: BTreeMap<String, Page>,
}

/// What is known of one recording.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Page {
    /// The upload that the server is asked for: written down before it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) wanted: Option<Wanted>,
    /// The upload, once the server has made one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) upload: Option<String>,
    /// Uploads before it, which the server ended early: to be deleted when there is a whole one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) outdated: Vec<String>,
    /// How it ended.
    #[serde(default)]
    pub(super) outcome: Outcome,
}

/// An upload that is asked for. Asked for again, the server gives the same one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wanted {
    /// What it is known by.
    pub(super) key: String,
    /// How long its stream is, if that was known when it was asked for first.
    pub(super) length: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// It is not all there yet.
    #[default]
    Open,
    /// The server has all of it, and shows the same hash.
    Same,
    /// The server has all of it, and finished it otherwise: it is never deleted here for that.
    Different,
}

impl Ledger {
    /// Reads it. One that is not there, of another server, or cannot be understood, is empty: then recordings are sent
    /// again, which costs time and nothing else.
    ///
    /// # Errors
    ///
    /// When it is there and cannot be read.
    pub fn open(path: PathBuf, server: &str) -> io::Result<Self> {
        let pages = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::error!("{}: {error}; it begins anew", path.display());
                Pages::default()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Pages::default(),
            Err(error) => return Err(error),
        };
        let pages = if pages.server == server {
            pages
        } else {
            Pages {
                server: server.to_owned(),
                recordings: BTreeMap::new(),
            }
        };
        Ok(Self { path, pages })
    }

    pub(super) fn page(&self, name: &str) -> Page {
        self.pages.recordings.get(name).cloned().unwrap_or_default()
    }

    /// Writes it down, durably.
    pub(super) fn put(&mut self, name: &str, page: Page) -> io::Result<()> {
        self.pages.recordings.insert(name.to_owned(), page);
        self.write()
    }

    /// Forgets recordings that are no more.
    pub(super) fn retain(&mut self, exists: impl Fn(&str) -> bool) -> io::Result<()> {
        let before = self.pages.recordings.len();
        self.pages.recordings.retain(|name, _| exists(name));
        if self.pages.recordings.len() == before {
            return Ok(());
        }
        self.write()
    }

    fn write(&self) -> io::Result<()> {
        let bytes = serde_json::to_vec(&self.pages)?;
        let new = self.path.with_extension("new");
        fs::write(&new, bytes)?;
        File::open(&new)?.sync_all()?;
        fs::rename(&new, &self.path)?;
        let folder = self.path.parent().filter(|it| *it != Path::new(""));
        File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent() -> Page {
        Page {
            wanted: None,
            upload: Some("https://a/api/uploads/1".to_owned()),
            outdated: vec![],
            outcome: Outcome::Same,
        }
    }

    #[test]
    fn what_was_put_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("forward.json");
        let open = || Ledger::open(path.clone(), "https://a").unwrap();
        let mut ledger = open();
        ledger.put("a.mp4", sent()).unwrap();
        ledger.put("b.mp4", Page::default()).unwrap();
        let mut ledger = open();
        assert_eq!(ledger.page("a.mp4"), sent());
        ledger.retain(|name| name == "b.mp4").unwrap();
        assert_eq!(open().page("a.mp4"), Page::default());
    }

    #[test]
    fn another_server_has_nothing_yet_and_nonsense_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("forward.json");
        let mut ledger = Ledger::open(path.clone(), "https://a").unwrap();
        ledger.put("a.mp4", sent()).unwrap();
        let ledger = Ledger::open(path.clone(), "https://b").unwrap();
        assert_eq!(ledger.page("a.mp4"), Page::default());
        fs::write(&path, "{").unwrap();
        let ledger = Ledger::open(path, "https://a").unwrap();
        assert_eq!(ledger.page("a.mp4"), Page::default());
    }
}
