//! Creation and resumption of uploads.

use std::sync::Arc;

use super::error::UploadError;
use super::index_budget::IndexBudget;
use super::quota::Quotas;
use super::registry::{Interrupted, Owner, Registry, UploadEntry, locked};
use super::rows::{Rows, declared_length};
use super::upload::Upload;
use crate::db::{Action, Actor, AuditEvent, Insertion, OpenLimit, RecordingRow, UploadKind};
use crate::descriptors;
use crate::storage::Storage;

/// Share of the process's file descriptors that open uploads may use, one each. Half of them are for connections.
const DESCRIPTOR_SHARE: usize = 4;

/// Opens uploads: new ones, and those of an earlier run or another server.
pub(super) struct Opener {
    rows: Rows,
    storage: Arc<dyn Storage>,
    registry: Arc<Registry>,
    indexes: IndexBudget,
}

impl Opener {
    pub(super) fn new(
        rows: Rows,
        storage: Arc<dyn Storage>,
        registry: Arc<Registry>,
        indexes: IndexBudget,
    ) -> Self {
        Self {
            rows,
            storage,
            registry,
            indexes,
        }
    }

    /// Creates an upload: the object first, then the row, so that a row always has an object. Returns its id, or that
    /// of the open upload that the owner created with the same idempotency key.
    pub(super) async fn create(
        &self,
        row: &RecordingRow,
        limit: OpenLimit,
        quotas: &Quotas,
        actor: &Actor,
    ) -> Result<String, UploadError> {
        if self.registry.len() >= descriptors::limit() / DESCRIPTOR_SHARE {
            return Err(UploadError::TooManyOpen);
        }
        // Avoids creating an object that is not needed; the insertion of the row decides.
        let reached = self
            .rows
            .database
            .owners()
            .open_uploads(&row.user_id, &row.session_id)
            .await?
            .reached(limit);
        let length = row.upload_length.unwrap_or_default().unsigned_abs();
        let refused = match reached {
            Some(most) => Err(UploadError::TooMany { most }),
            None => quotas.check(&row.user_id, length).await,
        };
        if let Err(error) = refused {
            let key = row.idempotency_key.as_deref();
            let known = self
                .rows
                .database
                .recordings()
                .upload_with(&row.user_id, key)
                .await?;
            return known.ok_or(error);
        }
        let writer = self.storage.create(&row.id).await?;
        let entry = self.registry.entry(&row.id);
        // Locked before the row exists: a request that finds the row must use this writer and not open another.
        let mut open = entry.upload.lock().await;
        let event = AuditEvent::done(actor, Action::Start, &row.id).detail(&row.session_id);
        let event = (row.kind != UploadKind::Partial).then_some(&event);
        let recordings = self.rows.database.recordings();
        let inserted = recordings.insert(row, limit, event).await;
        if !matches!(inserted, Ok(Insertion::Done)) {
            drop(writer);
            self.discard(&entry, row).await;
            return match inserted? {
                Insertion::Known(id) => Ok(id),
                Insertion::NoFirstPart => Err(UploadError::NoFirstPart),
                Insertion::TooManyParts => Err(UploadError::TooManyParts),
                Insertion::OverProtected { max } => Err(UploadError::OverProtectedQuota { max }),
                Insertion::TooMany { most } => Err(UploadError::TooMany { most }),
                Insertion::Done => Err(UploadError::Unknown),
            };
        }
        let reservation = self.indexes.reserve(&row.user_id);
        *open = Some(Upload::of_row(writer, row, reservation));
        let _ = entry.owner.set(Owner::of(row));
        entry.touch();
        Ok(row.id.clone())
    }

    /// Creates a final upload from complete partial uploads; `false` if one of them is no longer available.
    pub(super) async fn create_final(
        &self,
        row: &RecordingRow,
        parts: &[String],
        actor: &Actor,
    ) -> Result<bool, UploadError> {
        let writer = self.storage.create(&row.id).await?;
        let entry = self.registry.entry(&row.id);
        // Locked before the row exists, as in `create`.
        let mut open = entry.upload.lock().await;
        let event = AuditEvent::done(actor, Action::Start, &row.id).detail(&row.session_id);
        let final_uploads = self.rows.database.final_uploads();
        let inserted = final_uploads.insert(row, parts, &event).await;
        if !matches!(inserted, Ok(true)) {
            drop(writer);
            self.discard(&entry, row).await;
            return Ok(inserted?);
        }
        // The bytes of the final upload were uploaded as its parts.
        self.rows
            .audit(&AuditEvent::done(actor, Action::Upload, &row.id))
            .await;
        let reservation = self.indexes.reserve(&row.user_id);
        *open = Some(Upload::new(writer, row.kind, Some(reservation)));
        // The reaper joins the upload if the request is interrupted.
        locked(&entry.state).pending_finish = Some(Interrupted(false));
        Ok(true)
    }

    /// Removes the entry and the object of a row that could not be inserted.
    async fn discard(&self, entry: &Arc<UploadEntry>, row: &RecordingRow) {
        self.registry.remove(entry);
        if let Err(error) = self.storage.delete(&row.storage_path).await {
            tracing::warn!(
                recording = row.id,
                "an object without a row could not be deleted: {error}"
            );
        }
    }

    /// Replaces the object of an open upload by an empty one.
    pub(super) async fn start_over(
        &self,
        entry: &UploadEntry,
        open: &mut Option<Upload>,
        row: &RecordingRow,
    ) -> Result<(), UploadError> {
        *open = None;
        let path = self.storage.growing_path(&row.id);
        self.storage.delete(&path).await?;
        if let Some(replicated) = self.storage.replicated() {
            replicated.release(&row.id).await?;
        }
        let writer = self.storage.create(&row.id).await?;
        let reservation = self.indexes.reserve(&row.user_id);
        let upload = Upload::of_row(writer, row, reservation);
        entry.record_progress(&upload);
        *open = Some(upload);
        Ok(())
    }

    /// Returns the open upload; resumes it from the storage if it is not open in this run.
    pub(super) async fn resume<'a>(
        &self,
        entry: &UploadEntry,
        open: &'a mut Option<Upload>,
        kind: UploadKind,
    ) -> Result<&'a mut Upload, UploadError> {
        self.resume_planned(entry, open, kind, None).await
    }

    /// As [`Opener::resume`], for an upload whose finish may have begun with a stream of `planned` bytes.
    pub(super) async fn resume_planned<'a>(
        &self,
        entry: &UploadEntry,
        open: &'a mut Option<Upload>,
        kind: UploadKind,
        planned: Option<u64>,
    ) -> Result<&'a mut Upload, UploadError> {
        if open.is_none() {
            if entry.owner.get().is_none() {
                let row = self.rows.database.recordings().get(&entry.id).await?;
                let _ = entry
                    .owner
                    .set(Owner::of(&row.ok_or(UploadError::Unknown)?));
            }
            let user_id = entry.owner.get().map_or("", |owner| owner.user_id.as_str());
            let reservation = self.indexes.reserve(user_id);
            let reopened = self.storage.reopen(&entry.id).await?;
            let mut upload = Upload::resume(reopened, kind, planned, Some(reservation)).await?;
            if upload.fence().is_some() && planned.is_none() {
                // The former server may have closed the row before this one took over the lease; it no longer can.
                let row = self.rows.row(&entry.id).await?;
                if !row.status.is_open() {
                    return Err(UploadError::Preempted);
                }
                upload.metadata = Some((declared_length(&row), row.kind));
            }
            entry.record_progress(&upload);
            *open = Some(upload);
        }
        open.as_mut().ok_or(UploadError::Unknown)
    }
}
