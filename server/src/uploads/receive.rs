//! From a request's body to the storage.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use sortie_tus::server::{Append, Refusal, UploadLength, admit};
use tokio::sync::OwnedSemaphorePermit;

use super::admission::{Intake, Taken};
use super::entry::{Interrupted, Owner, Slot, closed_position, declared_length};
use super::ownership::Claim;
use super::quota::Counter;
use super::upload::Growing;
use super::{Body, Inner, Position, UploadError};
use crate::db::{Action, Actor, AuditEvent, RecordingRow, UploadKind};
use crate::storage::StorageError;

/// A long body is made durable about this often while it arrives.
const SYNC_EVERY: u64 = 16 * 1024 * 1024;

/// How much is read, and thrown away, of a body that is refused, and for how long.
const DRAIN_BYTES: usize = 16 * 1024 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Why receiving a body ended.
pub(super) enum Received {
    Whole,
    Interrupted,
    Preempted,
    ShuttingDown,
    TooMuch,
    OverQuota(u64),
}

impl Received {
    /// What its sender is told, unless the body is whole. The upload is at `offset` now.
    pub(super) fn error(
        &self,
        offset: u64,
        length: UploadLength,
        max_size: u64,
    ) -> Option<UploadError> {
        Some(match self {
            Self::Whole => return None,
            Self::Interrupted => UploadError::Interrupted { offset },
            Self::Preempted => UploadError::Preempted,
            Self::ShuttingDown => UploadError::ShuttingDown,
            Self::OverQuota(max) => UploadError::OverQuota { max: *max },
            Self::TooMuch => match length {
                UploadLength::Known(length) => Refusal::BeyondLength { length },
                UploadLength::Deferred => Refusal::TooLarge { max_size },
            }
            .into(),
        })
    }
}

/// How much of a body may be received.
#[derive(Clone, Copy)]
pub(super) struct Limits<'a> {
    /// Bytes up to the upload's length or the largest recording.
    pub(super) room: u64,
    /// The quota of its owner, if there is one.
    pub(super) quota: Option<&'a Counter>,
}

impl Inner {
    pub(super) async fn append(
        &self,
        id: &str,
        append: &Append,
        body_length: Option<u64>,
        body: &mut Body,
        actor: &Actor,
    ) -> Result<Position, UploadError> {
        let slot = self.slot(id);
        let mut claim = match slot.claims.take_at(append.offset) {
            Ok(claim) => claim,
            Err(current) => {
                return Err(Refusal::WrongOffset {
                    requested: append.offset,
                    current,
                }
                .into());
            }
        };
        // Before anything is waited for: the reaper must not find this sender silent.
        self.heard(&slot);
        let mut state = slot.state.lock().await;
        if claim.is_stale() {
            return Err(UploadError::Preempted);
        }
        self.refresh(&mut state).await?;
        let known = state.as_ref().and_then(|growing| growing.open);
        let (declared, kind) = match known {
            Some(known) => known,
            None => match self.row(id).await {
                Ok(row) if row.status.is_open() => {
                    let _ = slot.owner.set(Owner::of(&row));
                    (declared_length(&row), row.kind)
                }
                other => {
                    self.forget_unless_pending(&slot);
                    return append_to_closed(&other?, append, body_length, self.max_size);
                }
            },
        };
        if kind == UploadKind::Final {
            return Err(Refusal::FinalUpload.into());
        }
        let growing = self.resumed(&slot, &mut state, kind).await?;
        if growing.open.is_some_and(|open| open != (declared, kind)) {
            // Another server was told its length while we took it over.
            return Err(UploadError::Preempted);
        }
        let quota = match slot.owner.get() {
            Some(owner) => self.quota_of(&owner.user_id).await?,
            None => self.quota_of(&self.row(id).await?.user_id).await?,
        };
        let admission = admit(
            append,
            growing.offset(),
            declared,
            body_length,
            self.max_size,
        )?;
        self.heard(&slot);
        let mut verified;
        let (body, intake) = match &append.checksum {
            None => (body, Intake::new(body_length)),
            Some(checksum) => {
                let intake = Intake::new(body_length);
                let (replayed, intake) = self
                    .verified(
                        checksum,
                        body,
                        &mut claim,
                        growing.offset(),
                        admission,
                        intake,
                    )
                    .await?;
                verified = replayed;
                (&mut verified, intake)
            }
        };
        if let (true, UploadLength::Known(length)) = (admission.declares, admission.length) {
            self.database.set_upload_length(id, length).await?;
        }
        growing.open = Some((admission.length, kind));
        let before = growing.offset();

        let received = self
            .receive(
                &slot,
                growing,
                body,
                &mut claim,
                Limits {
                    room: admission.room,
                    quota: quota.as_deref(),
                },
                intake,
            )
            .await;
        // Whatever happened: what is there is made durable and counted before anybody is answered.
        if let Err(error) = growing.sync().await {
            // The index may be ahead of the storage now; it is made anew from what is stored.
            *state = None;
            return Err(error.into());
        }
        self.show(&slot, growing);
        let offset = growing.offset();
        if received.is_err() {
            // The index may be ahead of its patches; it is made anew from what is stored.
            *state = None;
        }
        if let Some(error) = received?.error(offset, admission.length, self.max_size) {
            return Err(error);
        }
        let position = Position {
            offset,
            length: admission.length,
        };
        if admission.length == UploadLength::Known(offset) {
            drop(state);
            // A sender that only asks for the end again, because it failed, has uploaded before.
            let is_news = admission.declares || offset > before;
            if is_news && kind != UploadKind::Partial {
                self.audit(&AuditEvent::done(actor, Action::Upload, id))
                    .await;
            }
            self.finish(&slot, Interrupted(false)).await?;
        }
        Ok(position)
    }

