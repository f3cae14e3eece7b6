//! Finishing: from the received bytes to a playable file.
//!
//! `recording` → `uploading` → `processing` → `ready` or `failed`. The plan is written into the row before the object
//! is touched, so that after a crash at any moment the next attempt follows from the row.

use std::sync::Arc;

use sortie_api::{EndReason, RecordingStatus};

use super::error::UploadError;
use super::index_budget::IndexBudget;
use super::opener::Opener;
use super::registry::{Interrupted, Registry, UploadEntry, locked};
use super::rows::Rows;
use super::upload::{Ending, Upload, conclude};
use crate::db::{Action, Actor, AuditEvent, Completion, RecordingRow, UploadKind};
use crate::storage::{Storage, StorageError};

/// Failure text of a finished recording whose object is missing.
pub(super) const OBJECT_GONE: &str = "The recording's file is no longer in the storage.";
/// Failure text of a recording whose parts were removed from the store while it grew.
const PARTS_GONE: &str = "Somebody, or a rule of the bucket, removed parts of the recording from the storage before it was \
     finished. What is left of it is kept until it is deleted.";

pub(super) struct Finisher {
    rows: Rows,
    storage: Arc<dyn Storage>,
    registry: Arc<Registry>,
    opener: Arc<Opener>,
    indexes: IndexBudget,
}

impl Finisher {
    pub(super) fn new(
        rows: Rows,
        storage: Arc<dyn Storage>,
        registry: Arc<Registry>,
        opener: Arc<Opener>,
        indexes: IndexBudget,
    ) -> Self {
        Self {
            rows,
            storage,
            registry,
            opener,
            indexes,
        }
    }

    /// Turns the received bytes into a finished file, at a cost that does not depend on their length.
    #[tracing::instrument(target = "sortie::spans", level = "trace", name = "finish", skip_all, fields(sortie.recording = entry.id, sortie.interrupted = interrupted.0))]
    pub(super) async fn finish(
        &self,
        entry: &Arc<UploadEntry>,
        mut open: tokio::sync::MutexGuard<'_, Option<Upload>>,
        interrupted: Interrupted,
    ) -> Result<(), UploadError> {
        let row = match self.rows.row(&entry.id).await {
            Ok(row) if row.status.is_open() || row.status == RecordingStatus::Processing => row,
            other => {
                if matches!(other, Ok(_) | Err(UploadError::Unknown)) {
                    self.registry.remove(entry);
                }
                return other.map(|_| ());
            }
        };
        // Cleared when the finish is complete; until then the reaper tries again.
        locked(&entry.state).pending_finish = Some(interrupted);
        let processing = row.status == RecordingStatus::Processing;
        let length = row.upload_length.filter(|_| processing);
        let planned = length.map(i64::unsigned_abs);
        Upload::close_if_taken_over(&mut open).await?;
        let resumed = self
            .opener
            .resume_planned(entry, &mut open, row.kind, planned);
        let arrived = match resumed.await {
            // Excludes bytes that an earlier attempt appended: they did not come from the sender.
            Ok(upload) => planned.unwrap_or_else(|| upload.offset()),
            // After a crash between the last rename and the update of the row, the object is finished as planned.
            Err(UploadError::Storage(StorageError::Missing)) if processing => {
                return self.complete_finished_object(entry, &row).await;
            }
            Err(error) => return Err(error),
        };
        let Some(mut upload) = open.take() else {
            return Err(UploadError::Unknown);
        };
        entry.live.end().await;
        // Both permits are held until the index is written.
        let _memory;
        let _reservation;
        if upload.needs_rescan() {
            _memory = self.indexes.finish(u64::MAX).await;
            // The old writer is dropped first: an object has one writer at a time.
            drop(upload);
            let reopened = self.storage.reopen(&entry.id).await?;
            upload = Upload::resume(reopened, row.kind, Some(arrived), None).await?;
            _reservation = None;
        } else {
            _memory = self.indexes.finish(upload.finish_bytes()).await;
            _reservation = upload.take_reservation();
        }
        let fence = upload.fence();
        let (writer, ending) = upload.end();
        let mut plan = self.plan(entry, &row, &ending, arrived, interrupted);
        let database = &self.rows.database;
        let marked = database
            .recordings()
            .mark_processing(&row.id, &plan, fence)
            .await?;
        if !marked && fence.is_some() {
            return self.leave(entry);
        }
        match conclude(writer, ending).await {
            Err(StorageError::Fenced) => return self.leave(entry),
            // A retry would always fail the same way.
            Err(StorageError::Lost(error)) => {
                tracing::error!(recording = row.id, "a recording has lost parts: {error}");
                plan = self.plan_of_lost(&row, plan);
                database
                    .recordings()
                    .mark_processing(&row.id, &plan, fence)
                    .await?;
            }
            concluded => concluded?,
        }
        let failure = plan.failure.as_deref();
        self.complete_row(entry, &row, failure, interrupted).await?;
        tracing::info!(
            recording = row.id,
            size_bytes = plan.size_bytes,
            duration_ms = plan.duration_ms,
            interrupted = interrupted.0,
            failure = plan.failure,
            "recording complete"
        );
        Ok(())
    }

