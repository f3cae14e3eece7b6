//! What the server has promised, and whether its disk and its database keep it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use sortie_api::{Recording, RecordingStatus};
use sortie_media::HEAD_ROOM;

use crate::source::Source;

/// What was promised about one upload.
#[derive(Clone, Debug)]
pub struct Promise {
    /// What is sent.
    pub source: Arc<Source>,
    /// Bytes that the server has said it holds, in whatever answer.
    pub acknowledged: u64,
    /// Every byte and the length were acknowledged: it is finished, or will be by itself.
    pub complete: bool,
    /// Somebody has asked for its deletion: it may be gone.
    pub deleting: bool,
    /// The deletion was acknowledged: it must be gone.
    pub deleted: bool,
}

/// All promises. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Mutex<BTreeMap<String, Promise>>>);

/// What a look at the disk has shown.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Growing objects that were checked.
    pub growing: usize,
    /// Finished objects that were checked.
    pub finished: usize,
    /// Acknowledged bytes in them.
    pub acknowledged: u64,
    /// Bytes that are there though their acknowledgement never arrived.
    pub beyond: u64,
    /// Everything that is wrong, one sentence each.
    pub faults: Vec<String>,
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Promise>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new upload that the server has acknowledged.
    pub fn open(&self, id: &str, source: &Arc<Source>) {
        let promise = Promise {
            source: Arc::clone(source),
            acknowledged: 0,
            complete: false,
            deleting: false,
            deleted: false,
        };
        self.lock().insert(id.to_owned(), promise);
    }

    /// Changes one.
    pub fn note(&self, id: &str, change: impl FnOnce(&mut Promise)) {
        if let Some(promise) = self.lock().get_mut(id) {
            change(promise);
        }
    }

    /// The server says that it holds so many bytes.
    pub fn acknowledge(&self, id: &str, offset: u64) {
        self.note(id, |promise| {
            promise.acknowledged = promise.acknowledged.max(offset);
        });
    }

    /// A copy of all promises.
    pub fn promises(&self) -> BTreeMap<String, Promise> {
        self.lock().clone()
    }

    /// Takes what is acknowledged as deleted off the books.
    pub fn forget_deleted(&self) {
        self.lock().retain(|_, promise| !promise.deleted);
    }

    /// Looks at every object in the folder of a server that does not run.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn check_objects(&self, folder: &Path) -> Result<Findings> {
        let mut findings = Findings::default();
        for (id, promise) in self.promises() {
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
            let (growing, finished) = (read("part")?, read(promise.source.extension())?);
            let mut fault = |what: &str| findings.faults.push(format!("{id}: {what}"));
            match (growing, finished) {
                (None, None) if promise.deleting => continue,
                (None, None) => fault("its object is gone"),
                _ if promise.deleted => fault("its object is there, though it was deleted"),
                // Both are there while what is no container is copied; the growing one counts.
                (Some(object), _) => {
                    findings.growing += 1;
                    // A kill may meet the finish before anybody has heard that everything is there.
                    let (have, sent) = (object.len() as u64, HEAD_ROOM + promise.source.len());
                    let whole = promise.acknowledged == promise.source.len();
                    let finishing = have > sent || whole && have != sent;
                    let checked = if finishing {
                        let checked = promise.source.check_finishing(&object);
                        checked.map(|()| promise.source.len())
                    } else {
                        promise.source.check_growing(&object, promise.acknowledged)
                    };
                    match checked {
                        Ok(have) => findings.beyond += have - promise.acknowledged,
                        Err(damage) => fault(&damage.to_string()),
                    }
                }
                (None, Some(object)) => {
                    findings.finished += 1;
                    if let Err(damage) = promise.source.check_finished(&object) {
                        fault(&format!("finished, but {damage}"));
                    }
                }
            }
            findings.acknowledged += promise.acknowledged;
        }
        Ok(findings)
    }
}

/// Whether database and folder agree, one sentence for each case in which they do not.
///
/// # Errors
/// When the folder cannot be read.
pub fn disagreements(rows: &[Recording], folder: &Path) -> Result<Vec<String>> {
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
        ledger: Ledger,
        source: Arc<Source>,
    }

    fn upload(acknowledged: u64, stored: u64) -> Folder {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let source = Arc::new(Source::pattern(1, 10_000));
        let ledger = Ledger::default();
        ledger.open("a", &source);
        ledger.acknowledge("a", acknowledged);
        let mut object = vec![0; 4096];
        object.extend_from_slice(&source.bytes()[..usize::try_from(stored).expect("small")]);
        std::fs::write(folder.path().join("a.part"), object).expect("a file");
        Folder {
            folder,
            ledger,
            source,
        }
    }

    #[track_caller]
    fn check(at: &Folder, expected: &[&str]) {
        let findings = at.ledger.check_objects(at.folder.path()).expect("a folder");
        assert_eq!(findings.faults, expected);
    }

    #[test]
    fn what_is_kept_is_no_fault() {
        check(&upload(5000, 5000), &[]);
        check(&upload(5000, 7000), &[]);
    }

    #[test]
    fn every_broken_promise_is_found() {
        check(
            &upload(5000, 4999),
            &["a: 5000 bytes were acknowledged, 4999 are there"],
        );
        let at = upload(5000, 5000);
        at.ledger.note("a", |promise| promise.deleted = true);
        check(&at, &["a: its object is there, though it was deleted"]);
        let at = upload(10_000, 10_000);
        at.ledger.note("a", |promise| promise.complete = true);
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
    fn database_and_folder_are_compared_both_ways() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let row: Recording = serde_json::from_value(serde_json::json!({
            "id": "a", "session_id": "s", "user_id": "u", "filename": "f", "size_bytes": 3,
            "duration_seconds": 0.0, "format": "webm", "storage_backend": "local",
            "storage_path": "a.webm", "status": "ready", "created_at": ""
        }))
        .expect("a recording");
        let rows = [row];
        let look = || disagreements(&rows, folder.path()).expect("a folder");
        assert_eq!(look(), ["a is Ready, but a.webm is not there"]);
        std::fs::write(folder.path().join("a.webm"), "abc").expect("a file");
        assert_eq!(look(), [""; 0]);
        std::fs::write(folder.path().join("a.webm"), "ab").expect("a file");
        assert_eq!(look(), ["a has 3 bytes in the database and 2 on the disk"]);
        std::fs::write(folder.path().join("a.webm"), "abc").expect("a file");
        std::fs::write(folder.path().join("b.part"), "").expect("a file");
        assert_eq!(look(), ["b.part (0 bytes) has no row"]);
    }
}