    /// What comes next of a body, or why nothing does.
    pub(super) async fn next_piece(
        &self,
        body: &mut Body,
        claim: &mut Claim<'_>,
    ) -> Result<Bytes, Received> {
        let next = tokio::select! {
            biased;
            () = claim.stale() => return Err(Received::Preempted),
            () = self.closing.cancelled() => return Err(Received::ShuttingDown),
            next = body.next() => next,
        };
        match next {
            Some(Ok(bytes)) => Ok(bytes),
            None => Err(Received::Whole),
            // A connection that is silent for too long is one, too; see `connections`.
            Some(Err(_)) => Err(Received::Interrupted),
        }
    }

    /// Room for a batch, when it is this upload's turn.
    pub(super) async fn room_for(
        &self,
        size: usize,
        claim: &mut Claim<'_>,
    ) -> Result<OwnedSemaphorePermit, Received> {
        tokio::select! {
            biased;
            () = claim.stale() => Err(Received::Preempted),
            () = self.closing.cancelled() => Err(Received::ShuttingDown),
            room = self.room.of(size) => Ok(room),
        }
    }

    /// Receives a body into the storage, in batches.
    pub(super) async fn receive(
        &self,
        slot: &Slot,
        growing: &mut Growing,
        body: &mut Body,
        claim: &mut Claim<'_>,
        limits: Limits<'_>,
        mut intake: Intake,
    ) -> Result<Received, StorageError> {
        let Limits { mut room, quota } = limits;
        let mut durable = growing.offset();
        let receiving = claim.receive_at(durable);
        let ended = loop {
            let mut bytes = match self.take_in(&mut intake, body, claim).await {
                Taken::Bytes(bytes) => bytes,
                Taken::Pause => {
                    let pieces = intake.take(growing.seals());
                    if !pieces.is_empty() {
                        growing.append(pieces).await?;
                        growing.write_out().await?;
                    }
                    continue;
                }
                Taken::End(ended) => break ended,
            };
            let fits = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
            let granted = quota.map_or(fits, |quota| quota.take(fits));
            let refused = match quota {
                Some(quota) if granted < fits => Some(Received::OverQuota(quota.max())),
                _ => (fits < bytes.len()).then_some(Received::TooMuch),
            };
            let fits = granted;
            bytes.truncate(fits);
            if !receiving.advance(fits as u64) {
                break Received::Preempted;
            }
            room -= fits as u64;
            if intake.is_full_with(fits) {
                growing.append(intake.take(growing.seals())).await?;
                growing.write_out().await?;
                // A whole file in one request: it is seen to arrive, and little of it can be lost.
                if growing.offset() - durable >= SYNC_EVERY {
                    growing.sync().await?;
                    durable = growing.offset();
                    self.show(slot, growing);
                }
            }
            growing.index(&bytes);
            intake.push(bytes);
            if let Some(refused) = refused {
                break refused;
            }
        };
        if !intake.is_empty() {
            growing.append(intake.take(growing.seals())).await?;
        }
        Ok(ended)
    }
}

/// Reads on for a while after a refusal, so that the sender gets to see it: a connection that is closed with
/// unread bytes in it is reset, and the answer with it.
pub(crate) async fn drain(mut body: Body) {
    let mut left = DRAIN_BYTES;
    let draining = async {
        while let Some(Ok(bytes)) = body.next().await {
            left = left.saturating_sub(bytes.len());
            if left == 0 {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN_TIME, draining).await;
}

/// A `PATCH` to an upload that takes no more bytes: harmless if it only repeats the end, else refused.
fn append_to_closed(
    row: &RecordingRow,
    append: &Append,
    body_length: Option<u64>,
    max_size: u64,
) -> Result<Position, UploadError> {
    if row.kind == UploadKind::Final {
        return Err(Refusal::FinalUpload.into());
    }
    let position = closed_position(row);
    if row.interrupted {
        return Err(UploadError::Finished);
    }
    let admission = admit(
        append,
        position.offset,
        position.length,
        body_length,
        max_size.max(position.offset),
    )?;
    if admission.room == 0 && body_length.unwrap_or_default() == 0 {
        return Ok(position);
    }
    Err(Refusal::BeyondLength {
        length: position.offset,
    }
    .into())
}
