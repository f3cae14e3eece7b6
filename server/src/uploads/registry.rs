//! Upload registry: the in-memory entries of open uploads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use sortie_media::EntryPoint;

use super::activity_watch::ActivityWatch;
use super::attendance::AttendedClock;
use super::live::LiveFeed;
use super::ownership::UploadLock;
use super::upload::Upload;
use crate::db::RecordingRow;

/// Progress of a growing recording in lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) size_bytes: u64,
    /// Playing time of these bytes.
    pub(crate) duration_ms: u64,
    /// Extension of the container; empty while unknown.
    pub(crate) format: &'static str,
}

/// In-memory entry of one upload.
pub(super) struct UploadEntry {
    pub(super) id: String,
    pub(super) lock: UploadLock,
    /// Set by the first request that reads the row.
    pub(super) owner: OnceLock<Owner>,
    /// `None` until the first request after a restart.
    pub(super) upload: tokio::sync::Mutex<Option<Upload>>,
    pub(super) state: Mutex<EntryState>,
    /// Activity so far, for requests that arrive while another one writes.
    pub(super) activity: ActivityWatch,
    pub(super) live: Arc<LiveFeed>,
    clock: Arc<AttendedClock>,
}

/// User and session that an upload belongs to.
pub(super) struct Owner {
    pub(super) user_id: String,
    /// Empty for a partial upload.
    pub(super) session_id: String,
}

impl Owner {
    pub(super) fn of(row: &RecordingRow) -> Self {
        Self {
            user_id: row.user_id.clone(),
            session_id: row.session_id.clone(),
        }
    }
}

/// State that is readable while a request writes to the upload.
#[derive(Clone, Copy, Default)]
pub(super) struct EntryState {
    pub(super) progress: Progress,
    /// Last size published to other replicas.
    pub(super) published_bytes: u64,
    /// Attended time of the sender's last request.
    pub(super) last_activity: Duration,
    /// Attended time at which the session was first seen ended.
    pub(super) session_ended: Option<Duration>,
    /// The recording was stopped, or its session has ended. The next response tells the sender.
    pub(super) stopped: bool,
    /// All bytes have arrived and the upload is not finished yet: the reaper finishes it.
    pub(super) pending_finish: Option<Interrupted>,
}

/// Whether a recording is finished without a stop from its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interrupted(pub(super) bool);

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The values behind these locks are valid after every statement, so a panic while holding one is harmless.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl UploadEntry {
    fn new(id: &str, clock: Arc<AttendedClock>) -> Self {
        Self {
            id: id.to_owned(),
            lock: UploadLock::new(),
            owner: OnceLock::new(),
            upload: tokio::sync::Mutex::new(None),
            state: Mutex::new(EntryState {
                last_activity: clock.now(),
                ..EntryState::default()
            }),
            activity: ActivityWatch::default(),
            live: Arc::default(),
            clock,
        }
    }

    /// Records activity of the sender.
    pub(super) fn touch(&self) {
        let now = self.clock.now();
        locked(&self.state).last_activity = now;
    }

    /// Records activity of the sender and the durable progress of its upload.
    pub(super) fn record_progress(&self, upload: &Upload) {
        let now = self.clock.now();
        let mut state = locked(&self.state);
        state.last_activity = now;
        state.progress = Progress {
            size_bytes: upload.offset(),
            duration_ms: upload.duration_ms(),
            format: upload.format(),
        };
        drop(state);
        self.activity.offer(now, || upload.activity());
        self.live
            .publish(upload.playable(), || upload.entry_points());
    }

    /// Returns the keyframes of the upload.
    pub(super) async fn entry_points(&self) -> Arc<[EntryPoint]> {
        // While a request writes, it holds the upload.
        match self.upload.try_lock() {
            Ok(open) => open
                .as_ref()
                .map(Upload::entry_points)
                .unwrap_or_default()
                .into(),
            Err(_) => self.live.entries().await,
        }
    }

    /// Returns a copy of the state.
    pub(super) fn state(&self) -> EntryState {
        *locked(&self.state)
    }
}

pub(super) struct Registry {
    entries: Mutex<HashMap<String, Arc<UploadEntry>>>,
    clock: Arc<AttendedClock>,
}

impl Registry {
    pub(super) fn new(clock: Arc<AttendedClock>) -> Self {
        Self {
            entries: Mutex::default(),
            clock,
        }
    }

    pub(super) fn clock(&self) -> &AttendedClock {
        &self.clock
    }

    /// Returns the entry of an upload, if it has one.
    pub(super) fn find(&self, id: &str) -> Option<Arc<UploadEntry>> {
        locked(&self.entries).get(id).cloned()
    }

    /// Returns the entry of an upload, adding it if necessary.
    pub(super) fn entry(&self, id: &str) -> Arc<UploadEntry> {
        let mut entries = locked(&self.entries);
        Arc::clone(
            entries
                .entry(id.to_owned())
                .or_insert_with(|| Arc::new(UploadEntry::new(id, Arc::clone(&self.clock)))),
        )
    }

    pub(super) fn len(&self) -> usize {
        locked(&self.entries).len()
    }

    pub(super) fn entries(&self) -> Vec<Arc<UploadEntry>> {
        locked(&self.entries).values().cloned().collect()
    }

    /// Removes an entry. Requests that wait for it find the row closed or deleted.
    pub(super) fn remove(&self, entry: &Arc<UploadEntry>) {
        let mut entries = locked(&self.entries);
        if entries
            .get(&entry.id)
            .is_some_and(|known| Arc::ptr_eq(known, entry))
        {
            entries.remove(&entry.id);
            entry.live.close();
        }
    }

    /// Removes the entry of a closed upload, unless the reaper still has to finish it.
    pub(super) fn remove_unless_pending(&self, entry: &Arc<UploadEntry>) {
        if entry.state().pending_finish.is_none() {
            self.remove(entry);
        }
    }
}
