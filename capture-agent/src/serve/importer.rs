//! Imports the recorder's files into the catalog, and follows changes of the folder.

use std::collections::{HashMap, HashSet};
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use sortie_server::{CapturedFile, ImportError, ImportedFile, Importer, open_regular};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::pictures::{self, PICTURES};
use crate::recorder::{Cause, Event, Handle};
use crate::writer::{self, FinishError, Finished, GROWING, RecoveredFile};

/// Interval of comparisons between folder and catalog: they find what failed before, and changes by other programs.
const COMPARE_INTERVAL: Duration = Duration::from_secs(30);
/// Interval while a file in the folder may still be written.
const RECHECK_INTERVAL: Duration = Duration::from_secs(10);

/// Interval of the check for a forwarding backlog: the disk fills by at most a few MB meanwhile.
const BACKLOG_INTERVAL: Duration = Duration::from_secs(2);

/// Limit of the files that wait for their import, as when the database cannot be written.
const BEGUN_MAX: usize = 64;

/// Files from their beginning to their import, the newest last. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct BegunFiles(Arc<Mutex<Vec<BegunFile>>>);

impl BegunFiles {
    pub(super) fn newest(&self) -> Option<BegunFile> {
        self.files().last().cloned()
    }

    fn insert(&self, file: BegunFile) {
        let mut files = self.files();
        // A file that ended empty is removed, and its name is used again.
        files.retain(|it| it.name != file.name);
        if files.len() == BEGUN_MAX {
            files.remove(0);
        }
        files.push(file);
    }

    pub(super) fn get(&self, name: &str) -> Option<BegunFile> {
        self.files().iter().find(|file| file.name == name).cloned()
    }

    fn remove(&self, name: &str) {
        self.files().retain(|file| file.name != name);
    }

    fn files(&self) -> MutexGuard<'_, Vec<BegunFile>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that the recorder has begun.
#[derive(Debug, Clone)]
pub(super) struct BegunFile {
    pub(super) name: String,
    /// ID of the recording.
    pub(super) id: String,
    /// ID of the session in the catalog.
    pub(super) session: String,
    /// Unix time in ms.
    pub(super) begun_ms: i64,
}

/// Handles the recorder's events until the channel closes.
pub(super) async fn run(
    importer: Importer,
    folder: PathBuf,
    mut events: mpsc::UnboundedReceiver<Event>,
    begun: BegunFiles,
    forwarding: bool,
    recorder: Handle,
) {
    let catalog = Catalog {
        importer,
        folder,
        forwarding,
        begun,
    };
    let comparison = Comparison {
        catalog: catalog.clone(),
        missing: HashSet::new(),
        cancelled: Arc::default(),
    };
    // Reading large files must delay neither the recorder's events nor the end of this task.
    let mut comparing = JoinSet::new();
    comparing.spawn(comparison.run());
    let mut task = ImportTask {
        catalog,
        sessions: HashMap::new(),
    };
    let mut backlog = tokio::time::interval(BACKLOG_INTERVAL);
    backlog.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Some(event) => task.handle_event(event).await,
                None => return,
            },
            _ = backlog.tick(), if forwarding => {
                match task.catalog.importer.awaits_forwarding().await {
                    Ok(backlog) => recorder.set_backlog(backlog),
                    Err(error) => tracing::error!("the forwarding backlog is unknown: {error}"),
                }
            }
        }
    }
}

struct ImportTask {
    catalog: Catalog,
    /// Session IDs in the catalog by the recorder's session numbers.
    sessions: HashMap<u64, String>,
}

impl ImportTask {
    async fn handle_event(&mut self, event: Event) {
        match event {
            Event::Recovered(recovered) => self.recovered(recovered).await,
            Event::Begun {
                session,
                cause,
                name,
                age,
            } => {
                tracing::info!(file = name, ?cause, "recording");
                let age = i64::try_from(age.as_millis()).unwrap_or_default();
                let begun = BegunFile {
                    name: name.clone(),
                    id: uuid::Uuid::now_v7().to_string(),
                    session: self.session(session),
                    begun_ms: now_ms().saturating_sub(age),
                };
                self.catalog.begun.insert(begun);
                if cause == Cause::Signal
                    && let Err(error) = self.catalog.importer.began(&name).await
                {
                    tracing::error!("the audit log cannot be written: {error}");
                }
            }
            Event::Finished {
                session,
                file,
                interrupted,
            } => {
                let session = self.session(session);
                self.catalog.import_file(file, session, interrupted).await;
            }
            Event::Problem(problem) => tracing::error!("{problem}"),
        }
    }

