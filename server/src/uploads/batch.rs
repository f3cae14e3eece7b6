//! Received bytes on their way to the storage, and how much of them there may be at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Received bytes are handed to the storage in pieces of about this size.
pub(super) const BATCH: usize = 256 * 1024;
/// Of all uploads together so much may wait in memory; whoever is next is not read from until there is room. Enough
/// to keep disks busy, and nothing beside what a server takes that has nothing to do.
const ROOM: usize = 4 * 1024 * 1024;
/// Room is kept so long for a sender whose bytes do not come,
const PROMPT: Duration = Duration::from_millis(100);
/// and for bytes that wait for more of their body; then they are written.
const PATIENCE: Duration = Duration::from_millis(500);

/// All that only as long as nobody waits for room: then it is kept for this long, and not always to the microsecond.
const LOOK: Duration = Duration::from_millis(50);

/// Room in memory for received bytes. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Room {
    free: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

/// One who waits for room.
struct Waiting<'r>(&'r AtomicUsize);

impl<'r> Waiting<'r> {
    fn begin(count: &'r AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Room {
    pub(super) fn new() -> Self {
        Self {
            free: Arc::new(Semaphore::new(ROOM)),
            waiting: Arc::default(),
        }
    }

    /// Whether somebody waits for it.
    pub(super) fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Room for as many bytes as one batch will have, once everybody who came before has had theirs.
    pub(super) async fn of(&self, size: usize) -> OwnedSemaphorePermit {
        let size = u32::try_from(size.clamp(1, BATCH)).unwrap_or(1);
        // Whoever waits has what becomes free, so that nobody comes before them here.
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_many_owned(size) {
            return permit;
        }
        let _waiting = Waiting::begin(&self.waiting);
        match Arc::clone(&self.free).acquire_many_owned(size).await {
            Ok(permit) => permit,
            Err(_) => unreachable!("nobody closes it"),
        }
    }
}

/// Bytes that go to the storage together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pieces: Vec<Bytes>,
    size: usize,
    /// Theirs in memory.
    room: Option<OwnedSemaphorePermit>,
    /// How long it may wait for more, if nobody wants its room.
    until: Option<Instant>,
    /// When to see whether somebody does.
    look: Option<Instant>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Whether so many more are too many for its room.
    pub(super) fn is_full_with(&self, bytes: usize) -> bool {
        let limit = self
            .room
            .as_ref()
            .map_or(BATCH, OwnedSemaphorePermit::num_permits);
        self.size > 0 && self.size + bytes > limit
    }

    pub(super) fn has_room(&self) -> bool {
        self.room.is_some()
    }

    /// When to ask [`Batch::may_wait`], even if more comes.
    pub(super) fn next_look(&self) -> Option<Instant> {
        self.look
    }

    /// Whether it may wait on for more. If not, it is to be written, or its room given up if nothing is in it.
    pub(super) fn may_wait(&mut self, now: Instant, room: &Room) -> bool {
        let may = self.until.is_some_and(|until| now < until) && !room.is_wanted();
        self.look = may.then_some(now + LOOK);
        may
    }

    /// Gives it room.
    pub(super) fn begin(&mut self, room: OwnedSemaphorePermit, now: Instant) {
        self.room = Some(room);
        self.until = Some(now + if self.is_empty() { PROMPT } else { PATIENCE });
        self.look = Some(now + LOOK);
    }

    /// Adds bytes.
    pub(super) fn push(&mut self, bytes: Bytes, now: Instant) {
        if bytes.is_empty() {
            return;
        }
        if self.is_empty() && self.has_room() {
            self.until = Some(now + PATIENCE);
        }
        self.size += bytes.len();
        self.pieces.push(bytes);
    }

    /// Everything in it, for a writer that `seals` or does not. Its room is free again when the last of these is dropped;
    /// or at once, for a writer that seals: one that keeps them until it is told to sync would wait for itself.
    pub(super) fn take(&mut self, seals: bool) -> Vec<Bytes> {
        let Self {
            mut pieces, room, ..
        } = std::mem::take(self);
        let room = room.filter(|_| !seals);
        if let (Some(last), Some(_room)) = (pieces.last_mut(), room) {
            let bytes = std::mem::take(last);
            *last = Bytes::from_owner(Housed { bytes, _room });
        }
        pieces
    }

    /// The same, but its room is not tied to its bytes.
    pub(super) fn into_parts(self) -> (Vec<Bytes>, Option<OwnedSemaphorePermit>) {
        (self.pieces, self.room)
    }
}

/// Bytes with room of theirs.
struct Housed {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Housed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn room_is_given_back_with_the_last_of_the_bytes() {
        let room = Room::new();
        let mut batches: Vec<Batch> = Vec::new();
        for _ in 0..ROOM / BATCH {
            let mut batch = Batch::default();
            // A longer body takes its room batch by batch.
            batch.begin(room.of(10 * BATCH).await, Instant::now());
            batch.push(Bytes::from_static(b"one"), Instant::now());
            batch.push(Bytes::from_static(b"two"), Instant::now());
            batches.push(batch);
        }
        assert!(room.of(1).now_or_never().is_none(), "there is no more");
        let bytes = batches.pop().expect("a batch").take(false);
        assert_eq!(bytes.concat(), b"onetwo");
        let copies = bytes.clone();
        drop(bytes);
        assert!(room.of(1).now_or_never().is_none(), "they are still there");
        drop(copies);
        assert!(room.of(BATCH).now_or_never().is_some());
        let kept = batches.pop().expect("a batch").take(true);
        let (one, two) = (room.of(BATCH).now_or_never(), room.of(BATCH).now_or_never());
        assert!(one.is_some() && two.is_some(), "nothing is kept for it");
        assert_eq!(kept.concat(), b"onetwo");
    }

    #[test]
    fn a_batch_takes_what_is_too_large_alone() {
        let mut batch = Batch::default();
        assert!(!batch.is_full_with(2 * BATCH));
        batch.push(vec![0; BATCH].into(), Instant::now());
        assert!(!batch.is_full_with(0));
        assert!(batch.is_full_with(1));
        assert_eq!(batch.take(false).len(), 1);
        assert!(batch.is_empty());
    }
}
