//! What nobody asks for any more: silent uploads, finishes that failed, deletions that were not done.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};

use sortie_api::RecordingStatus;
use sortie_tus::server::UploadLength;

use super::entry::{Interrupted, Slot, declared_length, locked};
use super::upload::Growing;
use super::{Inner, UploadError, Uploads, abandoned, concatenation};
use crate::db::{DatabaseError, RecordingRow, UploadKind};

/// How long the sender of a recording whose session has ended may be silent: its last bytes are on their way.
const SESSION_GRACE: Duration = Duration::from_secs(10);
/// With nothing heard for so long it is asked whether another server has taken a recording over. Asking also tells the
/// others that this server is there; see `abandoned.rs`.
const IDLE: Duration = Duration::from_secs(10);
/// Pending finishes that run at the same time after a start.
const FINISHES_AT_ONCE: usize = 4;

impl Uploads {
    /// Takes up what a former run left open; finishes what was being finished.
    pub(crate) async fn recover(&self) -> Result<(), DatabaseError> {
        for row in self.0.database.unfinished_recordings().await? {
            // Another server may be at it. If not, it will turn out to be abandoned.
            if !matches!(self.0.storage.is_shared(&row.id).await, Ok(false)) {
                continue;
            }
            let slot = self.0.slot(&row.id);
            self.0.heard(&slot);
            let size_bytes = self
                .0
                .storage
                .growing_length(&row.id)
                .await
                .unwrap_or_default();
            let mut seen = locked(&slot.seen);
            seen.progress.size_bytes = size_bytes;
            let processing = row.status == RecordingStatus::Processing;
            if row.kind == UploadKind::Final {
                seen.finish_again = Some(Interrupted(false));
            } else if processing || declared_length(&row) == UploadLength::Known(size_bytes) {
                seen.finish_again = Some(Interrupted(row.interrupted));
            }
        }
        Ok(())
    }

    /// When an upload that is not complete is given up, if nothing more is heard of it.
    pub(crate) fn expires_ms(&self, id: &str) -> Option<i64> {
        let slot = self.0.known_slot(id)?;
        let silent = self
            .0
            .attended()
            .saturating_sub(locked(&slot.seen).last_activity);
        let left = self.0.silence.saturating_sub(silent);
        let left_ms = i64::try_from(left.as_millis()).unwrap_or(i64::MAX);
        Some(self.0.clock.now_ms().saturating_add(left_ms))
    }

    /// The server answers from now on: every open upload has the full silence.
    pub(crate) fn start_silence(&self) {
        let now = {
            let mut attendance = locked(&self.0.attendance);
            attendance.tick(self.0.clock.schedule());
            attendance.at(self.0.clock.monotonic())
        };
        locked(&self.0.stale).start(now);
        for slot in locked(&self.0.slots).values() {
            locked(&slot.seen).last_activity = now;
        }
    }

    /// Finishes what a former run had complete but not finished.
    pub(crate) async fn finish_pending(&self) {
        let pending: Vec<_> = locked(&self.0.slots)
            .values()
            .filter_map(|slot| {
                let interrupted = locked(&slot.seen).finish_again?;
                Some((Arc::clone(slot), interrupted))
            })
            .collect();
        stream::iter(pending)
            .for_each_concurrent(FINISHES_AT_ONCE, |(slot, interrupted)| async move {
                // A request has come for it meanwhile.
                let Ok(state) = slot.state.try_lock() else {
                    return;
                };
                if let Err(error) = self.0.settle(&slot, state, interrupted).await {
                    tracing::error!(
                        recording = slot.id,
                        "cannot finish a recording, will try again: {error}"
                    );
                }
            })
            .await;
    }

    /// When a partial upload that is complete goes, if nobody joins it.
    pub(crate) fn part_expires_ms(&self, row: &RecordingRow) -> Option<i64> {
        concatenation::part_expires_ms(row, self.0.silence)
    }