    /// Completes the finish of a closed upload that this server has begun, because senders consider a closed upload
    /// finished. A failure is not theirs: their bytes are durable, and the reaper tries again.
    pub(super) async fn complete_begun(
        &self,
        entry: &Arc<UploadEntry>,
        open: tokio::sync::MutexGuard<'_, Option<Upload>>,
        row: &RecordingRow,
    ) {
        if row.status == RecordingStatus::Processing {
            // `finish` takes the upload before it marks the row, so another server has marked the row of one that is open.
            if open.is_some() {
                locked(&entry.state).pending_finish = None;
            } else if entry.state().pending_finish.is_some() {
                let finished = self.finish(entry, open, Interrupted(row.interrupted)).await;
                if let Err(error) = finished {
                    tracing::warn!(
                        recording = row.id,
                        "cannot finish a recording, will try again: {error}"
                    );
                }
                return;
            }
        }
        self.registry.remove_unless_pending(entry);
    }

    /// Gives up a recording that another server has taken over.
    fn leave(&self, entry: &Arc<UploadEntry>) -> Result<(), UploadError> {
        locked(&entry.state).pending_finish = None;
        self.registry.remove(entry);
        Err(UploadError::Preempted)
    }

    fn plan(
        &self,
        entry: &UploadEntry,
        row: &RecordingRow,
        ending: &Ending,
        upload_length: u64,
        interrupted: Interrupted,
    ) -> Completion {
        let extension = ending.extension();
        let (failure, duration_ms, format, filename) = match ending {
            Ending::Playable { duration_ms, .. } => (
                None,
                *duration_ms,
                extension,
                with_extension(&row.filename, extension),
            ),
            Ending::Piece(_) => (None, 0, "", row.filename.clone()),
            Ending::Unplayable { reason, .. } => {
                (Some(reason.to_string()), 0, "", row.filename.clone())
            }
        };
        Completion {
            ended_because: end_reason(entry, interrupted),
            media: match ending {
                Ending::Playable { media, .. } => Some(media.clone()),
                Ending::Piece(_) | Ending::Unplayable { .. } => None,
            },
            left_out: match ending {
                Ending::Playable { left_out, .. } => left_out.clone(),
                Ending::Piece(_) | Ending::Unplayable { .. } => None,
            },
            upload_length,
            failure,
            size_bytes: ending.size_bytes(),
            duration_ms,
            format,
            was_named: row.filename.clone(),
            filename,
            storage_path: self.storage.finished_path(&row.id, extension),
            interrupted: interrupted.0,
        }
    }

    /// Plan of a recording that can never be finished: `failed`, with the remaining bytes left where they are.
    fn plan_of_lost(&self, row: &RecordingRow, plan: Completion) -> Completion {
        Completion {
            failure: Some(PARTS_GONE.to_owned()),
            media: None,
            left_out: None,
            duration_ms: 0,
            format: "",
            filename: row.filename.clone(),
            storage_path: self.storage.growing_path(&row.id),
            ..plan
        }
    }

