//! Interface between this server and a recorder in the same process.
//!
//! The recorder writes its files into the storage folder under its own names, and needs neither this library nor the
//! database for that. The database follows the folder: [`Importer::import`] inserts a row when the recorder reports a
//! finished file; missed files are found by comparing the folder with [`Importer::names`].

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use sortie_api::{
    Appliance as State, OtherFiles, Schedule, ScheduleStatus, SessionStatus, SignalState,
};

use crate::clock::Clock;
use crate::db::{
    Action, Actor, AuditEvent, Database, DatabaseError, ImportedFile, ImportedRow,
    PictureInsertion, PictureRow, SessionRow,
};
use crate::live_picture::LivePicture;
use crate::picture::{self, PictureKind, Size};
use crate::retention::Retention;
use crate::uploads::Uploads;

/// Application id of the recorder's sessions.
const APP: &str = "capture";

/// Recorder in this process, as used by the routes below `/api/appliance`.
pub trait Appliance: Send + Sync + 'static {
    /// Returns the current state. Called every second, so it must be cheap. `threshold_percent` and `space` may be
    /// omitted: the server adds them.
    fn state(&self) -> State;

    /// Returns the bytes per second of the current recording, or the expected rate.
    fn bytes_per_second(&self) -> u64;

    /// Starts a recording.
    ///
    /// # Errors
    /// The reason, as a sentence for the user: there is no signal.
    fn start(&self) -> Result<(), String>;

    /// Stops the recording. Auto-record does not restart it while the same signal lasts.
    fn stop(&self);

    /// Turns auto-record on or off: recording starts whenever there is a signal.
    fn set_auto_record(&self, on: bool);

    /// Whether the appliance knows the IANA name of a time zone.
    fn has_time_zone(&self, name: &str) -> bool {
        let _ = name;
        true
    }

    /// Sets the schedule of auto-record. A clock before `earliest_ms`, Unix time in ms, is wrong: the schedule is ignored
    /// meanwhile, and auto-record is armed.
    fn set_schedule(&self, schedule: &Schedule, earliest_ms: i64) {
        let _ = (schedule, earliest_ms);
    }

    /// Returns whether the schedule arms auto-record now.
    fn schedule(&self) -> ScheduleStatus {
        ScheduleStatus::always_armed("UTC".to_owned())
    }

    /// Switches the signal of a test source; `false` if the source is a real device.
    fn switch_signal(&self, state: SignalState) -> bool;

    /// Lists the files of the storage folder that are no recordings; `known` has the names of the recordings' files. Called
    /// on a thread that may block.
    fn other_files(&self, known: &HashSet<String>) -> OtherFiles {
        let _ = known;
        OtherFiles::default()
    }

    /// Returns measurements for `/metrics`, in addition to [`state`](Self::state).
    fn measurements(&self) -> Measurements {
        Measurements::default()
    }

    /// Returns the live picture of the input.
    fn picture(&self) -> &LivePicture;

    /// Returns the file in progress; `None` between files. Stays until the file is imported. Reads no disk, so a file that
    /// ended without a durable frame, and was removed, may be returned as well.
    fn growing(&self) -> Option<GrowingRecording> {
        None
    }

    /// Returns signal and dropped frames of the last 24 hours. `now_ms`: present time, Unix time in ms.
    fn signal_history(&self, _now_ms: i64) -> SignalHistory {
        SignalHistory::default()
    }

    /// Returns the bytes of the disk that recordings leave free.
    fn reserve_bytes(&self) -> u64 {
        0
    }
}

/// File in progress of the recorder. It has no row in the database before it is finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrowingRecording {
    /// ID of the recording, also once it is finished.
    pub id: String,
    /// Name in the storage folder once it is finished.
    pub name: String,
    /// Name in the storage folder while it grows.
    pub growing_name: String,
    /// Session as in [`CapturedFile::session`].
    pub session: String,
    /// Start of the recording, Unix time in ms.
    pub created_ms: i64,
    /// Durable duration in ms.
    pub duration_ms: u64,
    /// Durable bytes.
    pub size_bytes: u64,
    /// `false` while the file is finished and imported.
    pub is_growing: bool,
}

