//! Durable state of every forwarded recording: one file, replaced atomically.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::content::FileVersion;

/// Journal entries by file name.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    entries: Entries,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Entries {
    /// Server that the entries belong to.
    server: String,
    recordings: BTreeMap<String, Entry>,
}

/// State of one recording.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Creation request, stored before it is sent.
    #[serde(rename = "wanted", default, skip_serializing_if = "Option::is_none")]
    pub(super) creation: Option<Creation>,
    /// Address of the upload, once created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) upload: Option<String>,
    /// Earlier uploads that the server has ended; deleted once the recording is confirmed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) outdated: Vec<String>,
    #[serde(default)]
    pub(super) outcome: Outcome,
    /// File whose hash was compared; absent while `outcome` is open, and in journals of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) compared: Option<ComparedFile>,
    /// Whether the server has its pictures, or refuses them.
    #[serde(default)]
    pub(super) pictures: bool,
}

/// File whose hash was compared with that of the server's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ComparedFile {
    /// SHA-256 of the file here, hexadecimal.
    pub(super) sha256: String,
    #[serde(flatten)]
    pub(super) version: FileVersion,
}

/// Creation of an upload. The server answers a repeated request with the same upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Creation {
    pub(super) key: String,
    /// Length of the stream, if known at the first request.
    pub(super) length: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// Not complete on the server.
    #[default]
    Open,
    /// The server has it with the same hash.
    Same,
    /// The server has it with another hash: it is never deleted here.
    Different,
}

impl Journal {
    /// Reads the journal. If it is missing, unreadable or of another server, it is empty: recordings are then sent
    /// again.
    ///
    /// # Errors
    ///
    /// The file exists but cannot be read.
    pub fn open(path: PathBuf, server: &str) -> io::Result<Self> {
        let entries = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::error!("{}: {error}; it begins anew", path.display());
                Entries::default()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Entries::default(),
            Err(error) => return Err(error),
        };
        let entries = if entries.server == server {
            entries
        } else {
            Entries {
                server: server.to_owned(),
                recordings: BTreeMap::new(),
            }
        };
        Ok(Self { path, entries })
    }

    pub(super) fn entry(&self, name: &str) -> Entry {
        self.entries
            .recordings
            .get(name)
            .cloned()
            .unwrap_or_default()
    }

    /// Stores an entry durably.
    pub(super) fn put(&mut self, name: &str, entry: Entry) -> io::Result<()> {
        self.entries.recordings.insert(name.to_owned(), entry);
        self.write()
    }

    /// Removes the entries of recordings that do not exist any more.
    pub(super) fn retain(&mut self, exists: impl Fn(&str) -> bool) -> io::Result<()> {
        let before = self.entries.recordings.len();
        self.entries.recordings.retain(|name, _| exists(name));
        if self.entries.recordings.len() == before {
            return Ok(());
        }
        self.write()
    }

    fn write(&self) -> io::Result<()> {
        let bytes = serde_json::to_vec(&self.entries)?;
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

    fn sent() -> Entry {
        Entry {
            creation: None,
            upload: Some("https://a/api/uploads/1".to_owned()),
            outdated: vec![],
            outcome: Outcome::Same,
            compared: serde_json::from_str(
                r#"{"sha256":"00","size_bytes":3,"modified_s":1,"modified_ns":2}"#,
            )
            .ok(),
            pictures: true,
        }
    }

    #[test]
    fn entries_survive_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("forward.json");
        let open = || Journal::open(path.clone(), "https://a").unwrap();
        let mut journal = open();
        journal.put("a.mp4", sent()).unwrap();
        journal.put("b.mp4", Entry::default()).unwrap();
        let mut journal = open();
        assert!(sent().compared.is_some());
        assert_eq!(journal.entry("a.mp4"), sent());
        journal.retain(|name| name == "b.mp4").unwrap();
        assert_eq!(open().entry("a.mp4"), Entry::default());
    }

    #[test]
    fn journal_of_other_server_or_damaged_journal_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("forward.json");
        let mut journal = Journal::open(path.clone(), "https://a").unwrap();
        journal.put("a.mp4", sent()).unwrap();
        let journal = Journal::open(path.clone(), "https://b").unwrap();
        assert_eq!(journal.entry("a.mp4"), Entry::default());
        fs::write(&path, "{").unwrap();
        let journal = Journal::open(path, "https://a").unwrap();
        assert_eq!(journal.entry("a.mp4"), Entry::default());
    }
}
