//! Concatenation (tus 1.0, *Concatenation*): copies partial uploads into a final upload.
//!
//! The copy goes through the receive loop like every body, so it is indexed on the way. After a crash or with a full
//! disk the same request, or the reaper, resumes it: the row of the final upload lists its parts, and its length is the
//! number of copied bytes.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use sortie_media::HEAD_ROOM;
use sortie_tus::header::Concat;

use super::batch::Batcher;
use super::body::{Body, End, Incoming, Limits, Receiver};
use super::deletion::Deleter;
use super::error::UploadError;
use super::finish::Finisher;
use super::opener::Opener;
use super::ownership::Ownership;
use super::registry::{Interrupted, Registry, UploadEntry};
use super::rows::Rows;
use super::upload::Upload;
use crate::db::{Actor, RecordingRow, UploadKind};
use crate::storage::{Storage, StorageError};

/// Lifetime of a complete partial upload that is not joined. Its siblings may take longer to arrive than a sender may
/// be silent.
const PART_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns when a complete partial upload expires if it is not joined.
pub(super) fn part_expires_ms(row: &RecordingRow, silence: Duration) -> Option<i64> {
    let waiting = row.kind == UploadKind::Partial && row.final_id.is_none();
    row.completed_ms
        .filter(|_| waiting)
        .map(|completed_ms| completed_ms.saturating_add(part_lifetime_ms(silence)))
}

fn part_lifetime_ms(silence: Duration) -> i64 {
    i64::try_from(PART_LIFETIME.max(silence).as_millis()).unwrap_or(i64::MAX)
}

/// Joins partial uploads into final ones.
pub(super) struct Concatenator {
    rows: Rows,
    storage: Arc<dyn Storage>,
    registry: Arc<Registry>,
    opener: Arc<Opener>,
    receiver: Arc<Receiver>,
    finisher: Arc<Finisher>,
    deleter: Arc<Deleter>,
    silence: Duration,
}

/// Dependencies of a [`Concatenator`].
pub(super) struct Collaborators {
    pub(super) opener: Arc<Opener>,
    pub(super) receiver: Arc<Receiver>,
    pub(super) finisher: Arc<Finisher>,
    pub(super) deleter: Arc<Deleter>,
}

impl Concatenator {
    pub(super) fn new(
        rows: Rows,
        storage: Arc<dyn Storage>,
        registry: Arc<Registry>,
        collaborators: Collaborators,
        silence: Duration,
    ) -> Self {
        let Collaborators {
            opener,
            receiver,
            finisher,
            deleter,
        } = collaborators;
        Self {
            rows,
            storage,
            registry,
            opener,
            receiver,
            finisher,
            deleter,
            silence,
        }
    }

    /// Creates a final upload and joins it; `false` if one of its parts is no longer available.
    pub(super) async fn concatenate(
        &self,
        row: &RecordingRow,
        parts: &[String],
        actor: &Actor,
    ) -> Result<bool, UploadError> {
        let created = self.opener.create_final(row, parts, actor).await?;
        if created {
            self.join(&row.id).await?;
        }
        Ok(created)
    }

    /// Joins a final upload, or waits until it is joined.
    pub(super) async fn join(&self, id: &str) -> Result<(), UploadError> {
        let entry = self.registry.entry(id);
        let mut ownership = entry.lock.acquire();
        let open = entry.upload.lock().await;
        if ownership.is_preempted() {
            return Err(UploadError::Preempted);
        }
        let row = match self.rows.row(id).await {
            Ok(row) if row.status.is_open() => row,
            Ok(row) => {
                self.finisher.complete_begun(&entry, open, &row).await;
                return Ok(());
            }
            Err(error) => {
                self.registry.remove_unless_pending(&entry);
                return Err(error);
            }
        };
        self.join_locked(&entry, open, &row, &mut ownership).await
    }

