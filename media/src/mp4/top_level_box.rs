//! Boxes at the top level of a file.

use serde::{Deserialize, Serialize};

use super::boxes::Kind;
use crate::patch::Patch;

/// Types of top-level boxes (section 4.2 and table 1, and those of QuickTime and DASH).
const KNOWN_BOXES: [&Kind; 21] = [
    b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"sidx", b"ssix",
    b"mfra", b"meta", b"meco", b"emsg", b"prft", b"uuid", b"pdin", b"udta", b"pnot", b"imda",
    b"junk",
];

/// Whether a type occurs at the top level of files.
pub(super) fn is_known(kind: Kind) -> bool {
    KNOWN_BOXES.contains(&&kind)
}

/// Whether boxes of a type contain media data.
pub(super) fn is_media(kind: Kind) -> bool {
    matches!(&kind, b"mdat" | b"imda")
}

/// A top-level box.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct TopLevelBox {
    pub(super) kind: Kind,
    pub(super) start: u64,
    /// Stream offset of the payload.
    pub(super) payload: u64,
    /// Stream offset of the end; [`u64::MAX`] if the box extends to the end of the file.
    pub(super) end: u64,
}

impl TopLevelBox {
    /// Size of the payload.
    pub(super) fn size(&self) -> u64 {
        self.end.saturating_sub(self.payload)
    }

    /// Patches the size so that the box ends at `end`; `None` if a 32-bit size cannot hold it.
    pub(super) fn resized(&self, end: u64) -> Option<Patch> {
        let size = end.checked_sub(self.start)?;
        let (offset, bytes) = match self.payload - self.start {
            16 => (8, size.to_be_bytes().to_vec()),
            _ => (0, u32::try_from(size).ok()?.to_be_bytes().to_vec()),
        };
        Some(Patch::in_stream(self.start + offset, bytes))
    }
}