    /// Finishes recordings whose sender has been silent for too long, soon after their session has ended, and those
    /// whose finish failed.
    ///
    /// `is_clock_trusted`: whether what has expired by the wall clock may be deleted.
    pub(crate) async fn reap(&self, is_clock_trusted: bool) {
        self.0.tick();
        let silence = self.0.silence;
        let ended = self.0.ended().await;
        let slots: Vec<_> = locked(&self.0.slots).values().cloned().collect();
        for slot in slots {
            let now = self.0.attended();
            {
                // After an absence attended time is set back; what was noted just before that must not be ahead of it.
                let mut seen = locked(&slot.seen);
                seen.last_activity = seen.last_activity.min(now);
                seen.session_ended = seen.session_ended.map(|ended| ended.min(now));
            }
            // When it ended is not asked of the wall clock, which may have been set since.
            let session_ended = ended
                .contains(&slot.id)
                .then(|| *locked(&slot.seen).session_ended.get_or_insert(now));
            // Its session ended so long ago that a sender who goes on has had its time.
            let overdue = session_ended.is_some_and(|ended| now.saturating_sub(ended) >= silence);
            let claim = overdue.then(|| slot.claims.take());
            let mut state = match slot.state.try_lock() {
                Ok(state) => state,
                Err(_) if claim.is_some() => slot.state.lock().await,
                // Somebody is writing: it is not silent.
                Err(_) => {
                    if let Err(error) = self.0.storage.keep(&slot.id).await {
                        tracing::info!(recording = slot.id, "cannot say that it goes on: {error}");
                    }
                    continue;
                }
            };
            let seen = {
                let mut seen = locked(&slot.seen);
                // Another server may have been told of the end.
                seen.stopped |= session_ended.is_some();
                *seen
            };
            let patience = match session_ended {
                Some(_) => silence.min(SESSION_GRACE),
                None => silence,
            };
            let silence = now.saturating_sub(seen.last_activity);
            let silent = overdue || silence >= patience;
            let idle = silent || silence >= IDLE;
            if idle && seen.finish_again.is_none() && !self.0.is_ours(&slot, &mut state).await {
                self.0.forget(&slot);
                continue;
            }
            let Some(interrupted) = seen
                .finish_again
                .or_else(|| silent.then_some(Interrupted(true)))
            else {
                continue;
            };
            if let Err(error) = self.0.settle(&slot, state, interrupted).await {
                tracing::error!(
                    recording = slot.id,
                    "cannot finish a recording, will try again: {error}"
                );
            }
        }
        self.0.tell_growth().await;
        abandoned::take_up(&self.0).await;
        self.0.remove_spent_parts(is_clock_trusted).await;
    }
}

impl Inner {
    /// Whether a recording of which nothing is heard here is not another server's by now. If nobody can tell, it is
    /// left alone.
    async fn is_ours(&self, slot: &Slot, state: &mut Option<Growing>) -> bool {
        match state {
            Some(growing) => !matches!(growing.is_current().await, Ok(false) | Err(_)),
            None => matches!(self.storage.is_shared(&slot.id).await, Ok(false)),
        }
    }

    /// What the reaper does with an upload of which nothing is heard, or whose end failed.
    pub(super) async fn settle(
        &self,
        slot: &Arc<Slot>,
        state: tokio::sync::MutexGuard<'_, Option<Growing>>,
        interrupted: Interrupted,
    ) -> Result<(), UploadError> {
        match self.row(&slot.id).await {
            // A piece of something is of no use to anybody.
            Ok(row) if row.kind == UploadKind::Partial && row.status.is_open() && interrupted.0 => {
                let marked = self.database.mark_deleting(&row.id).await?;
                drop(state);
                marked.ok_or(UploadError::Joined)?;
                tracing::info!(upload = row.id, "a partial upload has expired");
                self.delete(&row.id).await
            }
            Ok(row) if row.kind == UploadKind::Final && row.status.is_open() => {
                let mut claim = slot.claims.take();
                self.join_locked(slot, state, &row, &mut claim).await
            }
            _ => self.finish_locked(slot, state, interrupted).await,
        }
    }

    /// Records a tick of the reaper.
    fn tick(&self) {
        let absent = locked(&self.attendance).tick(self.clock.schedule());
        if !absent.is_zero() {
            tracing::warn!(
                seconds = absent.as_secs(),
                "this server was stopped or held up; the time does not count as silence of senders"
            );
        }
    }

    /// Open recordings whose session has ended or is gone.
    async fn ended(&self) -> HashSet<String> {
        match self.database.open_recordings_of_ended_sessions().await {
            Ok(ids) => ids.into_iter().collect(),
            Err(error) => {
                tracing::error!("cannot look for recordings of ended sessions: {error}");
                HashSet::new()
            }
        }
    }

    /// Deletes what is marked for it.
    pub(super) async fn remove_deleted(&self) {
        let deleting = self.database.deleting_recordings().await;
        for row in deleting.unwrap_or_default() {
            if let Err(error) = self.delete(&row.id).await {
                tracing::error!(
                    recording = row.id,
                    "cannot delete a recording, will try again: {error}"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests;
