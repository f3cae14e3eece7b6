//! Patches on their way out.

use std::collections::VecDeque;

use crate::container::Patch;
use crate::ebml::{
    vint,
    write::{void_header, wide_void_header},
};
use crate::stored::HEAD_ROOM;

/// Patches that may wait: hostile input makes one for every dozen bytes, and a caller may push a lot at once.
const LIMIT: usize = 4096;

/// A bounded queue of [`Patch`]es, addressed by stream offset.
#[derive(Debug, Default)]
pub(super) struct Patches {
    queue: VecDeque<Patch>,
}

impl Patches {
    /// The next one to apply.
    pub(super) fn pop(&mut self) -> Option<Patch> {
        self.queue.pop_front()
    }

    /// The next head to apply, in front of all other patches.
    pub(super) fn pop_head(&mut self) -> Option<Patch> {
        let at = self.queue.iter().position(|patch| patch.position == 0)?;
        self.queue.remove(at)
    }

    /// Queues our head.
    pub(super) fn head(&mut self, bytes: Vec<u8>) {
        // There are two of them in a recording at most: never refused.
        self.queue.push_back(Patch { position: 0, bytes });
    }

    /// Turns `from..to` into one Void element. `false`: not possible, the bytes stay as they are.
    pub(super) fn void(&mut self, from: u64, to: u64) -> bool {
        to.checked_sub(from)
            .and_then(void_header)
            .is_some_and(|bytes| self.push(from, bytes))
    }

    /// Turns `from..to` into one Void element whose size takes `width` bytes and whose payload begins with `mark`.
    /// `false`: not possible, the bytes stay as they are.
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

    /// Writes `size` into the `width` bytes of the size at `at`, or "unknown" when it does not fit.
    /// `false`: the size is not known in the file.
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

    /// Queues bytes at a stream offset; `false` when the queue is full.
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

    /// What was not fetched and still matters in a stored file cut to `keep` bytes, without its head.
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
    fn bounded() {
        let mut patches = Patches::default();
        let accepted = (0..10_000).filter(|&n| patches.size(n, 8, 0)).count();
        assert_eq!(accepted, LIMIT);
        assert_eq!(patches.into_rest(HEAD_ROOM + 108).len(), 101);
    }

    #[test]
    fn a_size_that_does_not_fit_becomes_unknown() {
        let mut patches = Patches::default();
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