    async fn recovered(&mut self, recovered: RecoveredFile) {
        match recovered {
            RecoveredFile::Finished(file) => {
                tracing::warn!(file = file.name, "finished the recording of an earlier run");
                self.catalog.import_file(file, new_id(), true).await;
            }
            RecoveredFile::Empty(name) => {
                tracing::warn!("removed {name}: it contained no recording");
                self.catalog.begun.remove(&name);
            }
            RecoveredFile::Damaged(name, reason) => {
                tracing::error!("{name} cannot be played: {reason}");
                self.catalog.import_damaged(name, &reason.to_string()).await;
            }
            RecoveredFile::InUse(name) => tracing::error!("{name} is written by another program"),
            RecoveredFile::Stays(name, error) => {
                tracing::error!("{name} stays unfinished: {error}")
            }
        }
    }

    fn session(&mut self, number: u64) -> String {
        // A file can belong to the current session or the one before, not to an older one.
        self.sessions.retain(|known, _| *known + 2 > number);
        self.sessions.entry(number).or_insert_with(new_id).clone()
    }
}

/// Folder for recordings, and the catalog that lists its files.
#[derive(Clone)]
struct Catalog {
    importer: Importer,
    folder: PathBuf,
    /// Whether recordings are forwarded to a central server.
    forwarding: bool,
    begun: BegunFiles,
}

impl Catalog {
    async fn import_file(&self, file: Finished, session: String, interrupted: bool) {
        let (folder, modified_ms) = self.seen(&file.name);
        let duration_ms = i64::try_from(file.duration_ms).unwrap_or(0);
        let captured = CapturedFile {
            name: file.name,
            session,
            created_ms: modified_ms
                .unwrap_or_else(now_ms)
                .saturating_sub(duration_ms),
            duration_ms: file.duration_ms,
            size_bytes: file.size_bytes,
            modified_ms,
            folder,
            interrupted,
            forward_pending: self.forwarding,
            failure: None,
        };
        let name = captured.name.clone();
        self.import(captured).await;
        self.import_pictures(&name).await;
    }

    /// Returns identity of the folder and modification time of a file in it, Unix time in ms.
    fn seen(&self, name: &str) -> (Option<String>, Option<i64>) {
        let metadata = std::fs::symlink_metadata(self.folder.join(name)).ok();
        (identity(&self.folder), metadata.as_ref().map(modified_ms))
    }

    /// Moves the pictures of a recording into the catalog.
    async fn import_pictures(&self, name: &str) {
        let (folder, of) = (self.folder.clone(), name.to_owned());
        let read = tokio::task::spawn_blocking(move || pictures::read(&folder, &of)).await;
        let pictures = match read.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(pictures) => pictures,
            Err(error) => {
                tracing::error!(file = name, "its pictures cannot be read: {error}");
                return;
            }
        };
        match self.importer.add_pictures(name, pictures).await {
            Ok(true) => self.remove_pictures(name),
            // The next comparison imports the recording and its pictures.
            Ok(false) => {}
            Err(error) => tracing::error!(file = name, "its pictures are not stored: {error}"),
        }
    }

    fn remove_pictures(&self, name: &str) {
        let path = self.folder.join(format!("{name}{PICTURES}"));
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::error!("{}: {error}", path.display());
            }
            _ => {}
        }
    }

    /// Imports pictures that an earlier attempt or a crash has left, and removes those of deleted recordings.
    async fn import_left_pictures(&self) {
        let folder = self.folder.clone();
        let names = tokio::task::spawn_blocking(move || pictures::names(&folder));
        for name in names.await.unwrap_or_default() {
            // Checked in the order of the rename, so that the recording is found at any moment.
            if self.folder.join(format!("{name}{GROWING}")).exists() {
                continue;
            }
            if self.folder.join(&name).exists() {
                self.import_pictures(&name).await;
            } else {
                self.remove_pictures(&name);
            }
        }
    }

    /// Imports a file that cannot be played as `failed`; it stays until the user deletes it.
    async fn import_damaged(&self, name: String, reason: &str) {
        let path = self.folder.join(&name);
        let size_bytes = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
        let (folder, modified_ms) = self.seen(&name);
        let captured = CapturedFile {
            session: new_id(),
            created_ms: modified_ms.unwrap_or_else(now_ms),
            duration_ms: 0,
            size_bytes,
            modified_ms,
            folder,
            interrupted: true,
            forward_pending: false,
            failure: Some(format!(
                "{reason} The file is kept: “sortie-server repair” may save something of it."
            )),
            name,
        };
        self.import(captured).await;
    }

    /// Imports a file with the ID, session and time that it got when it was begun, if that was in this run.
    async fn import(&self, mut captured: CapturedFile) {
        let mut id = new_id();
        if let Some(begun) = self.begun.get(&captured.name) {
            (id, captured.session) = (begun.id, begun.session);
            captured.created_ms = begun.begun_ms;
        }
        match self.importer.import_as(id, &captured).await {
            Ok(_) => self.begun.remove(&captured.name),
            // The next comparison imports it.
            Err(error) => tracing::error!(file = captured.name, "not in the list yet: {error}"),
        }
    }
}

