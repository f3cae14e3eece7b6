//! What nobody asks for any more: silent uploads, finishes that failed, deletions that were not done.

use std::collections::HashMap;
use std::sync::Arc;

use sortie_api::RecordingStatus;
use sortie_tus::server::UploadLength;

use super::growing::Growing;
use super::slot::{Interrupted, Slot, declared_length, locked};
use super::{Ingest, IngestError, Inner, abandoned, join};
use crate::catalog::{CatalogError, RecordingRow, UploadKind};

/// How long the sender of a recording whose session has ended may be silent: its last bytes are on their way.
const SESSION_GRACE_MS: i64 = 10_000;
/// With nothing heard for so long it is asked whether another server has taken a recording over.
const IDLE_MS: i64 = 30_000;

impl Ingest {
    /// Takes up what a former run left open; finishes what was being finished.
    pub(crate) async fn recover(&self) -> Result<(), CatalogError> {
        for row in self.0.catalog.unfinished_recordings().await? {
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
        let last_heard_ms = locked(&slot.seen).last_heard_ms;
        let silence_ms = i64::try_from(self.0.silence.as_millis()).unwrap_or(i64::MAX);
        Some(last_heard_ms.saturating_add(silence_ms))
    }

    /// When a partial upload that is complete goes, if nobody joins it.
    pub(crate) fn part_expires_ms(&self, row: &RecordingRow) -> Option<i64> {
        join::part_expires_ms(row, self.0.silence)
    }

    /// Finishes recordings whose sender has been silent for too long, soon after their session has ended, and those
    /// whose finish failed.
    pub(crate) async fn reap(&self) {
        let now_ms = self.0.clock.now_ms();
        let silence_ms = i64::try_from(self.0.silence.as_millis()).unwrap_or(i64::MAX);
        let ended = self.0.ended().await;
        let slots: Vec<_> = locked(&self.0.slots).values().cloned().collect();
        for slot in slots {
            // A session that is gone does not say when: as soon as anybody noticed.
            let ended_ms = ended.get(&slot.id).map(|ended_ms| {
                ended_ms.unwrap_or_else(|| *locked(&slot.seen).orphaned_ms.get_or_insert(now_ms))
            });
            // Its session ended so long ago that a sender who goes on has had its time.
            let overdue =
                ended_ms.is_some_and(|ended_ms| now_ms >= ended_ms.saturating_add(silence_ms));
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
            let seen = *locked(&slot.seen);
            let patience_ms = match ended_ms {
                Some(_) => silence_ms.min(SESSION_GRACE_MS),
                None => silence_ms,
            };
            let silent = overdue || now_ms.saturating_sub(seen.last_heard_ms) >= patience_ms;
            let idle = silent || now_ms.saturating_sub(seen.last_heard_ms) >= IDLE_MS;
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
        self.0.remove_spent_parts().await;
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
    ) -> Result<(), IngestError> {
        match self.row(&slot.id).await {
            // A piece of something is of no use to anybody.
            Ok(row) if row.kind == UploadKind::Partial && row.status.is_open() && interrupted.0 => {
                self.catalog.mark_deleting(&row.id).await?;
                drop(state);
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

    /// Open recordings whose session has ended or is gone, and when it ended.
    async fn ended(&self) -> HashMap<String, Option<i64>> {
        match self.catalog.open_recordings_of_ended_sessions().await {
            Ok(rows) => rows.into_iter().collect(),
            Err(error) => {
                tracing::error!("cannot look for recordings of ended sessions: {error}");
                HashMap::new()
            }
        }
    }

    /// Deletes what is marked for it.
    pub(super) async fn remove_deleted(&self) {
        let deleting = self.catalog.deleting_recordings().await;
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
