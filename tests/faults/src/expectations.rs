//! Expected state of every upload according to the server's answers, compared with its disk and database.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use sortie_api::{Recording, RecordingStatus};
use sortie_media::HEAD_ROOM;

use crate::source::Source;

/// Expected state of one upload.
#[derive(Clone, Debug)]
pub struct Expectation {
    pub source: Arc<Source>,
    /// Highest offset that any answer has acknowledged.
    pub acknowledged: u64,
    /// Every byte and the length were acknowledged: the upload is finished or will be automatically.
    pub complete: bool,
    /// A deletion was requested: the upload may be gone.
    pub deleting: bool,
    /// The deletion was acknowledged: the upload must be gone.
    pub deleted: bool,
}

/// Expected states of all uploads by ID. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Expectations(Arc<Mutex<BTreeMap<String, Expectation>>>);

/// Result of checking the stored objects.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    pub growing: usize,
    pub finished: usize,
    /// Acknowledged bytes in them.
    pub acknowledged: u64,
    /// Stored bytes whose acknowledgement was lost.
    pub beyond: u64,
    /// One sentence per fault.
    pub faults: Vec<String>,
}

impl Expectations {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Expectation>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a newly created upload.
    pub fn insert(&self, id: &str, source: &Arc<Source>) {
        let expected = Expectation {
            source: Arc::clone(source),
            acknowledged: 0,
            complete: false,
            deleting: false,
            deleted: false,
        };
        self.lock().insert(id.to_owned(), expected);
    }

    pub fn update(&self, id: &str, change: impl FnOnce(&mut Expectation)) {
        if let Some(expected) = self.lock().get_mut(id) {
            change(expected);
        }
    }

    /// Raises the acknowledged offset of an upload.
    pub fn acknowledge(&self, id: &str, offset: u64) {
        self.update(id, |expected| {
            expected.acknowledged = expected.acknowledged.max(offset);
        });
    }

    pub fn snapshot(&self) -> BTreeMap<String, Expectation> {
        self.lock().clone()
    }

    /// Removes uploads whose deletion was acknowledged.
    pub fn remove_deleted(&self) {
        self.lock().retain(|_, expected| !expected.deleted);
    }

    /// Checks every object in the folder of a stopped server.
    pub fn check_objects(&self, folder: &Path) -> Result<Findings> {
        let mut findings = Findings::default();
        for (id, expected) in self.snapshot() {
            let read = |extension: &str| {
                let path = folder.join(format!("{id}.{extension}"));
                match std::fs::read(&path) {
                    Ok(bytes) => Ok(Some(bytes)),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                    Err(error) => {
                        Err(error).with_context(|| format!("cannot read {}", path.display()))
                    }
                }
            };
            let (growing, finished) = (read("part")?, read(expected.source.extension())?);
            let mut fault = |what: &str| findings.faults.push(format!("{id}: {what}"));
            match (growing, finished) {
                (None, None) if expected.deleting => continue,
                (None, None) => fault("its object is gone"),
                _ if expected.deleted => fault("its object is there, though it was deleted"),
                // Growing and finished object both exist while raw data is copied; the growing object counts.
                (Some(object), _) => {
                    findings.growing += 1;
                    // A kill may interrupt the finish before the client knows that all bytes were received.
                    let (have, sent) = (object.len() as u64, HEAD_ROOM + expected.source.len());
                    let whole = expected.acknowledged == expected.source.len();
                    let finishing = have > sent || whole && have != sent;
                    let checked = if finishing {
                        let checked = expected.source.check_finishing(&object);
                        checked.map(|()| expected.source.len())
                    } else {
                        expected
                            .source
                            .check_growing(&object, expected.acknowledged)
                    };
                    match checked {
                        Ok(have) => findings.beyond += have - expected.acknowledged,
                        Err(damage) => fault(&damage.to_string()),
                    }
                }
                (None, Some(object)) => {
                    findings.finished += 1;
                    if let Err(damage) = expected.source.check_finished(&object) {
                        fault(&format!("finished, but {damage}"));
                    }
                }
            }
            findings.acknowledged += expected.acknowledged;
        }
        Ok(findings)
    }
}