/// Signal and dropped frames over time, as spans of Unix time in ms, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignalHistory {
    /// Spans, each with whether there was a signal.
    pub signal: Vec<(Range<i64>, bool)>,
    /// Spans with dropped frames, each with their number.
    pub dropped: Vec<(Range<i64>, u64)>,
}

/// Measurements of a recorder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measurements {
    /// Frames per second delivered to the file in progress; 0 between files.
    pub fps: f64,
    /// Bytes made durable since the start of the recorder.
    pub written_bytes: u64,
    /// Age in seconds of the oldest recorded data that the central server does not have; `None` without forwarding.
    pub forward_lag_seconds: Option<f64>,
    /// Recorded bytes that the central server does not have; `None` without forwarding.
    pub forward_lag_bytes: Option<u64>,
    /// Temperatures in degrees Celsius by the name of their sensor.
    pub temperatures: Vec<(String, f64)>,
}

/// Finished file of the recorder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedFile {
    /// Name in the storage folder.
    pub name: String,
    /// Session: any text that all files of one session share.
    pub session: String,
    /// Start of the recording, Unix time in ms.
    pub created_ms: i64,
    /// Duration of the file in ms.
    pub duration_ms: u64,
    /// Size of the file in bytes.
    pub size_bytes: u64,
    /// Modification time of the file, Unix time in ms; `None` if it is not known.
    pub modified_ms: Option<i64>,
    /// Identifies the folder in which it was seen; `None` if it is not known.
    pub folder: Option<String>,
    /// Whether a failure, a kill or a power cut ended it.
    pub interrupted: bool,
    /// Kept until a central server has confirmed it.
    pub forward_pending: bool,
    /// Reason why it cannot be played, as a sentence for the user; `None` if it can. The file is kept in either case.
    pub failure: Option<String>,
}

/// Picture of a recording of the recorder: a JPEG of at most 320 × 180 pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedPicture {
    /// Time from the start of the file in ms.
    pub at_ms: u64,
    /// Complete JPEG file, up to 64 KiB.
    pub bytes: Vec<u8>,
}

/// The database could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the database cannot be used")]
pub struct ImportError(#[source] anyhow::Error);

impl From<DatabaseError> for ImportError {
    fn from(error: DatabaseError) -> Self {
        Self(error.into())
    }
}

/// Inserts the recorder's finished files into the database, and follows their changes. Cheap to clone.
#[derive(Clone)]
pub struct Importer {
    database: Database,
    uploads: Uploads,
    retention: Retention,
    clock: Arc<dyn Clock>,
}

/// Outcome of a call of [`Importer::remove`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// The file and its row are deleted.
    Deleted,
    /// Nothing was done: the recording is protected, not confirmed by the central server, or being deleted.
    Kept,
    /// The file is not in the database (yet).
    Unknown,
}

