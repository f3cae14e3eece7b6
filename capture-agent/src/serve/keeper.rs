//! Makes the catalog follow the folder.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use sortie_server::{Captured, Shelf, ShelfError};
use tokio::sync::mpsc;

use crate::recorder::{Cause, Event};
use crate::writer::{self, Finished, Leftover};

/// How often folder and catalog are compared anyway: after a failure, or when somebody put a file there.
const COMPARE_EVERY: Duration = Duration::from_secs(300);

/// The file that was begun last, by its name, and its session: as soon as there is one, for who looks at it while it
/// grows.
pub(super) type Begun = Arc<Mutex<Option<(String, String)>>>;

/// Takes in what the recorder says until it says no more.
pub(super) async fn keep(
    shelf: Shelf,
    folder: PathBuf,
    mut events: mpsc::UnboundedReceiver<Event>,
    last: Begun,
) {
    let mut keeper = Keeper {
        shelf,
        folder,
        last,
        sessions: HashMap::new(),
        begun: HashMap::new(),
    };
    let mut compare = tokio::time::interval(COMPARE_EVERY);
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Some(event) => keeper.hear(event).await,
                None => return,
            },
            _ = compare.tick() => keeper.compare().await,
        }
    }
}

struct Keeper {
    shelf: Shelf,
    folder: PathBuf,
    last: Begun,
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
                    && let Err(error) = self.shelf.began(&name).await
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
        let captured = Captured {
            name: file.name,
            session,
            created_ms,
            duration_ms: file.duration_ms,
            size_bytes: file.size_bytes,
            interrupted,
            failure: None,
        };
        self.put(&captured).await;
    }

    /// What cannot be played is in the list too, until somebody deletes it there.
    async fn adopt_damaged(&self, name: String, reason: &str) {
        let path = self.folder.join(&name);
        let size_bytes = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
        let captured = Captured {
            session: new_session(),
            created_ms: modified_ms(&path),
            duration_ms: 0,
            size_bytes,
            interrupted: true,
            failure: Some(format!(
                "{reason} The file is kept: “sortie-server repair” may save something of it."
            )),
            name,
        };
        self.put(&captured).await;
    }

    async fn put(&self, captured: &Captured) {
        if let Err(error) = self.shelf.adopt(captured).await {
            // The file is there; the next comparison finds it.
            tracing::error!(file = captured.name, "not in the list yet: {error}");
        }
    }

    /// Takes files in that are no recordings yet.
    async fn compare(&self) {
        if let Err(error) = self.try_compare().await {
            tracing::error!("folder and list cannot be compared: {error}");
        }
    }

    async fn try_compare(&self) -> Result<(), ShelfError> {
        let known = self.shelf.names().await?;
        let folder = self.folder.clone();
        let found = tokio::task::spawn_blocking(move || {
            let damaged = writer::damaged(&folder, &known);
            (writer::finished(&folder, &known), damaged)
        });
        let (finished, damaged) = found.await.unwrap_or_default();
        for file in finished {
            self.adopt(file, new_session(), None, false).await;
        }
        for name in damaged {
            self.adopt_damaged(name, "It cannot be played.").await;
        }
        Ok(())
    }
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
