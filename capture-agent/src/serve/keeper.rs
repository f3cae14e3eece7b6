//! Makes the catalog follow the folder.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sortie_server::{CapturedFile, ImportError, Importer, open_regular};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use crate::recorder::{Cause, Event, Handle};
use crate::writer::{self, Finished, Leftover};

/// How often folder and catalog are compared anyway: after a failure, or when another program has changed the folder.
const COMPARE_EVERY: Duration = Duration::from_secs(300);
/// … when a file there has changed a moment ago.
const COMPARE_SOON: Duration = Duration::from_secs(10);

/// Interval of the check for a forwarding backlog: the disk fills by at most a few MB meanwhile.
const BACKLOG_EVERY: Duration = Duration::from_secs(2);

/// The file that was begun last, by its name, and its session: as soon as there is one, for who looks at it while it
/// grows.
pub(super) type Begun = Arc<Mutex<Option<(String, String)>>>;

/// Takes in what the recorder says until it says no more.
pub(super) async fn keep(
    importer: Importer,
    folder: PathBuf,
    mut events: mpsc::UnboundedReceiver<Event>,
    last: Begun,
    forwarding: bool,
    recorder: Handle,
) {
    let mut keeper = Keeper {
        importer,
        folder,
        last,
        forwarding,
        sessions: HashMap::new(),
        begun: HashMap::new(),
        missing: HashSet::new(),
    };
    let mut next = Instant::now();
    let mut backlog = tokio::time::interval(BACKLOG_EVERY);
    backlog.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Some(event) => keeper.hear(event).await,
                None => return,
            },
            _ = backlog.tick(), if forwarding => {
                match keeper.importer.awaits_forwarding().await {
                    Ok(backlog) => recorder.set_backlog(backlog),
                    Err(error) => tracing::error!("the forwarding backlog is unknown: {error}"),
                }
            }
            () = tokio::time::sleep_until(next) => {
                let unsettled = keeper.compare().await;
                next = Instant::now() + if unsettled { COMPARE_SOON } else { COMPARE_EVERY };
            }
        }
    }
}

struct Keeper {
    importer: Importer,
    folder: PathBuf,
    last: Begun,
    /// Whether a central server gets every recording.
    forwarding: bool,
    /// Recordings whose file was not there at the last comparison.
    missing: HashSet<String>,
    /// The recorder's numbers, and what the catalog calls them.
    sessions: HashMap<u64, String>,
    /// When each file was begun, in milliseconds since 1970.
    begun: HashMap<String, i64>,
}

impl Keeper {
    async fn hear(&mut self, event: Event) {
        match event {
            Event::Leftover(leftover) => self.leftover(leftover).await,
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
                    && let Err(error) = self.importer.began(&name).await
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
                self.adopt(file, session, begun, interrupted).await;
            }
            Event::Problem(problem) => tracing::error!("{problem}"),
        }
    }

    async fn leftover(&mut self, leftover: Leftover) {
        match leftover {
            Leftover::Finished(file) => {
                tracing::warn!(file = file.name, "finished what an earlier run left");
                self.adopt(file, new_session(), None, true).await;
            }
            Leftover::Empty(name) => tracing::warn!("removed {name}: it held nothing"),
            Leftover::Damaged(name, reason) => {
                tracing::error!("{name} cannot be played: {reason}");
                self.adopt_damaged(name, &reason.to_string()).await;
            }
            Leftover::InUse(name) => tracing::error!("{name} is written by another program"),
            Leftover::Stays(name, error) => tracing::error!("{name} stays unfinished: {error}"),
        }
    }

    fn session(&mut self, number: u64) -> String {
        // Files of one that is over come no more once the next but one has begun.
        self.sessions.retain(|known, _| *known + 2 > number);
        self.sessions
            .entry(number)
            .or_insert_with(new_session)
            .clone()
    }

    async fn adopt(
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
        self.put(&captured).await;
    }

    /// What cannot be played is in the list too, until somebody deletes it there.
    async fn adopt_damaged(&self, name: String, reason: &str) {
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
        self.put(&captured).await;
    }

    async fn put(&self, captured: &CapturedFile) {
        if let Err(error) = self.importer.import(captured).await {
            // The file is there; the next comparison finds it.
            tracing::error!(file = captured.name, "not in the list yet: {error}");
        }
    }

    /// Makes the list follow the folder both ways; `true` when a file has to be looked at again soon.
    async fn compare(&mut self) -> bool {
        let compared = match self.follow_changes().await {
            Ok(unsettled) => self.take_in().await.map(|more| unsettled || more),
            Err(error) => Err(error),
        };
        compared.unwrap_or_else(|error| {
            tracing::error!("folder and list cannot be compared: {error}");
            false
        })
    }

    /// Follows what other programs have changed or removed of known recordings.
    async fn follow_changes(&mut self) -> Result<bool, ImportError> {
        let known = self.importer.files().await?;
        let folder = self.folder.clone();
        let now = SystemTime::from(jiff::Timestamp::now());
        let looked = tokio::task::spawn_blocking(move || compare_files(&folder, known, now));
        let Ok(difference) = looked.await else {
            return Ok(false);
        };
        for file in difference.changed {
            tracing::warn!(file = file.name, "another program has changed it");
            let change = self
                .importer
                .change(&file.name, file.size_bytes, file.duration_ms);
            change.await?;
        }
        // A folder without any known file is rather one that is not mounted.
        let missing = if difference.present {
            difference.missing
        } else {
            HashSet::new()
        };
        for name in missing.intersection(&self.missing) {
            if self.importer.forget(name).await? {
                tracing::warn!(file = name, "off the list: another program has removed it");
            }
        }
        let again = !missing.is_subset(&self.missing);
        self.missing = missing;
        Ok(difference.unsettled || again)
    }

    /// Takes files in that are no recordings yet.
    async fn take_in(&self) -> Result<bool, ImportError> {
        let known = self.importer.names().await?;
        let folder = self.folder.clone();
        let now = SystemTime::from(jiff::Timestamp::now());
        let found = tokio::task::spawn_blocking(move || {
            let damaged = writer::damaged(&folder, &known);
            (writer::finished(&folder, &known, now), damaged)
        });
        let (found, damaged) = found.await.unwrap_or_default();
        for file in found.recordings {
            self.adopt(file, new_session(), None, false).await;
        }
        for name in damaged {
            self.adopt_damaged(name, "It cannot be played.").await;
        }
        Ok(found.unsettled)
    }
}

/// Known recordings that are not in the folder as the list has them.
#[derive(Debug, Default)]
struct Difference {
    changed: Vec<Finished>,
    missing: HashSet<String>,
    /// Whether any known file is there.
    present: bool,
    /// Whether a changed file may still be written.
    unsettled: bool,
}

fn compare_files(folder: &Path, known: Vec<(String, u64)>, now: SystemTime) -> Difference {
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
            difference.changed.extend(writer::rescan(&file, name));
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