    /// Joins a final upload whose lock the caller holds.
    pub(super) async fn join_locked(
        &self,
        entry: &Arc<UploadEntry>,
        mut open: tokio::sync::MutexGuard<'_, Option<Upload>>,
        row: &RecordingRow,
        ownership: &mut Ownership<'_>,
    ) -> Result<(), UploadError> {
        let length = row.upload_length.unwrap_or_default().unsigned_abs();
        Upload::close_if_taken_over(&mut open).await?;
        let offset = self
            .opener
            .resume(entry, &mut open, row.kind)
            .await?
            .offset();
        let mut rest = match self.parts_from(row, offset).await {
            Ok(rest) => rest,
            // The missing bytes will never arrive; the copied ones are kept.
            Err(UploadError::Unknown) => {
                tracing::error!(recording = row.id, "a part of a final upload is missing");
                return self.finisher.finish(entry, open, Interrupted(true)).await;
            }
            Err(error) => return Err(error),
        };
        let incoming = Incoming {
            body: &mut rest,
            batcher: Batcher::new(None),
        };
        let limits = Limits {
            bytes: length.saturating_sub(offset),
            // The parts were counted as they arrived.
            quota: None,
        };
        let received = self
            .receiver
            .receive(entry, &mut open, incoming, ownership, limits)
            .await?;
        match received.end {
            End::Complete if received.offset == length => {}
            End::Preempted => return Err(UploadError::Preempted),
            End::ShuttingDown => return Err(UploadError::ShuttingDown),
            End::Complete
            | End::Interrupted
            | End::TooLong
            | End::OverQuota(_)
            | End::SpoolFull => {
                let error = std::io::Error::other("a partial upload does not have its length");
                return Err(StorageError::Io(error).into());
            }
        }
        self.finisher
            .finish(entry, open, Interrupted(false))
            .await?;
        self.delete_spent_parts(false).await;
        Ok(())
    }

    /// Returns the stream of a final upload from `offset` on, read from its parts in order.
    async fn parts_from(&self, row: &RecordingRow, offset: u64) -> Result<Body, UploadError> {
        let Ok(Concat::Final(urls)) = Concat::parse(&row.upload_concat) else {
            let error = std::io::Error::other("a final upload does not list its parts");
            return Err(StorageError::Io(error).into());
        };
        let mut pieces = Vec::with_capacity(urls.len());
        let mut skip = offset;
        for url in urls {
            let id = url.rsplit('/').next().unwrap_or_default();
            let part = self.rows.row(id).await?;
            let length = part.upload_length.unwrap_or_default().unsigned_abs();
            if skip < length {
                pieces.push((part.storage_path, HEAD_ROOM + skip..HEAD_ROOM + length));
            }
            skip = skip.saturating_sub(length);
        }
        let storage = Arc::clone(&self.storage);
        let streams = futures_util::stream::iter(pieces).then(move |(path, range)| {
            let storage = Arc::clone(&storage);
            async move {
                let stream = storage.read(&path, range).await;
                stream
                    .map(|stream| stream.map_err(axum::Error::new))
                    .map_err(axum::Error::new)
            }
        });
        let logged = streams.try_flatten().inspect_err({
            let id = row.id.clone();
            move |error| tracing::error!(recording = id, "a partial upload cannot be read: {error}")
        });
        Ok(logged.boxed())
    }

    /// Deletes partial uploads whose final upload is complete, and with `expired` those that were not joined in time.
    /// The reaper retries failed deletions.
    pub(super) async fn delete_spent_parts(&self, expired: bool) {
        let before_ms = match expired {
            true => self
                .rows
                .now_ms()
                .saturating_sub(part_lifetime_ms(self.silence)),
            false => i64::MIN,
        };
        if let Err(error) = self
            .rows
            .database
            .final_uploads()
            .mark_spent_parts(before_ms)
            .await
        {
            tracing::error!("cannot delete joined partial uploads, will try again: {error}");
        }
        self.deleter.delete_all_marked().await;
    }
}
