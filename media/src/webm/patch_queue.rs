//! Queue of patches.

use std::collections::VecDeque;

use crate::container::Patch;
use crate::ebml::{
    vint,
    write::{void_header, wide_void_header},
};
use crate::stored::HEAD_ROOM;

/// Maximum number of patches in the queue. Hostile input causes one for every dozen bytes, and a caller may push many
/// bytes at a time.
const LIMIT: usize = 4096;

/// A bounded queue of [`Patch`]es, addressed by stream offset.
#[derive(Debug, Default)]
pub(super) struct PatchQueue {
    queue: VecDeque<Patch>,
}

impl PatchQueue {
    /// Removes the next patch.
    pub(super) fn pop(&mut self) -> Option<Patch> {
        self.queue.pop_front()
    }

    /// Removes the next head; heads precede all other patches.
    pub(super) fn pop_head(&mut self) -> Option<Patch> {
        let at = self.queue.iter().position(|patch| patch.position == 0)?;
        self.queue.remove(at)
    }

    /// Queues a head.
    pub(super) fn head(&mut self, bytes: Vec<u8>) {
        // Not limited: a recording has at most two heads.
        self.queue.push_back(Patch { position: 0, bytes });
    }

    /// Turns `from..to` into one Void element. Returns `false`, without a change, if that is impossible.
    pub(super) fn void(&mut self, from: u64, to: u64) -> bool {
        to.checked_sub(from)
            .and_then(void_header)
            .is_some_and(|bytes| self.push(from, bytes))
    }

    /// Turns `from..to` into one Void element whose size is `width` bytes wide and whose payload begins with `mark`.
    /// Returns `false`, without a change, if that is impossible.
    pub(super) fn wide_void(&mut self, from: u64, to: u64, width: usize, mark: &[u8]) -> bool {
        let header = to
            .checked_sub(from)
            .filter(|&length| length >= (1 + width + mark.len()) as u64)
            .and_then(|length| wide_void_header(length, width));
        header.is_some_and(|mut bytes| {
            bytes.extend_from_slice(mark);
            self.push(from, bytes)
        })
    }

    /// Patches the `width` bytes wide size at `at` to `size`, or to "unknown" if it does not fit. Returns whether the
    /// size is known in the stored file.
    pub(super) fn size(&mut self, at: u64, width: u8, size: u64) -> bool {
        let width = usize::from(width);
        match vint::sized(size, width) {
            Some(bytes) => self.push(at, bytes),
            None => {
                self.push(at, vint::unknown_sized(width));
                false
            }
        }
    }

    /// Queues a patch at a stream offset; returns `false` if the queue is full.
    pub(super) fn push(&mut self, offset: u64, bytes: Vec<u8>) -> bool {
        let room = self.queue.len() < LIMIT;
        if room {
            self.queue.push_back(Patch {
                position: HEAD_ROOM.saturating_add(offset),
                bytes,
            });
        }
        room
    }

    /// Returns the remaining patches that lie in the first `keep` bytes of the stored file, except heads.
    pub(super) fn into_rest(self, keep: u64) -> Vec<Patch> {
        let fits = |patch: &Patch| patch.position.saturating_add(patch.bytes.len() as u64) <= keep;
        self.queue
            .into_iter()
            .filter(|patch| patch.position != 0 && fits(patch))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_is_bounded() {
        let mut patches = PatchQueue::default();
        let accepted = (0..10_000).filter(|&n| patches.size(n, 8, 0)).count();
        assert_eq!(accepted, LIMIT);
        assert_eq!(patches.into_rest(HEAD_ROOM + 108).len(), 101);
    }

    #[test]
    fn size_that_does_not_fit_becomes_unknown() {
        let mut patches = PatchQueue::default();
        assert!(!patches.size(4, 1, 127));
        assert_eq!(
            patches.pop(),
            Some(Patch {
                position: HEAD_ROOM + 4,
                bytes: vec![0xFF]
            })
        );
        assert!(!patches.void(7, 8), "no element has one byte");
    }
}
