//! Recordings whose bytes somebody took away behind our back.

use super::{Inner, UploadError, Uploads};
use crate::db::{Action, Actor, AuditEvent, Completion, RecordingRow};

/// Why a recording failed whose finished object is not there.
pub(super) const OBJECT_GONE: &str = "The recording's file is no longer in the storage.";
/// Why one failed whose parts were removed from the store while it grew.
const PARTS_GONE: &str = "Somebody, or a rule of the bucket, removed parts of the recording from the storage before it was \
     finished. What is left of it is kept until it is deleted.";

impl Uploads {
    /// The object of a finished recording is gone: `ready` → `failed`. `false` if it was not ready.
    pub(crate) async fn lost(&self, id: &str) -> Result<bool, UploadError> {
        let marked = self.0.database.mark_lost(id, OBJECT_GONE).await?;
        if marked {
            let actor = Actor::system();
            let event = AuditEvent::done(&actor, Action::Fail, id).detail(OBJECT_GONE);
            self.0.audit(&event).await;
        }
        Ok(marked)
    }

    /// Something that belonged to no recording any more was removed.
    pub(crate) async fn swept(&self, subject: &str, detail: &str) {
        let actor = Actor::system();
        let event = AuditEvent::done(&actor, Action::Sweep, subject).detail(detail);
        self.0.audit(&event).await;
    }
}

impl Inner {
    /// What becomes of a recording that cannot be finished, ever: `failed`, with what is left of it where it is.
    pub(super) fn plan_of_lost(&self, row: &RecordingRow, plan: Completion) -> Completion {
        Completion {
            failure: Some(PARTS_GONE.to_owned()),
            left_out: None,
            duration_ms: 0,
            format: "",
            filename: row.filename.clone(),
            storage_path: self.storage.growing_path(&row.id),
            ..plan
        }
    }
}
