//! Deletion of recordings: the objects first, then the rows.

use std::sync::Arc;

use super::error::UploadError;
use super::registry::Registry;
use super::rows::Rows;
use crate::db::{Action, Actor, AuditEvent, GoneRecording, UploadKind};
use crate::storage::Storage;

pub(super) struct Deleter {
    rows: Rows,
    storage: Arc<dyn Storage>,
    registry: Arc<Registry>,
}

impl Deleter {
    pub(super) fn new(rows: Rows, storage: Arc<dyn Storage>, registry: Arc<Registry>) -> Self {
        Self {
            rows,
            storage,
            registry,
        }
    }

    /// Marks a recording and its parts, audits the deletion with `detail` and carries it out.
    pub(super) async fn mark_and_delete(
        &self,
        id: &str,
        actor: &Actor,
        detail: &str,
    ) -> Result<(), UploadError> {
        let parts = self.rows.database.recordings().mark_deleting(id).await?;
        let parts = parts.ok_or(UploadError::Joined)?;
        for part in parts.iter().map(String::as_str).chain([id]) {
            let event = AuditEvent::done(actor, Action::Delete, part).detail(detail);
            self.rows.audit(&event).await;
        }
        self.delete_parts(id, parts).await
    }

    /// Continues a deletion that is marked and audited.
    pub(super) async fn delete_marked(&self, id: &str) -> Result<(), UploadError> {
        let parts = self.rows.database.parts().of(&[id]).await?;
        let parts = parts.into_iter().map(|part| part.id).collect();
        self.delete_parts(id, parts).await
    }

    /// Deletes the further parts of a recording, then the first part. A failed deletion does not stop the others.
    async fn delete_parts(&self, first: &str, further: Vec<String>) -> Result<(), UploadError> {
        let mut result = Ok(());
        for id in further.iter().map(String::as_str).chain([first]) {
            result = result.and(self.delete(id).await);
        }
        result
    }

    /// Deletes one recording whose deletion is marked.
    pub(super) async fn delete(&self, id: &str) -> Result<(), UploadError> {
        let entry = self.registry.entry(id);
        let _ownership = entry.lock.acquire();
        let mut open = entry.upload.lock().await;
        *open = None;
        // Read under the lock: a finish may have renamed the object in the meantime.
        if let Some(row) = self.rows.database.recordings().get(id).await? {
            self.storage.delete(&self.storage.growing_path(id)).await?;
            self.storage.delete(&row.storage_path).await?;
            let actor = Actor::system();
            let detail = GoneRecording {
                user_id: &row.user_id,
                session_id: Some(&row.session_id),
                part_of: row.part_of.as_deref(),
            };
            let detail = detail.to_text();
            let event = AuditEvent::done(&actor, Action::Gone, id).detail(&detail);
            let event = (row.kind != UploadKind::Partial).then_some(&event);
            let recordings = self.rows.database.recordings();
            recordings.delete(id, self.rows.now_ms(), event).await?;
        }
        self.registry.remove(&entry);
        Ok(())
    }

    /// Deletes every recording whose deletion is marked.
    pub(super) async fn delete_all_marked(&self) {
        let deleting = self.rows.database.recordings().deleting().await;
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
