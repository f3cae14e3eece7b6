//! Final uploads: a recording that is copied together from partial uploads (tus 1.0, *Concatenation*).
//!
//! The copy goes the way of every body, so that it is indexed as it passes. It begins anew where it was after
//! a crash or a full disk, by the same request sent again or by the reaper, because the final upload's row
//! says what it is made of and its own length how far it is.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use sortie_media::HEAD_ROOM;
use sortie_tus::header::Concat;

use super::admission::Intake;
use super::entry::{Interrupted, Slot, locked};
use super::ownership::Claim;
use super::receive::{Limits, Received};
use super::upload::Growing;
use super::{Body, Inner, UploadError};
use crate::db::{Action, Actor, AuditEvent, RecordingRow, UploadKind};
use crate::storage::StorageError;

/// How long a complete partial upload waits to be joined. Its siblings may take longer to arrive than a
/// silent sender is waited for.
const PART_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// When a complete partial upload goes, if nobody joins it.
pub(super) fn part_expires_ms(row: &RecordingRow, silence: Duration) -> Option<i64> {
    let waiting = row.kind == UploadKind::Partial && row.final_id.is_none();
    row.completed_ms
        .filter(|_| waiting)
        .map(|completed_ms| completed_ms.saturating_add(part_lifetime_ms(silence)))
}

fn part_lifetime_ms(silence: Duration) -> i64 {
    i64::try_from(PART_LIFETIME.max(silence).as_millis()).unwrap_or(i64::MAX)
}

impl Inner {
    /// Makes a final upload of complete partial ones; `false` if one of them is not to be had any more.
    pub(super) async fn create_final(
        &self,
        row: &RecordingRow,
        parts: &[String],
        actor: &Actor,
    ) -> Result<bool, UploadError> {
        let writer = self.storage.create(&row.id).await?;
        let slot = self.slot(&row.id);
        // Before there is a row, as in `create`.
        let mut state = slot.state.lock().await;
        let inserted = self.database.insert_final(row, parts).await;
        if !matches!(inserted, Ok(true)) {
            drop(writer);
            self.forget(&slot);
            self.remove_rowless(row).await;
            return Ok(inserted?);
        }
        let event = AuditEvent::done(actor, Action::Start, &row.id).detail(&row.session_id);
        self.audit(&event).await;
        // Its bytes are here already, in its parts.
        self.audit(&AuditEvent::done(actor, Action::Upload, &row.id))
            .await;
        let share = self.indexes.share(&row.user_id);
        *state = Some(Growing::new(writer, row.kind, Some(share)));
        // Until it is joined; the reaper goes on if the request does not.
        locked(&slot.seen).finish_again = Some(Interrupted(false));
        Ok(true)
    }

    /// Joins a final upload, or waits until it is joined.
    pub(super) async fn join(&self, id: &str) -> Result<(), UploadError> {
        let slot = self.slot(id);
        let mut claim = slot.claims.take();
        let state = slot.state.lock().await;
        if claim.is_stale() {
            return Err(UploadError::Preempted);
        }
        let row = match self.row(id).await {
            Ok(row) if row.status.is_open() => row,
            other => {
                self.forget_unless_pending(&slot);
                return other.map(|_| ());
            }
        };
        self.join_locked(&slot, state, &row, &mut claim).await
    }

    pub(super) async fn join_locked(
        &self,
        slot: &Arc<Slot>,
        mut state: tokio::sync::MutexGuard<'_, Option<Growing>>,
        row: &RecordingRow,
        claim: &mut Claim<'_>,
    ) -> Result<(), UploadError> {
        let length = row.upload_length.unwrap_or_default().unsigned_abs();
        self.refresh(&mut state).await?;
        let growing = self.resumed(slot, &mut state, row.kind).await?;
        let mut rest = match self.parts_from(row, growing.offset()).await {
            Ok(rest) => rest,
            // Nothing else will ever come; what has been copied is not thrown away.
            Err(UploadError::Unknown) => {
                tracing::error!(recording = row.id, "a part of a final upload is gone");
                return self.finish_locked(slot, state, Interrupted(true)).await;
            }
            Err(error) => return Err(error),
        };
        let room = length.saturating_sub(growing.offset());
        let received = self
            .receive(
                slot,
                growing,
                &mut rest,
                claim,
                // The parts were counted as they arrived.
                Limits { room, quota: None },
                Intake::new(None),
            )
            .await;
        if let Err(error) = growing.sync().await {
            *state = None;
            return Err(error.into());
        }
        self.show(slot, growing);
        let offset = growing.offset();
        if received.is_err() {
            // The index may be ahead of its patches; it is made anew from what is stored.
            *state = None;
        }
        match received? {
            Received::Whole if offset == length => {}
            Received::Preempted => return Err(UploadError::Preempted),
            Received::ShuttingDown => return Err(UploadError::ShuttingDown),
            Received::Whole
            | Received::Interrupted
            | Received::TooMuch
            | Received::OverQuota(_) => {
                let error = std::io::Error::other("a partial upload does not have its length");
                return Err(StorageError::Io(error).into());
            }
        }
        self.finish_locked(slot, state, Interrupted(false)).await?;
        self.remove_spent_parts(false).await;
        Ok(())
    }

    /// The stream of a final upload from `offset` on, read from its parts one after the other.
    async fn parts_from(&self, row: &RecordingRow, offset: u64) -> Result<Body, UploadError> {
        let Ok(Concat::Final(urls)) = Concat::parse(&row.upload_concat) else {
            let error = std::io::Error::other("a final upload does not say what it is made of");
            return Err(StorageError::Io(error).into());
        };
        let mut pieces = Vec::with_capacity(urls.len());
        let mut skip = offset;
        for url in urls {
            let id = url.rsplit('/').next().unwrap_or_default();
            let part = self.row(id).await?;
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

    /// Removes partial uploads whose final upload is complete, and with `expired` those that waited too long for one.
    /// What fails is tried again by the reaper.
    pub(super) async fn remove_spent_parts(&self, expired: bool) {
        let before_ms = match expired {
            true => (self.clock.now_ms()).saturating_sub(part_lifetime_ms(self.silence)),
            false => i64::MIN,
        };
        if let Err(error) = self.database.mark_spent_parts(before_ms).await {
            tracing::error!("partial uploads that are not needed stay for now: {error}");
        }
        self.remove_deleted().await;
    }
}
