//! Offsets in the sequence of bytes, here and on the server.

use super::{FailureReason, UploadLength};

/// Offsets of one upload, counted from the start of the sequence.
#[derive(Debug)]
pub(super) struct Offsets {
    /// Bytes available here, and whether no more follow.
    pub(super) available: u64,
    pub(super) ended: bool,
    /// Bytes below this offset were dropped here.
    pub(super) released: u64,
    /// Offset of the server, as of its last response.
    pub(super) acknowledged: u64,
    /// Highest offset of the server so far; only a higher one is progress.
    furthest: u64,
    /// Length that the server knows.
    pub(super) length: UploadLength,
}

impl Offsets {
    pub(super) fn new(length: UploadLength) -> Self {
        Self {
            available: 0,
            ended: false,
            released: 0,
            acknowledged: 0,
            furthest: 0,
            length,
        }
    }

    /// Returns the number of bytes that the server lacks, and the length if the server does not know it.
    pub(super) fn unsent(&self) -> (u64, Option<u64>) {
        // Creation, POST: "the Client MUST set the Upload-Length header in the next PATCH request, once the
        // length is known", so not only in the last one.
        let deferred = self.length == UploadLength::Deferred;
        let declare = (self.ended && deferred).then_some(self.available);
        (self.available - self.acknowledged, declare)
    }

    /// Adopts an offset above the acknowledged one. Returns whether it is progress.
    pub(super) fn advance(&mut self, offset: u64) -> bool {
        self.acknowledged = offset;
        let is_progress = offset > self.furthest;
        self.furthest = self.furthest.max(offset);
        is_progress
    }

    /// Whether the upload is complete, or why it can never be; `None` while it can. `is_current` says whether the
    /// server's offset is certain.
    pub(super) fn outcome(&self, is_current: bool) -> Option<Result<(), FailureReason>> {
        let ours = self.available;
        if let UploadLength::Known(server) = self.length
            && (ours > server || (self.ended && ours < server))
        {
            return Some(Err(FailureReason::LengthMismatch { server, ours }));
        }
        if !is_current {
            return None;
        }
        if self.acknowledged < self.released {
            return Some(Err(FailureReason::ServerLostBytes {
                offset: self.acknowledged,
                released: self.released,
            }));
        }
        let complete = self.ended && self.acknowledged == ours;
        (complete && self.length == UploadLength::Known(ours)).then_some(Ok(()))
    }
}
