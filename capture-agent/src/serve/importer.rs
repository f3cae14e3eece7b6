//! Imports the recorder's files into the catalog, and follows changes of the folder.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sortie_server::{CapturedFile, ImportError, Importer, open_regular};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::pictures::{self, PICTURES};
use crate::recorder::{Cause, Event, Handle};
use crate::writer::{self, Finished, GROWING, RecoveredFile};

/// Interval of comparisons between folder and catalog: they find what failed before, and changes by other programs.
const COMPARE_INTERVAL: Duration = Duration::from_secs(300);
/// Interval while a file in the folder may still be written.
const RECHECK_INTERVAL: Duration = Duration::from_secs(10);

/// Interval of the check for a forwarding backlog: the disk fills by at most a few MB meanwhile.
const BACKLOG_INTERVAL: Duration = Duration::from_secs(2);

/// Name and session of the newest file, for viewers of the growing file.
pub(super) type CurrentFile = Arc<Mutex<Option<(String, String)>>>;

/// Handles the recorder's events until the channel closes.
pub(super) async fn run(
    importer: Importer,
    folder: PathBuf,
    mut events: mpsc::UnboundedReceiver<Event>,
    last: CurrentFile,
    forwarding: bool,
    recorder: Handle,
) {
    let catalog = Catalog {
        importer,
        folder,
        forwarding,
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
        last,
        sessions: HashMap::new(),
        begun: HashMap::new(),
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
    last: CurrentFile,
    /// Session IDs in the catalog by the recorder's session numbers.
    sessions: HashMap<u64, String>,
    /// Start of each file in progress, Unix time in ms.
    begun: HashMap<String, i64>,
}

impl ImportTask {
    async fn handle_event(&mut self, event: Event) {
        match event {
            Event::Recovered(recovered) => self.recovered(recovered).await,
            Event::Begun {
                session,
                cause,
                name,
            } => {
                tracing::info!(file = name, ?cause, "recording");
                let session = self.session(session);
                *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some((name.clone(), session));
                if cause == Cause::Signal
                    && let Err(error) = self.catalog.importer.began(&name).await
                {
                    tracing::error!("the audit log cannot be written: {error}");
                }
                self.begun.insert(name, now_ms());
            }
            Event::Finished {
                session,
                file,
                interrupted,
            } => {
                let begun = self.begun.remove(&file.name);
                let session = self.session(session);
                self.catalog
                    .import_file(file, session, begun, interrupted)
                    .await;
            }
            Event::Problem(problem) => tracing::error!("{problem}"),
        }
    }

    async fn recovered(&mut self, recovered: RecoveredFile) {
        match recovered {
            RecoveredFile::Finished(file) => {
                tracing::warn!(file = file.name, "finished the recording of an earlier run");
                self.catalog
                    .import_file(file, new_session(), None, true)
                    .await;
            }
            RecoveredFile::Empty(name) => {
                tracing::warn!("removed {name}: it contained no recording")
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
        self.sessions
            .entry(number)
            .or_insert_with(new_session)
            .clone()
    }
}

/// Folder for recordings, and the catalog that lists its files.
#[derive(Clone)]
struct Catalog {
    importer: Importer,
    folder: PathBuf,
    /// Whether recordings are forwarded to a central server.
    forwarding: bool,
}

impl Catalog {
    async fn import_file(
        &self,
        file: Finished,
        session: String,
        begun_ms: Option<i64>,
        interrupted: bool,
    ) {
        let created_ms = begun_ms.unwrap_or_else(|| {
            let path = self.folder.join(&file.name);
            modified_ms(&path) - i64::try_from(file.duration_ms).unwrap_or(0)
        });
        let captured = CapturedFile {
            name: file.name,
            session,
            created_ms,
            duration_ms: file.duration_ms,
            size_bytes: file.size_bytes,
            interrupted,
            forward_pending: self.forwarding,
            failure: None,
        };
        self.import(&captured).await;
        self.import_pictures(&captured.name).await;
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
        let captured = CapturedFile {
            session: new_session(),
            created_ms: modified_ms(&path),
            duration_ms: 0,
            size_bytes,
            interrupted: true,
            forward_pending: false,
            failure: Some(format!(
                "{reason} The file is kept: “sortie-server repair” may save something of it."
            )),
            name,
        };
        self.import(&captured).await;
    }

    async fn import(&self, captured: &CapturedFile) {
        if let Err(error) = self.importer.import(captured).await {
            // The next comparison imports it.
            tracing::error!(file = captured.name, "not in the list yet: {error}");
        }
    }
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
        for file in difference.changed {
            tracing::warn!(file = file.name, "another program has changed it");
            let change =
                self.catalog
                    .importer
                    .change(&file.name, file.size_bytes, file.duration_ms);
            change.await?;
        }
        // If no known file is in the folder, it is probably not mounted.
        let missing = if difference.present {
            difference.missing
        } else {
            HashSet::new()
        };
        for name in missing.intersection(&self.missing) {
            if self.catalog.importer.forget(name).await? {
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
            self.catalog
                .import_file(file, new_session(), None, false)
                .await;
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

/// Known recordings that differ from the folder.
#[derive(Debug, Default)]
struct Difference {
    changed: Vec<Finished>,
    missing: HashSet<String>,
    /// Whether any known file exists.
    present: bool,
    /// Whether a changed file may still be written.
    unsettled: bool,
}

fn compare_files(
    folder: &Path,
    known: Vec<(String, u64)>,
    now: SystemTime,
    cancelled: &AtomicBool,
) -> Difference {
    let mut difference = Difference::default();
    for (name, size_bytes) in known {
        let file = match open_regular(&folder.join(&name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                difference.missing.insert(name);
                continue;
            }
            Err(_) => continue,
        };
        difference.present = true;
        let Ok(metadata) = file.metadata() else {
            continue;
        };
        if metadata.len() == size_bytes {
            continue;
        }
        if writer::is_settled(&metadata, now) {
            difference
                .changed
                .extend(writer::rescan(&file, &name, cancelled));
        } else {
            difference.unsettled = true;
        }
    }
    difference
}

fn new_session() -> String {
    uuid::Uuid::now_v7().to_string()
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

fn modified_ms(path: &Path) -> i64 {
    let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified());
    let since = modified
        .ok()
        .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    since.map_or_else(now_ms, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}
