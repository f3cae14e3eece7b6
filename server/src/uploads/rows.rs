//! Rows and audit lines of uploads.

use std::sync::Arc;

use sortie_tus::server::UploadLength;

use super::error::UploadError;
use crate::clock::Clock;
use crate::db::{AuditEvent, Database, RecordingRow};

/// The database, as uploads use it. Cheap to clone.
#[derive(Clone)]
pub(super) struct Rows {
    pub(super) database: Database,
    clock: Arc<dyn Clock>,
}

impl Rows {
    pub(super) fn new(database: Database, clock: Arc<dyn Clock>) -> Self {
        Self { database, clock }
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Returns the row of an upload that is not being deleted.
    pub(super) async fn row(&self, id: &str) -> Result<RecordingRow, UploadError> {
        let row = self.database.recordings().get(id).await?;
        row.filter(|row| !row.deleting).ok_or(UploadError::Unknown)
    }

    /// Writes an audit line. The audited action is done and cannot be undone, so a failure is only logged.
    pub(super) async fn audit(&self, event: &AuditEvent<'_>) {
        if let Err(error) = self.database.audit().append(self.now_ms(), event).await {
            tracing::error!(?event, "the audit log cannot be written: {error}");
        }
    }
}

/// Returns the declared length of an open upload.
pub(super) fn declared_length(row: &RecordingRow) -> UploadLength {
    match row.upload_length {
        Some(length) => UploadLength::Known(length.unsigned_abs()),
        None => UploadLength::Deferred,
    }
}
