//! Position in a stream.

use serde::{Deserialize, Serialize};

/// Stream length at which reading stops, so that no sum of offsets overflows. Only invalid sizes lead there.
const LONGEST_STREAM: u64 = 1 << 62;

/// Stream offset of the next byte.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct StreamCursor {
    pub(crate) pos: u64,
}

impl StreamCursor {
    /// Takes the bytes in front of stream offset `end`.
    pub(crate) fn take_until<'a>(&mut self, bytes: &mut &'a [u8], end: u64) -> &'a [u8] {
        let left = usize::try_from(end.saturating_sub(self.pos)).unwrap_or(usize::MAX);
        let (part, rest) = bytes.split_at(left.min(bytes.len()));
        *bytes = rest;
        self.pos += part.len() as u64;
        part
    }

    /// Takes the next byte.
    pub(crate) fn take_byte(&mut self, bytes: &mut &[u8]) -> Option<u8> {
        self.take_until(bytes, self.pos + 1).first().copied()
    }

    /// Moves `n` bytes forward.
    pub(crate) fn advance(&mut self, n: u64) {
        self.pos = self.pos.saturating_add(n);
    }

    pub(crate) fn is_too_far(&self) -> bool {
        self.pos > LONGEST_STREAM
    }
}
