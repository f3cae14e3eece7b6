//! A recorder on board: what this library asks of it, and how its files become recordings.
//!
//! The recorder writes its files by itself, under names of its own, into the storage folder, and needs neither this
//! library nor the database for that. The database follows the folder: a finished file becomes a row when the
//! recorder says so ([`Shelf::adopt`]), or at the latest with the next comparison ([`Shelf::names`]).

use std::collections::HashSet;
use std::sync::Arc;

use sortie_api::{Appliance as State, SessionStatus, SignalState};

use crate::clock::Clock;
use crate::db::{Action, Actor, AuditEvent, CapturedRow, Database, DatabaseError, SessionRow};
use crate::uploads::Uploads;

/// What its sessions watch.
const APP: &str = "capture";

/// A recorder on board, for the routes below `/api/appliance`.
pub trait Appliance: Send + Sync + 'static {
    /// What it is doing. Cheap: it is asked every second. What only the server knows (`threshold_percent`, `space`)
    /// may be left out.
    fn state(&self) -> State;

    /// Bytes a second of what it records, or would.
    fn bytes_per_second(&self) -> u64;

    /// Begins to record.
    ///
    /// # Errors
    /// Why it cannot, in a sentence for people: there is no signal.
    fn start(&self) -> Result<(), String>;

    /// Ends what is under way. It does not begin by itself again while this signal lasts.
    fn stop(&self);

    /// Whether it is to begin by itself whenever there is a signal.
    fn set_auto_record(&self, on: bool);

    /// Makes something else arrive at a test source; `false`: it is a real one.
    fn switch_signal(&self, state: SignalState) -> bool;
}

/// A file that the recorder is done with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// Its name in the storage folder.
    pub name: String,
    /// Its session: any text that is the same for all files of one.
    pub session: String,
    /// When it was begun, in milliseconds since 1970.
    pub created_ms: i64,
    /// How long it is, in milliseconds.
    pub duration_ms: u64,
    /// How large it is, in bytes.
    pub size_bytes: u64,
    /// Whether it was cut short by a failure, a kill or a power cut.
    pub interrupted: bool,
    /// Kept until a central server has confirmed it.
    pub forward_pending: bool,
    /// Why it cannot be played, in a sentence for people; `None`: it can. The file is kept all the same.
    pub failure: Option<String>,
}

/// The database could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the database cannot be used")]
pub struct ShelfError(#[source] anyhow::Error);

impl From<DatabaseError> for ShelfError {
    fn from(error: DatabaseError) -> Self {
        Self(error.into())
    }
}

/// Where finished files become recordings. Cheap to clone.
#[derive(Clone)]
pub struct Shelf {
    database: Database,
    uploads: Uploads,
    clock: Arc<dyn Clock>,
}

/// What became of a file that was to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is no more.
    Done,
    /// It is protected, or being deleted already: nothing was done.
    Stays,
    /// It is no recording (yet).
    Unknown,
}

impl Shelf {
    pub(crate) fn new(database: Database, uploads: Uploads, clock: Arc<dyn Clock>) -> Self {
        Self {
            database,
            uploads,
            clock,
        }
    }

    /// The files that are recordings.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn names(&self) -> Result<HashSet<String>, ShelfError> {
        Ok(self.database.local_paths().await?.into_iter().collect())
    }

    /// Keeps every recording from automatic deletion until [`Self::confirm_forwarded`]; `false`: none any more.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn set_forward_pending(&self, pending: bool) -> Result<(), ShelfError> {
        Ok(self.database.set_forward_pending(pending).await?)
    }

    /// Lets automatic deletion have a recording that the central server has; `false` if it is no recording (yet).
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn confirm_forwarded(&self, name: &str) -> Result<bool, ShelfError> {
        Ok(self.database.confirm_forwarded(name).await?)
    }

    /// Name and size of every file that is a recording that can be played.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn files(&self) -> Result<Vec<(String, u64)>, ShelfError> {
        Ok(self.database.local_files().await?)
    }

    /// Takes over length and size of a file that another program has changed.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn change(
        &self,
        name: &str,
        size_bytes: u64,
        duration_ms: u64,
    ) -> Result<(), ShelfError> {
        let changed = self.database.change_captured(name, size_bytes, duration_ms);
        Ok(changed.await?)
    }

    /// Takes a recording off the list whose file another program has removed; the audit log says so.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn forget(&self, name: &str) -> Result<bool, ShelfError> {
        let (system, now_ms) = (Actor::system(), self.clock.now_ms());
        Ok(self.database.forget_captured(name, &system, now_ms).await?)
    }

    /// Makes a recording of a file, a failed one where it cannot be played; `false` if it is one already. It belongs to the first administrator.
    ///
    /// # Errors
    /// The database cannot be read or written.
    pub async fn adopt(&self, file: &Captured) -> Result<bool, ShelfError> {
        let Some(owner) = self.database.first_administrator().await? else {
            return Err(ShelfError(anyhow::anyhow!("there is no administrator")));
        };
        let system = Actor::system();
        let now_ms = self.clock.now_ms();
        let row = CapturedRow {
            id: uuid::Uuid::now_v7().to_string(),
            session_id: file.session.clone(),
            user_id: owner.clone(),
            name: file.name.clone(),
            size_bytes: file.size_bytes,
            duration_ms: file.duration_ms,
            failure: file.failure.clone(),
            interrupted: file.interrupted,
            forward_pending: file.forward_pending,
            created_ms: file.created_ms,
            completed_ms: now_ms,
        };
        if !self.database.insert_captured(&row).await? {
            return Ok(false);
        }
        if self.database.session(&file.session).await?.is_none() {
            let session = SessionRow {
                id: file.session.clone(),
                user_id: owner,
                app_id: APP.to_owned(),
                status: SessionStatus::Stopped,
                auto_declined: false,
                created_ms: file.created_ms,
                ended_ms: Some(now_ms),
            };
            self.database.insert_session(&session, &system).await?;
        }
        let (action, detail) = match &file.failure {
            Some(failure) => (Action::Fail, failure.as_str()),
            None if file.interrupted => (Action::Ready, "interrupted"),
            None => (Action::Ready, ""),
        };
        let event = AuditEvent::done(&system, action, &row.id).detail(detail);
        self.database.audit(now_ms, &event).await?;
        Ok(true)
    }

    /// Deletes the recording of a file, unless it is protected; the audit log says why.
    ///
    /// # Errors
    /// The database cannot be read or written, or the file cannot be removed now: that is tried again by itself.
    pub async fn remove(&self, name: &str, reason: &str) -> Result<Removal, ShelfError> {
        let (system, now_ms) = (Actor::system(), self.clock.now_ms());
        let marked = self.database.mark_captured(name, &system, reason, now_ms);
        let Some(id) = marked.await? else {
            let known = self.names().await?.contains(name);
            return Ok(if known {
                Removal::Stays
            } else {
                Removal::Unknown
            });
        };
        let deleted = self.uploads.delete_marked(&id).await;
        deleted.map_err(|error| ShelfError(anyhow::Error::new(error)))?;
        Ok(Removal::Done)
    }

    /// Writes into the audit log that a recording began by itself, into this file.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn began(&self, name: &str) -> Result<(), ShelfError> {
        let system = Actor::system();
        let event = AuditEvent::done(&system, Action::Start, name).detail("auto-record");
        Ok(self.database.audit(self.clock.now_ms(), &event).await?)
    }
}
