//! From a request's body to the storage.

use std::time::Duration;

use futures_util::StreamExt;
use sortie_tus::server::{Append, Refusal, UploadLength, admit};

use super::claim::Claim;
use super::growing::Growing;
use super::slot::{Interrupted, Slot, closed_position, declared_length};
use super::{Body, IngestError, Inner, Position};
use crate::catalog::RecordingRow;
use crate::storage::StorageError;

/// Received bytes are handed to the storage in pieces of about this size.
const BATCH: usize = 1024 * 1024;
/// A long body is made durable about this often while it arrives.
const SYNC_EVERY: u64 = 16 * 1024 * 1024;
/// A body that brings nothing for so long is ended with what it has brought.
const BODY_SILENCE: Duration = Duration::from_secs(120);

/// How much is read, and thrown away, of a body that is refused, and for how long.
const DRAIN_BYTES: usize = 16 * 1024 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Why receiving a body ended.
enum Received {
    Whole,
    Interrupted,
    Preempted,
    ShuttingDown,
    TooMuch,
}

impl Inner {
    pub(super) async fn append(
        &self,
        id: &str,
        append: &Append,
        body_length: Option<u64>,
        body: &mut Body,
    ) -> Result<Position, IngestError> {
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
        let mut state = slot.state.lock().await;
        if claim.is_stale() {
            return Err(IngestError::Preempted);
        }
        let row = match self.row(id).await {
            Ok(row) if row.status.is_open() => row,
            other => {
                self.forget(&slot);
                return append_to_closed(&other?, append, body_length, self.max_size);
            }
        };
        let growing = self.resumed(&slot, &mut state).await?;
        let admission = admit(
            append,
            growing.offset(),
            declared_length(&row),
            body_length,
            self.max_size,
        )?;
        if let (true, UploadLength::Known(length)) = (admission.declares, admission.length) {
            self.catalog.set_upload_length(id, length).await?;
        }

        let received = self
            .receive(&slot, growing, body, &mut claim, admission.room)
            .await;
        // Whatever happened: what is there is made durable and counted before anybody is answered.
        if let Err(error) = growing.sync().await {
            // The index may be ahead of the storage now; it is made anew from what is stored.
            *state = None;
            return Err(error.into());
        }
        self.show(&slot, growing);
        let offset = growing.offset();
        match received? {
            Received::Whole => {}
            Received::Interrupted => return Err(IngestError::Interrupted { offset }),
            Received::Preempted => return Err(IngestError::Preempted),
            Received::ShuttingDown => return Err(IngestError::ShuttingDown),
            Received::TooMuch => {
                return Err(match admission.length {
                    UploadLength::Known(length) => Refusal::BeyondLength { length },
                    UploadLength::Deferred => Refusal::TooLarge {
                        max_size: self.max_size,
                    },
                }
                .into());
            }
        }
        let position = Position {
            offset,
            length: admission.length,
        };
        if admission.length == UploadLength::Known(offset) {
            drop(state);
            self.finish(&slot, Interrupted(false)).await?;
        }
        Ok(position)
    }

    /// Receives a body into the storage, in batches.
    async fn receive(
        &self,
        slot: &Slot,
        growing: &mut Growing,
        body: &mut Body,
        claim: &mut Claim<'_>,
        mut room: u64,
    ) -> Result<Received, StorageError> {
        let mut batch = Vec::new();
        let mut batched = 0;
        let mut durable = growing.offset();
        let receiving = claim.receive_at(durable);
        let ended = loop {
            let next = tokio::select! {
                biased;
                () = claim.stale() => break Received::Preempted,
                () = self.closing.cancelled() => break Received::ShuttingDown,
                next = tokio::time::timeout(BODY_SILENCE, body.next()) => next,
            };
            let mut bytes = match next {
                Ok(Some(Ok(bytes))) => bytes,
                Ok(None) => break Received::Whole,
                Ok(Some(Err(_))) | Err(_) => break Received::Interrupted,
            };
            let fits = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
            let too_much = fits < bytes.len();
            bytes.truncate(fits);
            if !receiving.advance(fits as u64) {
                break Received::Preempted;
            }
            room -= fits as u64;
            batched += fits;
            if fits > 0 {
                batch.push(bytes);
            }
            if too_much {
                break Received::TooMuch;
            }
            if batched >= BATCH {
                growing.append(std::mem::take(&mut batch)).await?;
                batched = 0;
                // A whole file in one request: it is seen to arrive, and little of it can be lost.
                if growing.offset() - durable >= SYNC_EVERY {
                    growing.sync().await?;
                    durable = growing.offset();
                    self.show(slot, growing);
                }
            }
        };
        if !batch.is_empty() {
            growing.append(batch).await?;
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
) -> Result<Position, IngestError> {
    let position = closed_position(row);
    if row.interrupted {
        return Err(IngestError::Finished);
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
