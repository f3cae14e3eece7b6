//! Reaper: finishes uploads whose sender is silent, and retries failed finishes.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::concat::Concatenator;
use super::deletion::Deleter;
use super::error::UploadError;
use super::finish::Finisher;
use super::registry::{Interrupted, Registry, UploadEntry, locked};
use super::rows::Rows;
use super::upload::Upload;
use crate::db::UploadKind;
use crate::storage::{Storage, is_shared};

/// Allowed silence of a sender whose session has ended: its last bytes may still be in transit.
const SESSION_GRACE: Duration = Duration::from_secs(10);
/// After this silence the lease of an upload is checked and thereby renewed, which tells the other servers that this
/// one is alive; see `recovery.rs`.
const IDLE: Duration = Duration::from_secs(10);

/// Closes uploads without their sender.
pub(super) struct Reaper {
    rows: Rows,
    storage: Arc<dyn Storage>,
    registry: Arc<Registry>,
    finisher: Arc<Finisher>,
    concatenator: Arc<Concatenator>,
    deleter: Arc<Deleter>,
    silence: Duration,
}

/// Dependencies of a [`Reaper`].
pub(super) struct Collaborators {
    pub(super) finisher: Arc<Finisher>,
    pub(super) concatenator: Arc<Concatenator>,
    pub(super) deleter: Arc<Deleter>,
}

impl Reaper {
    pub(super) fn new(
        rows: Rows,
        storage: Arc<dyn Storage>,
        registry: Arc<Registry>,
        collaborators: Collaborators,
        silence: Duration,
    ) -> Self {
        let Collaborators {
            finisher,
            concatenator,
            deleter,
        } = collaborators;
        Self {
            rows,
            storage,
            registry,
            finisher,
            concatenator,
            deleter,
            silence,
        }
    }

    /// Closes uploads whose sender has been silent for too long or whose session has ended, and those whose finish
    /// failed.
    pub(super) async fn reap(&self) {
        let absent = self.registry.clock().tick();
        if !absent.is_zero() {
            tracing::warn!(
                seconds = absent.as_secs(),
                "this server was stopped or delayed; the time does not count as silence of senders"
            );
        }
        let ended = self.recordings_of_ended_sessions().await;
        for entry in self.registry.entries() {
            self.check(&entry, ended.contains(&entry.id)).await;
        }
    }

    /// Closes one upload if its time has come.
    async fn check(&self, entry: &Arc<UploadEntry>, session_ended: bool) {
        let now = self.registry.clock().now();
        // The end of the session is not read from the wall clock, which may have been set since.
        let session_ended = {
            let mut state = locked(&entry.state);
            // Attended time is set back after an absence; times noted just before must not lie ahead of it.
            state.last_activity = state.last_activity.min(now);
            state.session_ended = state.session_ended.map(|ended| ended.min(now));
            session_ended.then(|| *state.session_ended.get_or_insert(now))
        };
        // The session ended so long ago that even a sender that is still sending is preempted.
        let overdue = session_ended.is_some_and(|ended| now.saturating_sub(ended) >= self.silence);
        let ownership = overdue.then(|| entry.lock.acquire());
        let mut open = match entry.upload.try_lock() {
            Ok(open) => open,
            Err(_) if ownership.is_some() => entry.upload.lock().await,
            // A request is writing: its sender is not silent.
            Err(_) => return self.renew_lease(&entry.id).await,
        };
        let state = {
            let mut state = locked(&entry.state);
            // Another server may have received the stop.
            state.stopped |= session_ended.is_some();
            *state
        };
        let limit = match session_ended {
            Some(_) => self.silence.min(SESSION_GRACE),
            None => self.silence,
        };
        let silence = now.saturating_sub(state.last_activity);
        let silent = overdue || silence >= limit;
        let idle = silent || silence >= IDLE;
        if idle && state.pending_finish.is_none() && !self.is_ours(entry, &mut open).await {
            self.registry.remove(entry);
            return;
        }
        let interrupted = silent.then_some(Interrupted(true));
        let Some(interrupted) = state.pending_finish.or(interrupted) else {
            return;
        };
        self.close_or_retry(entry, open, interrupted).await;
    }

    /// Closes an upload; a failure is only logged, because a later pass tries again.
    pub(super) async fn close_or_retry(
        &self,
        entry: &Arc<UploadEntry>,
        open: tokio::sync::MutexGuard<'_, Option<Upload>>,
        interrupted: Interrupted,
    ) {
        match self.close(entry, open, interrupted).await {
            Ok(_) => {}
            // Expected: deletions do not wait for finishes.
            Err(UploadError::Unknown) => {
                tracing::debug!(
                    recording = entry.id,
                    "a recording was deleted before its finish"
                );
            }
            Err(error) => tracing::error!(
                recording = entry.id,
                "cannot finish a recording, will try again: {error}"
            ),
        }
    }

    async fn renew_lease(&self, id: &str) {
        if let Some(replicated) = self.storage.replicated()
            && let Err(error) = replicated.renew(id).await
        {
            tracing::info!(recording = id, "cannot renew a lease: {error}");
        }
    }

    /// Whether no other server has taken over a recording. Returns `false` on an error, so that the recording is left
    /// unchanged.
    async fn is_ours(&self, entry: &UploadEntry, open: &mut Option<Upload>) -> bool {
        match open {
            Some(upload) => matches!(upload.is_current().await, Ok(true)),
            None => matches!(is_shared(&*self.storage, &entry.id).await, Ok(false)),
        }
    }

    /// Closes an upload without its sender: deletes an expired partial upload, joins a final one, finishes all others.
    pub(super) async fn close(
        &self,
        entry: &Arc<UploadEntry>,
        open: tokio::sync::MutexGuard<'_, Option<Upload>>,
        interrupted: Interrupted,
    ) -> Result<(), UploadError> {
        match self.rows.row(&entry.id).await {
            // An incomplete partial upload cannot be used.
            Ok(row) if row.kind == UploadKind::Partial && row.status.is_open() && interrupted.0 => {
                let marked = self
                    .rows
                    .database
                    .recordings()
                    .mark_deleting(&row.id)
                    .await?;
                drop(open);
                marked.ok_or(UploadError::Joined)?;
                tracing::info!(upload = row.id, "a partial upload has expired");
                self.deleter.delete(&row.id).await
            }
            Ok(row) if row.kind == UploadKind::Final && row.status.is_open() => {
                let mut ownership = entry.lock.acquire();
                self.concatenator
                    .join_locked(entry, open, &row, &mut ownership)
                    .await
            }
            _ => self.finisher.finish(entry, open, interrupted).await,
        }
    }

    async fn recordings_of_ended_sessions(&self) -> HashSet<String> {
        let database = &self.rows.database;
        match database.recordings().open_of_ended_sessions().await {
            Ok(ids) => ids.into_iter().collect(),
            Err(error) => {
                tracing::error!("cannot look for recordings of ended sessions: {error}");
                HashSet::new()
            }
        }
    }
}