    /// Completes the row of an object that was finished just before a crash.
    async fn complete_finished_object(
        &self,
        entry: &Arc<UploadEntry>,
        row: &RecordingRow,
    ) -> Result<(), UploadError> {
        let size_bytes = match self.storage.size(&row.storage_path).await {
            Ok(size_bytes) => Some(size_bytes),
            Err(StorageError::Missing) => None,
            // The object may exist.
            Err(error) => return Err(error.into()),
        };
        let mut failure = row.failure.as_deref();
        if size_bytes != Some(row.size_bytes.unsigned_abs()) {
            tracing::error!(
                recording = row.id,
                path = row.storage_path,
                "the object of a recording is missing"
            );
            let plan = Completion {
                media: None,
                ended_because: match row.interrupted {
                    true => EndReason::Interrupted,
                    false => EndReason::Stopped,
                },
                left_out: None,
                upload_length: row.upload_length.unwrap_or_default().unsigned_abs(),
                failure: Some(OBJECT_GONE.to_owned()),
                size_bytes: 0,
                duration_ms: 0,
                format: "",
                was_named: row.filename.clone(),
                filename: row.filename.clone(),
                storage_path: row.storage_path.clone(),
                interrupted: row.interrupted,
            };
            self.rows
                .database
                .recordings()
                .mark_processing(&row.id, &plan, None)
                .await?;
            failure = Some(OBJECT_GONE);
        }
        let interrupted = Interrupted(row.interrupted);
        self.complete_row(entry, row, failure, interrupted).await
    }

    /// Marks the row complete with its audit line, and releases the lease.
    async fn complete_row(
        &self,
        entry: &Arc<UploadEntry>,
        row: &RecordingRow,
        failure: Option<&str>,
        interrupted: Interrupted,
    ) -> Result<(), UploadError> {
        let (action, detail) = match failure {
            None if interrupted.0 => (Action::Ready, "interrupted"),
            None => (Action::Ready, ""),
            Some(failure) => (Action::Fail, failure),
        };
        let actor = Actor::system();
        let event = AuditEvent::done(&actor, action, &row.id).detail(detail);
        let event = (row.kind != UploadKind::Partial).then_some(&event);
        // `false` if another server completed the row first.
        self.rows
            .database
            .recordings()
            .mark_complete(&row.id, self.rows.now_ms(), event)
            .await?;
        if let Some(replicated) = self.storage.replicated()
            && let Err(error) = replicated.release(&row.id).await
        {
            tracing::info!(
                recording = row.id,
                "the lease could not be released and expires later: {error}"
            );
        }
        self.registry.remove(entry);
        Ok(())
    }
}

/// Replaces the extension of a file name by that of its container.
pub(crate) fn with_extension(filename: &str, extension: &str) -> String {
    let (stem, given) = filename.rsplit_once('.').unwrap_or((filename, ""));
    if !stem.is_empty() {
        if given.eq_ignore_ascii_case(extension) {
            return filename.to_owned();
        }
        let given = given.to_ascii_lowercase();
        if matches!(given.as_str(), "webm" | "mkv" | "mp4" | "mov" | "m4v") {
            return format!("{stem}.{extension}");
        }
    }
    format!("{filename}.{extension}")
}

/// Returns the reason for the end of an upload.
fn end_reason(entry: &UploadEntry, interrupted: Interrupted) -> EndReason {
    match (entry.state().session_ended, interrupted.0) {
        (Some(_), _) => EndReason::SessionEnded,
        (None, true) => EndReason::Interrupted,
        (None, false) => EndReason::Stopped,
    }
}

#[cfg(test)]
mod tests {
    use super::with_extension;

    #[test]
    fn extension_follows_the_container() {
        for (given, expected) in [
            ("talk.webm", "talk.webm"),
            ("talk.mp4", "talk.webm"),
            ("talk", "talk.webm"),
            ("v1.2", "v1.2.webm"),
            (".webm", ".webm.webm"),
            ("TALK.WebM", "TALK.WebM"),
            ("IMG.MP4", "IMG.webm"),
            ("page.html", "page.html.webm"),
        ] {
            assert_eq!(with_extension(given, "webm"), expected);
        }
    }
}