/// Differences between database and folder, one sentence each.
pub fn inconsistencies(rows: &[Recording], folder: &Path) -> Result<Vec<String>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        files.insert(name, entry.metadata()?.len());
    }
    let mut wanted = BTreeSet::new();
    let mut faults = Vec::new();
    for row in rows {
        let growing = format!("{}.part", row.id);
        let name = match row.status {
            RecordingStatus::Ready | RecordingStatus::Failed => &row.storage_path,
            _ if files.contains_key(&growing) => &growing,
            _ => &row.storage_path,
        };
        match files.get(name) {
            None => faults.push(format!(
                "{} is {:?}, but {name} is not there",
                row.id, row.status
            )),
            Some(size)
                if matches!(row.status, RecordingStatus::Ready | RecordingStatus::Failed)
                    && *size != row.size_bytes =>
            {
                faults.push(format!(
                    "{} has {} bytes in the database and {size} on the disk",
                    row.id, row.size_bytes
                ));
            }
            Some(_) => {}
        }
        wanted.insert(name.clone());
    }
    for name in files.keys().filter(|name| !wanted.contains(*name)) {
        let size = files[name];
        faults.push(format!("{name} ({size} bytes) has no row"));
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder {
        folder: tempfile::TempDir,
        expectations: Expectations,
        source: Arc<Source>,
    }

    fn upload(acknowledged: u64, stored: u64) -> Folder {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let source = Arc::new(Source::pattern(1, 10_000));
        let expectations = Expectations::default();
        expectations.insert("a", &source);
        expectations.acknowledge("a", acknowledged);
        let mut object = vec![0; 4096];
        object.extend_from_slice(&source.bytes()[..usize::try_from(stored).expect("small")]);
        std::fs::write(folder.path().join("a.part"), object).expect("a file");
        Folder {
            folder,
            expectations,
            source,
        }
    }

    #[track_caller]
    fn check(at: &Folder, expected: &[&str]) {
        let findings = at
            .expectations
            .check_objects(at.folder.path())
            .expect("a folder");
        assert_eq!(findings.faults, expected);
    }

    #[test]
    fn acknowledged_and_further_bytes_are_no_fault() {
        check(&upload(5000, 5000), &[]);
        check(&upload(5000, 7000), &[]);
    }

    #[test]
    fn lost_deleted_and_changed_objects_are_reported() {
        check(
            &upload(5000, 4999),
            &["a: 5000 bytes were acknowledged, 4999 are there"],
        );
        let at = upload(5000, 5000);
        at.expectations
            .update("a", |expected| expected.deleted = true);
        check(&at, &["a: its object is there, though it was deleted"]);
        let at = upload(10_000, 10_000);
        at.expectations
            .update("a", |expected| expected.complete = true);
        check(&at, &[]);
        let part = at.folder.path().join("a.part");
        std::fs::remove_file(&part).expect("a file");
        check(&at, &["a: its object is gone"]);
        let mut object = at.source.bytes().to_vec();
        std::fs::write(at.folder.path().join("a.bin"), &object).expect("a file");
        check(&at, &[]);
        object[77] ^= 1;
        std::fs::write(at.folder.path().join("a.bin"), &object).expect("a file");
        check(
            &at,
            &["a: finished, but other bytes at 77 than what was sent"],
        );
    }

    #[test]
    fn missing_files_wrong_sizes_and_orphans_are_reported() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let row: Recording = serde_json::from_value(serde_json::json!({
            "id": "a", "session_id": "s", "user_id": "u", "filename": "f", "size_bytes": 3,
            "duration_seconds": 0.0, "format": "webm", "storage_backend": "local",
            "storage_path": "a.webm", "status": "ready", "created_at": ""
        }))
        .expect("a recording");
        let rows = [row];
        let compare = || inconsistencies(&rows, folder.path()).expect("a folder");
        assert_eq!(compare(), ["a is Ready, but a.webm is not there"]);
        std::fs::write(folder.path().join("a.webm"), "abc").expect("a file");
        assert_eq!(compare(), [""; 0]);
        std::fs::write(folder.path().join("a.webm"), "ab").expect("a file");
        assert_eq!(
            compare(),
            ["a has 3 bytes in the database and 2 on the disk"]
        );
        std::fs::write(folder.path().join("a.webm"), "abc").expect("a file");
        std::fs::write(folder.path().join("b.part"), "").expect("a file");
        assert_eq!(compare(), ["b.part (0 bytes) has no row"]);
    }
}
