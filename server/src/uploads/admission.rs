//! The bytes of a body, one batch after the other, with room in memory for each.
//!
//! Whoever reads a body reads it through this: into the storage, or into a file until its checksum is known.

#[cfg(test)]
mod tests;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::batch::{BATCH, Batch};
use super::ownership::Claim;
use super::receive::Received;
use super::{Body, Inner};

/// Nobody asks for less room: so much comes in one read.
const SMALLEST: usize = 16 * 1024;

/// Where the reading of a body is.
#[derive(Debug)]
pub(super) struct Intake {
    batch: Batch,
    /// How much room is asked for at most: little for a body of which little comes in the time a batch has. Else many
    /// that trickle would keep all the room and use none of it.
    share: usize,
    /// Nothing has come lately: room is asked for when something does.
    idle: bool,
    /// What is still to come of a body that says how long it is.
    left: Option<u64>,
}

/// What came of a body.
pub(super) enum Taken {
    /// These, which belong into the batch.
    Bytes(Bytes),
    /// The batch must not wait for more.
    Pause,
    /// Nothing any more.
    End(Received),
}

impl Intake {
    /// `length`: of the whole body, if it says so.
    pub(super) fn new(length: Option<u64>) -> Self {
        Self {
            batch: Batch::default(),
            share: BATCH,
            idle: false,
            left: length,
        }
    }

    /// The same for a body that is in memory already, with the room it has there.
    pub(super) fn housed(length: Option<u64>, room: Option<OwnedSemaphorePermit>) -> Self {
        let mut intake = Self::new(length);
        if let Some(room) = room {
            intake.batch.begin(room, Instant::now());
        }
        intake
    }

    /// What is still to come, if that is known.
    pub(super) fn length(&self) -> Option<u64> {
        self.left
    }

    /// How much room the batch needs.
    fn wanted(&self) -> usize {
        let left = self.left.map_or(usize::MAX, |left| {
            usize::try_from(left).unwrap_or(usize::MAX)
        });
        self.share.min(left).saturating_add(self.batch.size())
    }

    /// Whether so many more are too many for the batch: then it is to be taken first.
    pub(super) fn is_full_with(&self, bytes: usize) -> bool {
        self.batch.is_full_with(bytes)
    }

    /// Adds bytes.
    pub(super) fn push(&mut self, bytes: Bytes) {
        self.left = self
            .left
            .map(|left| left.saturating_sub(bytes.len() as u64));
        self.batch.push(bytes, Instant::now());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// The batch, which begins anew; see [`Batch::take`].
    pub(super) fn take(&mut self, seals: bool) -> Vec<Bytes> {
        if !self.idle {
            self.share = (2 * self.share).min(BATCH);
        }
        self.batch.take(seals)
    }

    /// The batch as it is, and its room.
    pub(super) fn into_parts(self) -> (Vec<Bytes>, Option<OwnedSemaphorePermit>) {
        self.batch.into_parts()
    }

    /// Time is up.
    fn pause(&mut self) {
        self.idle = true;
        let twice = 2 * self.batch.size();
        self.share = twice.next_power_of_two().clamp(SMALLEST, BATCH);
    }
}

impl Inner {
    /// Waits for room, and for what comes next of a body.
    pub(super) async fn take_in(
        &self,
        intake: &mut Intake,
        body: &mut Body,
        claim: &mut Claim<'_>,
    ) -> Taken {
        // Nothing is read of a body before there is room, unless its sender has nothing to send.
        if !intake.batch.has_room() && !intake.idle {
            match self.room_for(intake.wanted(), claim).await {
                Ok(room) => intake.batch.begin(room, Instant::now()),
                Err(ended) => return Taken::End(ended),
            }
        }
        loop {
            let next = self.next_piece(body, claim);
            let next = match intake.batch.next_look() {
                None => next.await,
                Some(look) => match tokio::time::timeout_at(look, next).await {
                    Ok(next) => next,
                    Err(_) if intake.batch.may_wait(Instant::now(), &self.room) => continue,
                    Err(_) => {
                        intake.pause();
                        return Taken::Pause;
                    }
                },
            };
            intake.idle = false;
            return match next {
                Ok(bytes) => Taken::Bytes(bytes),
                Err(ended) => Taken::End(ended),
            };
        }
    }
}
