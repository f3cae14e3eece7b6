//! Byte accounting of `inspect` and `repair`.

use serde::Serialize;
use sortie_media::{Finish, HEAD_ROOM, LeftOut};

use super::description;

/// JSON form: `received_bytes` is `stored_bytes` plus the lengths in `left_out`. Offsets count from the beginning of
/// the file.
#[derive(Debug, Default, Serialize)]
pub(super) struct ByteAccounting {
    received_bytes: u64,
    stored_bytes: u64,
    left_out: Vec<Range>,
    /// In the file, skipped by players.
    hidden: Vec<Range>,
}

#[derive(Debug, Serialize)]
struct Range {
    offset: u64,
    length: u64,
    reason: &'static str,
    detail: String,
    #[serde(skip)]
    is_harmless: bool,
}

impl ByteAccounting {
    /// Returns the accounting of a stream of `received` bytes at offset `start` of its file.
    pub(super) fn new(finish: &Finish, start: u64, received: u64) -> Self {
        let ranges = |ranges: &[LeftOut]| {
            let range = |left: &LeftOut| Range {
                offset: start.saturating_add(left.offset),
                length: left.length,
                reason: left.reason.code(),
                detail: left.reason.to_string(),
                is_harmless: left.reason.is_harmless(),
            };
            ranges.iter().map(range).collect()
        };
        Self {
            received_bytes: received,
            stored_bytes: finish.keep.saturating_sub(HEAD_ROOM),
            left_out: ranges(&finish.left_out),
            hidden: ranges(&finish.hidden),
        }
    }

    /// Returns the accounting of a file that stays unchanged.
    pub(super) fn unchanged(self) -> Self {
        Self {
            stored_bytes: self.received_bytes,
            left_out: Vec::new(),
            ..self
        }
    }

    /// Bytes of replaced indexes.
    pub(super) fn replaced_bytes(&self) -> u64 {
        let replaced = self.left_out.iter().filter(|range| range.is_harmless);
        replaced.map(|range| range.length).sum()
    }

    /// Returns sentences about missing data; empty if nothing is missing.
    pub(super) fn to_text(&self) -> String {
        let missing = self.left_out.iter().filter(|range| !range.is_harmless);
        let missing = missing.map(|range| ("Left out", range));
        let hidden = self
            .hidden
            .iter()
            .map(|range| ("Kept, but not played", range));
        let mut text = String::new();
        for (what, range) in missing.chain(hidden) {
            let bytes = description::count(range.length, "byte");
            let at = description::grouped(range.offset);
            text += &format!("{what}: {bytes} at byte {at}. {}\n", range.detail);
        }
        text
    }
}
