//! Batches of received bytes: the memory that a body requests, and the time that bytes wait for more.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::buffer_pool::Buffer;
use super::memory_budget::{MemoryBudget, Permit};

/// Received bytes are passed to the storage in batches of about this size.
pub(super) const BATCH: usize = 256 * 1024;
/// Smallest permit that a body requests: the size of one read.
const SMALLEST: usize = 16 * 1024;
/// Largest piece that is copied into the batch's buffer: one read of a connection among many. Connections read larger
/// pieces while they are few, and allocate less often then.
const COPIED_MAX: usize = 16 * 1024;
/// Longest time that an empty batch keeps its permit.
const EMPTY_TIMEOUT: Duration = Duration::from_millis(100);
/// Longest time that a batch waits for more bytes before it is written.
const FILL_TIMEOUT: Duration = Duration::from_millis(500);
/// Interval of checking whether other bodies wait for permits, which ends both waits early.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Bytes that are passed to the storage together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Complete pieces, before the bytes of `buffer`.
    pieces: Vec<Bytes>,
    /// Small pieces are copied into it. A batch has one at most, as its permit covers no second one.
    buffer: Option<Buffer>,
    size: usize,
    permit: Option<Permit>,
    /// End of the wait for more bytes, if the memory budget is not contended.
    deadline: Option<Instant>,
    /// Next check of deadline and contention.
    next_check: Option<Instant>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// Whether `bytes` more would exceed the permit, so that the batch has to be taken first.
    fn is_full_with(&self, bytes: usize) -> bool {
        let limit = self.permit.as_ref().map_or(BATCH, Permit::bytes);
        self.size > 0 && self.size + bytes > limit
    }

    /// Whether the batch may wait for more bytes.
    fn may_wait(&mut self, now: Instant, budget: &MemoryBudget) -> bool {
        let may = self.deadline.is_some_and(|deadline| now < deadline) && !budget.is_contended();
        self.next_check = may.then_some(now + CHECK_INTERVAL);
        may
    }

    pub(super) fn begin(&mut self, permit: Permit, now: Instant) {
        if self.is_empty() {
            self.buffer = permit.buffer();
        }
        self.permit = Some(permit);
        let timeout = if self.is_empty() {
            EMPTY_TIMEOUT
        } else {
            FILL_TIMEOUT
        };
        self.deadline = Some(now + timeout);
        self.next_check = Some(now + CHECK_INTERVAL);
    }

    pub(super) fn push(&mut self, bytes: Bytes, now: Instant) {
        if bytes.is_empty() {
            return;
        }
        if self.is_empty() && self.permit.is_some() {
            self.deadline = Some(now + FILL_TIMEOUT);
        }
        self.size += bytes.len();
        let is_copied = bytes.len() <= COPIED_MAX
            && self
                .buffer
                .as_mut()
                .is_some_and(|buffer| buffer.append(&bytes));
        if !is_copied {
            self.complete_buffer();
            self.pieces.push(bytes);
        }
    }

    fn complete_buffer(&mut self) {
        let buffer = self.buffer.take().filter(|buffer| !buffer.is_empty());
        self.pieces.extend(buffer.map(Buffer::freeze));
    }

    /// Empties the batch. The permit is returned when the last of the bytes is dropped if `holds_permit`, else
    /// immediately: a writer that keeps bytes until it syncs would wait for its own permits.
    pub(super) fn take(&mut self, holds_permit: bool) -> Vec<Bytes> {
        self.complete_buffer();
        let Self {
            mut pieces, permit, ..
        } = std::mem::take(self);
        let permit = permit.filter(|_| holds_permit);
        if let (Some(last), Some(permit)) = (pieces.last_mut(), permit) {
            *last = permit.attach(std::mem::take(last));
        }
        pieces
    }
}

/// Divides one body into batches.
#[derive(Debug)]
pub(super) struct Batcher {
    batch: Batch,
    /// Largest permit to ask for. It shrinks for a slow body: many slow bodies would hold the whole budget unused.
    largest: usize,
    /// The body was silent during the last wait; the next permit is acquired when bytes arrive.
    is_idle: bool,
    /// Remaining bytes of a body with a known length.
    remaining: Option<u64>,
}

impl Batcher {
    /// `length`: bytes of the whole body, if known.
    pub(super) fn new(length: Option<u64>) -> Self {
        Self {
            batch: Batch::default(),
            largest: BATCH,
            is_idle: false,
            remaining: length,
        }
    }

    /// Creates a batcher for a body that is in memory already, under `permit`.
    pub(super) fn with_permit(length: u64, permit: Option<Permit>) -> Self {
        let mut batcher = Self::new(Some(length));
        if let Some(permit) = permit {
            batcher.batch.begin(permit, Instant::now());
        }
        batcher
    }

    /// Remaining bytes of the body, if known.
    pub(super) fn remaining(&self) -> Option<u64> {
        self.remaining
    }

    /// Returns the size of the permit that the batch needs before the next read, if it needs one.
    pub(super) fn needs_permit(&self) -> Option<usize> {
        if self.batch.permit.is_some() || self.is_idle {
            return None;
        }
        let remaining = self.remaining.map_or(usize::MAX, |remaining| {
            usize::try_from(remaining).unwrap_or(usize::MAX)
        });
        Some(self.largest.min(remaining).saturating_add(self.batch.size))
    }

    pub(super) fn begin(&mut self, permit: Permit) {
        self.batch.begin(permit, Instant::now());
    }

    /// Time at which [`Batcher::may_wait`] must be called again; `None`: the batch may wait without limit.
    pub(super) fn next_check(&self) -> Option<Instant> {
        self.batch.next_check
    }

    /// Whether the batch may wait for more bytes. If not, it must be taken.
    pub(super) fn may_wait(&mut self, budget: &MemoryBudget) -> bool {
        let may_wait = self.batch.may_wait(Instant::now(), budget);
        if !may_wait {
            self.is_idle = true;
            let twice = 2 * self.batch.size;
            self.largest = twice.next_power_of_two().clamp(SMALLEST, BATCH);
        }
        may_wait
    }

    /// Records that bytes have arrived or the body has ended.
    pub(super) fn resume(&mut self) {
        self.is_idle = false;
    }

    /// Whether the batch must be taken before `bytes` more are pushed.
    pub(super) fn is_full_with(&self, bytes: usize) -> bool {
        self.batch.is_full_with(bytes)
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        self.remaining = self
            .remaining
            .map(|remaining| remaining.saturating_sub(bytes.len() as u64));
        self.batch.push(bytes, Instant::now());
    }

    /// Empties the batch; see [`Batch::take`].
    pub(super) fn take(&mut self, holds_permit: bool) -> Vec<Bytes> {
        if !self.is_idle {
            self.largest = (2 * self.largest).min(BATCH);
        }
        self.batch.take(holds_permit)
    }

    /// Returns the bytes of the batch and, separately, their permit.
    pub(super) fn into_parts(mut self) -> (Vec<Bytes>, Option<Permit>) {
        self.batch.complete_buffer();
        (self.batch.pieces, self.batch.permit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oversized_piece_fills_a_batch_alone() {
        let mut batch = Batch::default();
        assert!(!batch.is_full_with(2 * BATCH));
        batch.push(vec![0; BATCH].into(), Instant::now());
        assert!(!batch.is_full_with(0));
        assert!(batch.is_full_with(1));
        assert_eq!(batch.take(true).len(), 1);
        assert!(batch.is_empty());
    }
}
