//! Search for the next box behind damage.

use serde::{Deserialize, Serialize};

use super::padding::INDEX_MARKER;
use super::top_level_box::TopLevelBox;

/// Size of a box header and that of its first child.
const TWO_HEADERS: u64 = 16;
/// Header of the `mfhd` that every `moof` begins with (section 8.8.5).
const MFHD_HEADER: u64 = 0x0000_0010_6D66_6864;
/// Size of the `mvhd` that every `moov` begins with, by version (section 8.2.2).
const MVHD_SIZES: [u32; 2] = [108, 120];

/// Sliding window over the last 16 bytes.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct BoxSearch {
    window: u128,
}

impl BoxSearch {
    /// Creates a search that has seen these bytes.
    pub(super) fn after(bytes: &[u8]) -> Self {
        let mut search = Self::default();
        bytes.iter().for_each(|&byte| search.push(byte));
        search
    }

    pub(super) fn push(&mut self, byte: u8) {
        self.window = self.window << 8 | u128::from(byte);
    }

    /// Whether the window holds the payload of our index marker.
    pub(super) fn is_index_marker(&self) -> bool {
        self.window.to_be_bytes() == INDEX_MARKER[8..]
    }

    /// Returns the `moof` or `moov` whose header and first child header fill the window; `end` is the stream offset
    /// behind it.
    pub(super) fn box_at_end(&self, end: u64) -> Option<TopLevelBox> {
        let word = |shift: u32| u32::try_from(self.window >> shift & 0xFFFF_FFFF).unwrap_or(0);
        let [size, kind, child_size, child_kind] = [96, 64, 32, 0].map(word);
        let kind = kind.to_be_bytes();
        let plausible = match &kind {
            b"moof" => {
                size >= 24 && u64::from(child_size) << 32 | u64::from(child_kind) == MFHD_HEADER
            }
            b"moov" => {
                let is_mvhd = child_kind.to_be_bytes() == *b"mvhd";
                size >= 128 && is_mvhd && MVHD_SIZES.contains(&child_size)
            }
            _ => false,
        };
        let start = end.checked_sub(TWO_HEADERS)?;
        plausible.then(|| TopLevelBox {
            kind,
            start,
            payload: start + 8,
            end: start + u64::from(size),
        })
    }

    /// Returns the part of the payload of [`box_at_end`](Self::box_at_end) that the window holds.
    pub(super) fn payload(&self) -> [u8; 8] {
        let [.., a, b, c, d, e, f, g, h] = self.window.to_be_bytes();
        [a, b, c, d, e, f, g, h]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn box_is_found_by_its_first_child() {
        let moof = b"\0\0\x02\0moof\0\0\0\x10mfhd";
        let found = BoxSearch::after(moof).box_at_end(116).expect("a box");
        assert_eq!((found.kind, found.start, found.end), (*b"moof", 100, 612));
        let moov = b"\0\0\x02\0moov\0\0\0\x6Cmvhd";
        assert!(BoxSearch::after(moov).box_at_end(16).is_some());
        let other = b"\0\0\x02\0moof\0\0\0\x10mvhd";
        assert!(BoxSearch::after(other).box_at_end(16).is_none());
        assert!(BoxSearch::after(&INDEX_MARKER[8..]).is_index_marker());
    }
}