impl Importer {
    pub(crate) fn new(
        database: Database,
        uploads: Uploads,
        retention: Retention,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            database,
            uploads,
            retention,
            clock,
        }
    }

    /// Returns the names of all files in the database.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn names(&self) -> Result<HashSet<String>, ImportError> {
        Ok(self
            .database
            .imported()
            .paths()
            .await?
            .into_iter()
            .collect())
    }

    /// With `true`, excludes every recording, and those that become complete later, from deletion until
    /// [`Self::confirm_forwarded`]; `false` excludes none.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn set_forwarding(&self, on: bool) -> Result<(), ImportError> {
        Ok(self.database.imported().set_forwarding(on).await?)
    }

    /// Returns the names of the files that the central server has not confirmed.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn forward_pending(&self) -> Result<HashSet<String>, ImportError> {
        let names = self.database.imported().forward_pending().await?;
        Ok(names.into_iter().collect())
    }

    /// Records that the central server has a file of this size; `false` if there is none in the database (yet).
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn confirm_forwarded(
        &self,
        name: &str,
        size_bytes: u64,
    ) -> Result<bool, ImportError> {
        let imported = self.database.imported();
        Ok(imported
            .set_forward_pending(name, size_bytes, false)
            .await?)
    }

    /// Withdraws the confirmation of a file, because its content has changed; `false` if it is not in the database (yet).
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn withdraw_confirmation(&self, name: &str) -> Result<bool, ImportError> {
        let imported = self.database.imported();
        Ok(imported.set_forward_pending(name, 0, true).await?)
    }

    /// Whether storage use is above the threshold and retention can delete nothing because the remaining recordings are
    /// not confirmed by the central server.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn awaits_forwarding(&self) -> Result<bool, ImportError> {
        Ok(self.retention.awaits_forwarding().await?)
    }

    /// Returns the storage threshold in percent; `None` if there is none.
    #[must_use]
    pub fn threshold_percent(&self) -> Option<u8> {
        self.retention.rule().high_percent
    }

    /// Returns every file of a complete recording in the database, and those that cannot be played.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn files(&self) -> Result<Vec<ImportedFile>, ImportError> {
        Ok(self.database.imported().files().await?)
    }

    /// Stores the modification time of a file, Unix time in ms, and an identifier of the folder in which it was seen.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn set_seen(
        &self,
        name: &str,
        modified_ms: i64,
        folder: Option<&str>,
    ) -> Result<(), ImportError> {
        let imported = self.database.imported();
        Ok(imported.set_seen(name, modified_ms, folder).await?)
    }

    /// Updates duration and size of a file that another program has changed.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn change(
        &self,
        name: &str,
        size_bytes: u64,
        duration_ms: u64,
    ) -> Result<(), ImportError> {
        let changed = self
            .database
            .imported()
            .update(name, size_bytes, duration_ms);
        Ok(changed.await?)
    }

    /// Removes the row of a file that another program has removed or replaced, and writes an audit row with the reason.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn forget(&self, name: &str, reason: &str) -> Result<bool, ImportError> {
        let (system, now_ms) = (Actor::system(), self.clock.now_ms());
        let imported = self.database.imported();
        Ok(imported.delete(name, &system, reason, now_ms).await?)
    }

    /// Inserts a file as a `ready` recording, or as a `failed` one if it cannot be played. The first administrator
    /// owns it. Returns `false` if the file is in the database already.
    ///
    /// # Errors
    /// The database cannot be read or written.
    pub async fn import(&self, file: &CapturedFile) -> Result<bool, ImportError> {
        self.import_as(uuid::Uuid::now_v7().to_string(), file).await
    }

    /// Imports a file like [`Self::import`], as the recording `id`.
    ///
    /// # Errors
    /// The database cannot be read or written.
    pub async fn import_as(&self, id: String, file: &CapturedFile) -> Result<bool, ImportError> {
        let Some(owner) = self.database.users().first_administrator().await? else {
            return Err(ImportError(anyhow::anyhow!("there is no administrator")));
        };
        let system = Actor::system();
        let now_ms = self.clock.now_ms();
        let row = ImportedRow {
            id,
            session_id: file.session.clone(),
            user_id: owner.clone(),
            app_id: APP.to_owned(),
            name: file.name.clone(),
            size_bytes: file.size_bytes,
            duration_ms: file.duration_ms,
            modified_ms: file.modified_ms,
            folder: file.folder.clone(),
            failure: file.failure.clone(),
            interrupted: file.interrupted,
            forward_pending: file.forward_pending,
            created_ms: file.created_ms,
            completed_ms: now_ms,
        };
        if !self.database.imported().insert(&row).await? {
            return Ok(false);
        }
        if self.database.sessions().get(&file.session).await?.is_none() {
            let session = SessionRow {
                id: file.session.clone(),
                user_id: owner,
                app_id: APP.to_owned(),
                status: SessionStatus::Stopped,
                auto_declined: false,
                created_ms: file.created_ms,
                ended_ms: Some(now_ms),
                auto_record: None,
                recording_required: false,
                missing_since_ms: None,
                labels: crate::labels::Labels::default(),
            };
            if !self.database.sessions().insert(&session, &system).await? {
                return Err(ImportError(anyhow::anyhow!(
                    "the administrator was deleted"
                )));
            }
        }
        let (action, detail) = match &file.failure {
            Some(failure) => (Action::Fail, failure.as_str()),
            None if file.interrupted => (Action::Ready, "interrupted"),
            None => (Action::Ready, ""),
        };
        let event = AuditEvent::done(&system, action, &row.id).detail(detail);
        self.database.audit().append(now_ms, &event).await?;
        self.index_activity(&row.id).await?;
        Ok(true)
    }

    /// Adds the pictures of a file; repeated, it adds none. Those that are no JPEG of an allowed size, and all but the
    /// first of an interval, are skipped. Returns `false` if the file is not in the database (yet).
    ///
    /// # Errors
    /// The database cannot be read or written.
    pub async fn add_pictures(
        &self,
        name: &str,
        pictures: Vec<CapturedPicture>,
    ) -> Result<bool, ImportError> {
        let Some(id) = self.database.imported().id(name).await? else {
            return Ok(false);
        };
        let latest_ms = pictures.iter().map(|it| it.at_ms).max().unwrap_or_default();
        let interval_ms = picture::interval_ms(latest_ms);
        let mut filled = HashSet::new();
        for picture in pictures {
            let size = Size::of(PictureKind::Jpeg, &picture.bytes).filter(|it| it.is_allowed());
            let Some(size) = size.filter(|_| picture.bytes.len() <= picture::BYTES_MAX) else {
                continue;
            };
            if !filled.insert(picture.at_ms / interval_ms) {
                continue;
            }
            let row = PictureRow {
                at_ms: picture.at_ms,
                kind: PictureKind::Jpeg,
                size,
                bytes: picture.bytes,
            };
            if self.database.pictures().insert(&id, &row).await? == PictureInsertion::Gone {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns the pictures of a file in the order of time; `None` if the file is not in the database (yet).
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn pictures(&self, name: &str) -> Result<Option<Vec<CapturedPicture>>, ImportError> {
        let Some(id) = self.database.imported().id(name).await? else {
            return Ok(None);
        };
        let mut pictures = Vec::new();
        for (at_ms, _) in self.database.pictures().times(&id).await? {
            let row = self.database.pictures().at(&id, at_ms).await?;
            pictures.extend(row.map(|row| CapturedPicture {
                at_ms,
                bytes: row.bytes,
            }));
        }
        Ok(Some(pictures))
    }

    /// Stores the activity of a playable file, from the index of the file. A file that cannot be read is scanned again at
    /// the first request for its activity.
    async fn index_activity(&self, id: &str) -> Result<(), ImportError> {
        if let Some(row) = self.database.recordings().get(id).await?
            && let Err(error) = self.uploads.activity(&row).await
        {
            tracing::info!(recording = id, "cannot determine the activity: {error}");
        }
        Ok(())
    }

    /// Deletes a file and its row, unless the recording is protected or the central server has not confirmed it. The audit row has the reason.
    ///
    /// # Errors
    /// The database cannot be read or written, or the file cannot be removed now; the reaper retries that.
    pub async fn remove(&self, name: &str, reason: &str) -> Result<Removal, ImportError> {
        let (system, now_ms) = (Actor::system(), self.clock.now_ms());
        let marked = self
            .database
            .imported()
            .mark_for_deletion(name, &system, reason, now_ms);
        let Some(id) = marked.await? else {
            let known = self.names().await?.contains(name);
            return Ok(if known {
                Removal::Kept
            } else {
                Removal::Unknown
            });
        };
        let deleted = self.uploads.delete_marked(&id).await;
        deleted.map_err(|error| ImportError(anyhow::Error::new(error)))?;
        Ok(Removal::Deleted)
    }

    /// Writes the audit row of a recording that auto-record has started.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn began(&self, name: &str) -> Result<(), ImportError> {
        let system = Actor::system();
        let event = AuditEvent::done(&system, Action::Start, name).detail("auto-record");
        Ok(self
            .database
            .audit()
            .append(self.clock.now_ms(), &event)
            .await?)
    }
}
