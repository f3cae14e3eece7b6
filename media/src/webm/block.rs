//! Headers of SimpleBlock and Block (RFC 9559, section 10).

use serde::{Deserialize, Serialize};

use crate::ebml::vint::{self, Parsed};

/// Bytes of a block that are parsed: track number (up to 8), timestamp (2), flags (1), lace count (1).
pub(super) const BLOCK_HEADER: usize = 12;

const FLAG_KEYFRAME: u8 = 0x80;
const FLAG_LACING: u8 = 0x06;

/// Header of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BlockHeader {
    pub(super) track: u64,
    /// Ticks relative to the cluster timestamp.
    pub(super) relative: i16,
    /// Keyframe flag of a SimpleBlock; not set in a Block of a BlockGroup.
    pub(super) keyframe: bool,
    /// Number of frames; more than one with lacing of any kind (Xiph, EBML, fixed size).
    pub(super) frames: u16,
}

impl BlockHeader {
    /// Parses the first [`BLOCK_HEADER`] bytes of a block, or all of a shorter one; `None` if they are invalid.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let Parsed::Item(track, width) = vint::number(bytes) else {
            return None;
        };
        let &[high, low, flags, ref rest @ ..] = bytes.get(width..)? else {
            return None;
        };
        let frames = if flags & FLAG_LACING == 0 {
            1
        } else {
            u16::from(*rest.first()?) + 1
        };
        Some(Self {
            track,
            relative: i16::from_be_bytes([high, low]),
            keyframe: flags & FLAG_KEYFRAME != 0,
            frames,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: Option<(u64, i16, bool, u16)>) {
        let found = BlockHeader::parse(bytes).map(|b| (b.track, b.relative, b.keyframe, b.frames));
        assert_eq!(found, expected, "{bytes:02x?}");
    }

    #[test]
    fn block_headers_are_parsed() {
        check(&[0x81, 0xFF, 0xFE, 0x80], Some((1, -2, true, 1)));
        check(&[0x81, 0x01, 0x00, 0x00, 0xAA], Some((1, 256, false, 1)));
        check(&[0x40, 0x81, 0, 1, 0x02, 7], Some((129, 1, false, 8)));
        check(&[0x81, 0, 1, 0x06, 255], Some((1, 1, false, 256)));
        check(&[0x81, 0, 1, 0x06], None);
        check(&[0x81, 0, 1], None);
        check(&[0x00, 0, 1, 0, 0], None);
        check(&[], None);
    }
}
