//! Files that were never fragmented: their own tables, moved by the head room.

use super::boxes::{Reader, children, write, write_full};
use super::finish::copy;
use crate::container::HEAD_ROOM;

/// A `moov` with every chunk moved by the head room.
pub(super) fn shifted_moov(moov: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.reserve_exact(moov.len() + 8);
    write(&mut out, *b"moov", |out| shift(out, moov, 0));
    out
}

fn shift(out: &mut Vec<u8>, payload: &[u8], depth: u8) {
    for (kind, payload) in children(payload) {
        match (&kind, depth) {
            // The path to the tables: no deeper than this.
            (b"trak", 0) | (b"mdia", 1) | (b"minf", 2) | (b"stbl", 3) => {
                write(out, kind, |out| shift(out, payload, depth + 1));
            }
            (b"stco" | b"co64", 4) => write_offsets(out, payload, kind == *b"co64"),
            _ => copy(out, kind, payload),
        }
    }
}

/// Copies an `stco` or `co64`, as the shorter of the two that holds the moved offsets.
fn write_offsets(out: &mut Vec<u8>, payload: &[u8], long: bool) {
    let moved = || {
        let mut reader = Reader(payload);
        let count = reader.full().and_then(|_| reader.u32()).unwrap_or(0);
        let offsets = (0..count).map_while(move |_| reader.versioned(long.into()));
        offsets.map(|offset| offset.saturating_add(HEAD_ROOM))
    };
    let wide = moved().any(|offset| offset > u64::from(u32::MAX));
    let kind = if wide { *b"co64" } else { *b"stco" };
    write_full(out, kind, |out| {
        let count = u32::try_from(moved().count()).unwrap_or(u32::MAX);
        out.extend(count.to_be_bytes());
        for offset in moved() {
            match u32::try_from(offset) {
                Ok(offset) if !wide => out.extend(offset.to_be_bytes()),
                _ => out.extend(offset.to_be_bytes()),
            }
        }
    });
}
