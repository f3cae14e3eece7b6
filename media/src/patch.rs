//! Patches of the stored file.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Bytes of the stored file in front of the stream, reserved for the head that this crate writes.
///
/// `stored position = HEAD_ROOM + stream offset` for every byte of the stream, from the first byte received until
/// the file is deleted. The offset of an upload after a crash is therefore the stored length minus this.
pub const HEAD_ROOM: u64 = 4096;

/// Most patches in a queue. Hostile input causes one for every dozen bytes, and a caller may push many bytes at a
/// time.
const LIMIT: usize = 4096;

/// Bytes that overwrite a part of the stored file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patch {
    /// Position in the stored file, in bytes from its start.
    pub position: u64,
    /// Replacement bytes, at most [`HEAD_ROOM`].
    pub bytes: Vec<u8>,
}

impl Patch {
    /// Creates the patch that replaces the head room.
    pub(crate) fn head(mut bytes: Vec<u8>) -> Self {
        bytes.resize(usize::try_from(HEAD_ROOM).unwrap_or(usize::MAX), 0);
        Self { position: 0, bytes }
    }

    /// Creates a patch at a stream offset.
    pub(crate) fn in_stream(offset: u64, bytes: Vec<u8>) -> Self {
        let position = HEAD_ROOM.saturating_add(offset);
        Self { position, bytes }
    }
}

/// A bounded queue of [`Patch`]es.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct PatchQueue {
    queue: VecDeque<Patch>,
}

impl PatchQueue {
    /// Removes the next patch; heads precede all others. Unless `is_playable`, there are only heads: a stream that
    /// proves unplayable must be kept byte for byte.
    pub(crate) fn pop(&mut self, is_playable: bool) -> Option<Patch> {
        let head = self.queue.iter().position(|patch| patch.position == 0);
        let next = head.or_else(|| is_playable.then_some(0))?;
        self.queue.remove(next)
    }

    /// Queues a head.
    pub(crate) fn push_head(&mut self, head: Patch) {
        // Not limited: a recording has at most two heads.
        self.queue.push_back(head);
    }

    /// Queues a patch at a stream offset; returns `false` if the queue is full.
    pub(crate) fn push(&mut self, offset: u64, bytes: Vec<u8>) -> bool {
        let room = self.queue.len() < LIMIT;
        if room {
            self.queue.push_back(Patch::in_stream(offset, bytes));
        }
        room
    }

    /// Returns the remaining patches that lie in the first `keep` bytes of the stored file, except heads.
    pub(crate) fn into_rest(self, keep: u64) -> Vec<Patch> {
        let fits = |patch: &Patch| patch.position.saturating_add(patch.bytes.len() as u64) <= keep;
        let rest = self.queue.into_iter();
        rest.filter(|patch| patch.position != 0 && fits(patch))
            .collect()
    }

    /// Heap size.
    pub(crate) fn memory_bytes(&self) -> usize {
        let patches = self.queue.iter().map(|patch| patch.bytes.capacity());
        self.queue.capacity() * size_of::<Patch>() + patches.sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_is_bounded() {
        let mut patches = PatchQueue::default();
        let accepted = (0..10_000).filter(|&n| patches.push(n, vec![0; 8])).count();
        assert_eq!(accepted, LIMIT);
        assert_eq!(patches.into_rest(HEAD_ROOM + 108).len(), 101);
    }
}
