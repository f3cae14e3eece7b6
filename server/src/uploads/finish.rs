//! The end of a recording: from what has arrived to an ordinary file.
//!
//! `recording` → `uploading` → `processing` → `ready` or `failed`. The plan is written into the row before the
//! object is touched, so that a crash at any moment leaves one obvious thing to do.

use std::sync::Arc;

use sortie_api::RecordingStatus;

use super::entry::{Interrupted, Slot, locked};
use super::missing_data::OBJECT_GONE;
use super::upload::{Ending, Growing, conclude};
use super::{Inner, UploadError};
use crate::db::{Action, Actor, AuditEvent, Completion, RecordingRow, UploadKind};
use crate::storage::StorageError;

impl Inner {
    /// Makes an ordinary file of what has arrived. Its cost does not depend on the length.
    pub(super) async fn finish(
        &self,
        slot: &Arc<Slot>,
        interrupted: Interrupted,
    ) -> Result<(), UploadError> {
        let state = slot.state.lock().await;
        self.finish_locked(slot, state, interrupted).await
    }

    #[tracing::instrument(target = "sortie::spans", level = "trace", name = "finish", skip_all, fields(sortie.recording = slot.id, sortie.interrupted = interrupted.0))]
    pub(super) async fn finish_locked(
        &self,
        slot: &Arc<Slot>,
        mut state: tokio::sync::MutexGuard<'_, Option<Growing>>,
        interrupted: Interrupted,
    ) -> Result<(), UploadError> {
        let row = match self.row(&slot.id).await {
            Ok(row) if !matches!(row.status, RecordingStatus::Ready | RecordingStatus::Failed) => {
                row
            }
            other => {
                if matches!(other, Ok(_) | Err(UploadError::Unknown)) {
                    self.forget(slot);
                }
                return other.map(|_| ());
            }
        };
        // Until it is done; the reaper tries again.
        locked(&slot.seen).finish_again = Some(interrupted);
        let processing = row.status == RecordingStatus::Processing;
        let length = row.upload_length.filter(|_| processing);
        let planned = length.map(i64::unsigned_abs);
        self.refresh(&mut state).await?;
        let resumed = self.resumed_up_to(slot, &mut state, row.kind, planned);
        let arrived = match resumed.await {
            // What an earlier attempt appended is not what has arrived.
            Ok(growing) => planned.unwrap_or_else(|| growing.offset()),
            // A crash between the last rename and the row: the object is finished already, as planned.
            Err(UploadError::Storage(StorageError::Missing)) if processing => {
                return self.take_up_finished(slot, &row).await;
            }
            Err(error) => return Err(error),
        };
        let Some(mut growing) = state.take() else {
            return Err(UploadError::Unknown);
        };
        // Both until the index is written.
        let _memory;
        let _share;
        if growing.needs_rescan() {
            _memory = self.indexes.finish(u64::MAX).await;
            // Its writer first: there is only one at a time.
            drop(growing);
            let reopened = self.storage.reopen(&slot.id).await?;
            growing = Growing::resume(reopened, row.kind, Some(arrived), None).await?;
            _share = None;
        } else {
            _memory = self.indexes.finish(growing.finish_bytes()).await;
            _share = growing.take_share();
        }
        let fence = growing.fence();
        let (writer, ending) = growing.end();
        let mut plan = self.plan(&row, &ending, arrived, interrupted);
        let marked = self.database.mark_processing(&row.id, &plan, fence).await?;
        if !marked && fence.is_some() {
            return self.leave(slot);
        }
        match conclude(writer, ending).await {
            Err(StorageError::Fenced) => return self.leave(slot),
            // Trying again would end the same way for ever.
            Err(StorageError::Lost(error)) => {
                tracing::error!(recording = row.id, "a recording has lost parts: {error}");
                plan = self.plan_of_lost(&row, plan);
                self.database.mark_processing(&row.id, &plan, fence).await?;
            }
            concluded => concluded?,
        }
        let failure = plan.failure.as_deref();
        self.complete_row(slot, &row, failure, interrupted).await?;
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

    /// Another server has taken the recording over and goes on with it.
    fn leave(&self, slot: &Arc<Slot>) -> Result<(), UploadError> {
        locked(&slot.seen).finish_again = None;
        self.forget(slot);
        Err(UploadError::Preempted)
    }

    fn plan(
        &self,
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

    /// Completes the row of an object that was finished just before a crash.
    async fn take_up_finished(
        &self,
        slot: &Arc<Slot>,
        row: &RecordingRow,
    ) -> Result<(), UploadError> {
        let size_bytes = match self.storage.size(&row.storage_path).await {
            Ok(size_bytes) => Some(size_bytes),
            Err(StorageError::Missing) => None,
            // It may be there, who knows.
            Err(error) => return Err(error.into()),
        };
        let mut failure = row.failure.as_deref();
        if size_bytes != Some(row.size_bytes.unsigned_abs()) {
            tracing::error!(
                recording = row.id,
                path = row.storage_path,
                "a recording's object is gone"
            );
            let plan = Completion {
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
            self.database.mark_processing(&row.id, &plan, None).await?;
            failure = Some(OBJECT_GONE);
        }
        let interrupted = Interrupted(row.interrupted);
        self.complete_row(slot, row, failure, interrupted).await
    }

    /// Says in the row, and to whoever listens, that the object is finished.
    async fn complete_row(
        &self,
        slot: &Arc<Slot>,
        row: &RecordingRow,
        failure: Option<&str>,
        interrupted: Interrupted,
    ) -> Result<(), UploadError> {
        let now_ms = self.clock.now_ms();
        let completed = self.database.mark_complete(&row.id, now_ms).await?;
        if let Err(error) = self.storage.forget(&row.id).await {
            tracing::info!(recording = row.id, "its lease stays for a while: {error}");
        }
        self.forget(slot);
        // With several servers another one may have been quicker.
        if completed && row.kind != UploadKind::Partial {
            let (action, detail) = match failure {
                None if interrupted.0 => (Action::Ready, "interrupted"),
                None => (Action::Ready, ""),
                Some(failure) => (Action::Fail, failure),
            };
            let actor = Actor::system();
            self.audit(&AuditEvent::done(&actor, action, &row.id).detail(detail))
                .await;
        }
        Ok(())
    }
}

/// A file name with the ending of what the file turned out to be.
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

#[cfg(test)]
mod tests {
    use super::with_extension;

    #[test]
    fn a_name_gets_the_ending_of_what_is_inside() {
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