/// Identifies a folder across restarts, by its file system and its creation: another disk at the same place, or the folder
/// below an unmounted disk, is another folder.
fn identity(folder: &Path) -> Option<String> {
    let metadata = std::fs::metadata(folder).ok()?;
    let disk = rustix::fs::statvfs(folder).ok()?;
    let born = metadata.created().ok();
    let born = born.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    let born = born.unwrap_or_default().as_nanos();
    Some(format!("{:x}-{:x}-{born:x}", disk.f_fsid, metadata.ino()))
}

/// State of the repeated comparison of folder and catalog.
struct Comparison {
    catalog: Catalog,
    /// Recordings whose file was missing at the last comparison.
    missing: HashSet<String>,
    /// Ends the threads that read files.
    cancelled: Arc<AtomicBool>,
}

impl Drop for Comparison {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

impl Comparison {
    async fn run(mut self) {
        loop {
            let unsettled = self.compare().await;
            tokio::time::sleep(if unsettled {
                RECHECK_INTERVAL
            } else {
                COMPARE_INTERVAL
            })
            .await;
        }
    }

    /// Compares folder and catalog in both directions; `true` if a file must be checked again soon.
    async fn compare(&mut self) -> bool {
        let compared = match self.follow_changes().await {
            Ok(unsettled) => self.import_missing().await.map(|more| unsettled || more),
            Err(error) => Err(error),
        };
        compared.unwrap_or_else(|error| {
            tracing::error!("folder and list cannot be compared: {error}");
            false
        })
    }

    /// Updates or removes recordings whose files other programs have changed or removed.
    async fn follow_changes(&mut self) -> Result<bool, ImportError> {
        let known = self.catalog.importer.files().await?;
        let folder = self.catalog.folder.clone();
        let now = SystemTime::from(jiff::Timestamp::now());
        let cancelled = Arc::clone(&self.cancelled);
        let looked =
            tokio::task::spawn_blocking(move || compare_files(&folder, known, now, &cancelled));
        let Ok(difference) = looked.await else {
            return Ok(false);
        };
        let importer = &self.catalog.importer;
        let here = difference.folder;
        for (file, modified_ms) in difference.changed {
            tracing::warn!(file = file.name, "another program has changed it");
            let change = importer.change(&file.name, file.size_bytes, file.duration_ms);
            change.await?;
            let seen = importer.set_seen(&file.name, modified_ms, here.as_deref());
            seen.await?;
        }
        for (name, modified_ms) in difference.undated {
            let seen = importer.set_seen(&name, modified_ms, here.as_deref());
            seen.await?;
        }
        for (name, reason) in difference.unlisted {
            if importer.forget(&name, reason).await? {
                tracing::warn!(file = name, "{reason}");
            }
        }
        let missing = difference.missing;
        for name in missing.intersection(&self.missing) {
            if importer.forget(name, REMOVED).await? {
                tracing::warn!(
                    file = name,
                    "removed from the list: another program has deleted the file"
                );
            }
        }
        let again = !missing.is_subset(&self.missing);
        self.missing = missing;
        Ok(difference.unsettled || again)
    }

