//! What is known of an upload that is not complete, and who may look.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use sortie_tus::server::UploadLength;

use super::ownership::Claims;
use super::upload::Growing;
use super::{Inner, Position, UploadError};
use crate::db::{RecordingRow, UploadKind};

/// What a list shows of a growing recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Bytes that are durable.
    pub(crate) size_bytes: u64,
    /// How much playing time they are.
    pub(crate) duration_ms: u64,
    /// What it is, as far as is known.
    pub(crate) format: &'static str,
}

/// One upload that is not complete.
pub(super) struct Slot {
    pub(super) id: String,
    pub(super) claims: Claims,
    /// Whose it is, once somebody has looked.
    pub(super) owner: OnceLock<Owner>,
    /// `None` until the first request after a restart.
    pub(super) state: tokio::sync::Mutex<Option<Growing>>,
    pub(super) seen: Mutex<Seen>,
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

/// What others may see without waiting for the owner.
#[derive(Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) progress: Progress,
    /// How much of it other servers were told.
    pub(super) told_bytes: u64,
    /// Attended time of its sender's last request.
    pub(super) last_activity: Duration,
    /// Attended time at which its session was first seen ended.
    pub(super) session_ended: Option<Duration>,
    /// Its recording was stopped, or its session has ended: its sender is told so.
    pub(super) stopped: bool,
    /// Everything has arrived, but finishing failed and is to be tried again.
    pub(super) finish_again: Option<Interrupted>,
}

/// Whether a recording was finished without its sender having said stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interrupted(pub(super) bool);

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is valid after every statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The length of an upload that is open.
pub(super) fn declared_length(row: &RecordingRow) -> UploadLength {
    match row.upload_length {
        Some(length) => UploadLength::Known(length.unsigned_abs()),
        None => UploadLength::Deferred,
    }
}

/// Where an upload is that takes no more bytes.
pub(super) fn closed_position(row: &RecordingRow) -> Position {
    let length = row.upload_length.unwrap_or_default().unsigned_abs();
    Position {
        offset: length,
        length: UploadLength::Known(length),
    }
}

impl Inner {
    pub(super) async fn row(&self, id: &str) -> Result<RecordingRow, UploadError> {
        let row = self.database.recording(id).await?;
        row.filter(|row| !row.deleting).ok_or(UploadError::Unknown)
    }

    pub(super) fn known_slot(&self, id: &str) -> Option<Arc<Slot>> {
        locked(&self.slots).get(id).cloned()
    }

    pub(super) fn slot(&self, id: &str) -> Arc<Slot> {
        let mut slots = locked(&self.slots);
        Arc::clone(slots.entry(id.to_owned()).or_insert_with(|| {
            Arc::new(Slot {
                id: id.to_owned(),
                claims: Claims::new(),
                owner: OnceLock::new(),
                state: tokio::sync::Mutex::new(None),
                seen: Mutex::new(Seen {
                    last_activity: self.attended(),
                    ..Seen::default()
                }),
            })
        }))
    }

    /// Takes a slot off the books. Whoever still waits for it finds the row closed or gone.
    pub(super) fn forget(&self, slot: &Arc<Slot>) {
        let mut slots = locked(&self.slots);
        if slots
            .get(&slot.id)
            .is_some_and(|known| Arc::ptr_eq(known, slot))
        {
            slots.remove(&slot.id);
        }
    }

    /// Takes a slot off the books that somebody has found closed, unless its finish is still to be tried again:
    /// the reaper finds it there.
    pub(super) fn forget_unless_pending(&self, slot: &Arc<Slot>) {
        let pending = locked(&slot.seen).finish_again.is_some();
        if !pending {
            self.forget(slot);
        }
    }

    /// Attended time now; see `attendance.rs`.
    pub(super) fn attended(&self) -> Duration {
        // The lock comes first: a reading from before a tick would jump ahead of it.
        let attendance = locked(&self.attendance);
        attendance.at(self.clock.monotonic())
    }

    pub(super) fn heard(&self, slot: &Slot) {
        let now = self.attended();
        locked(&slot.seen).last_activity = now;
    }

    pub(super) fn show(&self, slot: &Slot, growing: &Growing) {
        let now = self.attended();
        let mut seen = locked(&slot.seen);
        seen.last_activity = now;
        seen.progress = Progress {
            size_bytes: growing.offset(),
            duration_ms: growing.duration_ms(),
            format: growing.format(),
        };
    }

    /// Lets go of a recording that another server has taken over meanwhile.
    pub(super) async fn refresh(&self, state: &mut Option<Growing>) -> Result<(), UploadError> {
        if let Some(growing) = state
            && !growing.is_current().await?
        {
            *state = None;
        }
        Ok(())
    }

    /// The growing recording, taken up from the storage if this run has not seen it yet.
    pub(super) async fn resumed<'a>(
        &self,
        slot: &Slot,
        state: &'a mut Option<Growing>,
        kind: UploadKind,
    ) -> Result<&'a mut Growing, UploadError> {
        self.resumed_up_to(slot, state, kind, None).await
    }

    /// The same of one whose finish may have begun: then its stream is as long as was `planned`.
    pub(super) async fn resumed_up_to<'a>(
        &self,
        slot: &Slot,
        state: &'a mut Option<Growing>,
        kind: UploadKind,
        planned: Option<u64>,
    ) -> Result<&'a mut Growing, UploadError> {
        if state.is_none() {
            if slot.owner.get().is_none() {
                let row = self.database.recording(&slot.id).await?;
                let _ = slot.owner.set(Owner::of(&row.ok_or(UploadError::Unknown)?));
            }
            let user_id = slot.owner.get().map_or("", |owner| owner.user_id.as_str());
            let share = self.indexes.share(user_id);
            let reopened = self.storage.reopen(&slot.id).await?;
            let mut growing = Growing::resume(reopened, kind, planned, Some(share)).await?;
            if growing.fence().is_some() && planned.is_none() {
                // The server that had it may have closed it before we took it; from now on it cannot.
                let row = self.row(&slot.id).await?;
                if !row.status.is_open() {
                    return Err(UploadError::Preempted);
                }
                growing.open = Some((declared_length(&row), row.kind));
            }
            self.show(slot, &growing);
            *state = Some(growing);
        }
        state.as_mut().ok_or(UploadError::Unknown)
    }
}