    /// Imports files that are not in the catalog.
    async fn import_missing(&self) -> Result<bool, ImportError> {
        let known = self.catalog.importer.names().await?;
        let folder = self.catalog.folder.clone();
        let now = SystemTime::from(jiff::Timestamp::now());
        let cancelled = Arc::clone(&self.cancelled);
        let found = tokio::task::spawn_blocking(move || {
            let damaged = writer::damaged(&folder, &known);
            (writer::finished(&folder, &known, now, &cancelled), damaged)
        });
        let (found, damaged) = found.await.unwrap_or_default();
        for file in found.recordings {
            self.catalog.import_file(file, new_id(), false).await;
        }
        for (name, reason) in found.unplayable {
            tracing::warn!("{name} cannot be played: {reason}");
            self.catalog.import_damaged(name, &reason.to_string()).await;
        }
        for name in damaged {
            self.catalog
                .import_damaged(name, "It cannot be played.")
                .await;
        }
        self.catalog.import_left_pictures().await;
        Ok(found.unsettled)
    }
}

/// Reasons in the audit log.
const REMOVED: &str = "the file was removed from the folder by another program";
const REPLACED: &str = "the file, which could not be played, was changed by another program";
const DAMAGED: &str = "the file was changed by another program and cannot be played any more";

/// Difference of modification times that says nothing: file systems store them in steps of up to two seconds.
const TIME_STEP_MS: u64 = 2_000;

/// Known recordings that differ from the folder.
#[derive(Debug, Default)]
struct Difference {
    /// Changed files with their modification times.
    changed: Vec<(Finished, i64)>,
    /// Unchanged files whose modification time or folder is not known yet, with that time.
    undated: Vec<(String, i64)>,
    /// Changed files that must be imported again, with the reason.
    unlisted: Vec<(String, &'static str)>,
    /// Files that were seen in this folder and are not there any more.
    missing: HashSet<String>,
    /// Identity of the folder; `None` if another one has taken its place meanwhile.
    folder: Option<String>,
    /// Whether a changed file may still be written.
    unsettled: bool,
}

fn compare_files(
    folder: &Path,
    known: Vec<ImportedFile>,
    now: SystemTime,
    cancelled: &AtomicBool,
) -> Difference {
    let mut difference = Difference::default();
    let here = identity(folder);
    for known in known {
        let name = known.name;
        let file = match open_regular(&folder.join(&name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // In another folder, as below an unmounted disk, its absence says nothing.
                if here.is_some() && known.folder == here {
                    difference.missing.insert(name);
                }
                continue;
            }
            Err(_) => continue,
        };
        let Ok(metadata) = file.metadata() else {
            continue;
        };
        let modified_ms = modified_ms(&metadata);
        let is_same_time = |ms: i64| ms.abs_diff(modified_ms) <= TIME_STEP_MS;
        if metadata.len() == known.size_bytes && known.modified_ms.is_none_or(is_same_time) {
            if known.modified_ms.is_none() || known.folder != here {
                difference.undated.push((name, modified_ms));
            }
        } else if !writer::is_settled(&metadata, now) {
            difference.unsettled = true;
        } else if known.is_failed {
            difference.unlisted.push((name, REPLACED));
        } else {
            match writer::rescan(&file, &name, cancelled) {
                Ok(file) => difference.changed.push((file, modified_ms)),
                Err(FinishError::Unplayable(_)) if writer::is_abandoned(&metadata, now) => {
                    difference.unlisted.push((name, DAMAGED));
                }
                Err(_) => {}
            }
        }
    }
    difference.folder = here.filter(|here| identity(folder).as_ref() == Some(here));
    if difference.folder.is_none() {
        // Mounted or unmounted meanwhile: the files may be those of either folder.
        return Difference {
            unsettled: true,
            ..Difference::default()
        };
    }
    difference
}

fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

fn modified_ms(metadata: &Metadata) -> i64 {
    let ms = metadata.mtime_nsec() / 1_000_000;
    metadata.mtime().saturating_mul(1000).saturating_add(ms)
}
