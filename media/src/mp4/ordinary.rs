//! Files that were never fragmented: their own tables, moved by the head room.

use super::boxes::{Reader, children, write, write_full};
use super::finish::copy;
use crate::container::HEAD_ROOM;

/// The `moov` of an unfragmented file, with every chunk moved by the head room. `None` when a chunk is not there.
pub(super) fn shifted_moov(moov: &[u8], keep: u64) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut whole = true;
    write(&mut out, *b"moov", |out| {
        shift(out, moov, keep, &mut whole, 0)
    });
    whole.then_some(out)
}

fn shift(out: &mut Vec<u8>, payload: &[u8], keep: u64, whole: &mut bool, depth: u8) {
    for (kind, payload) in children(payload) {
        match (&kind, depth) {
            // The path to the tables: no deeper than this.
            (b"trak", 0) | (b"mdia", 1) | (b"minf", 2) | (b"stbl", 3) => {
                write(out, kind, |out| shift(out, payload, keep, whole, depth + 1));
            }
            (b"stco" | b"co64", 4) => {
                let offsets = offsets(payload, kind == *b"co64").unwrap_or_default();
                *whole &= !offsets.is_empty() && offsets.iter().all(|&offset| offset < keep);
                write_full(out, *b"co64", |out| {
                    out.extend(
                        u32::try_from(offsets.len())
                            .unwrap_or(u32::MAX)
                            .to_be_bytes(),
                    );
                    for offset in offsets {
                        out.extend(offset.saturating_add(HEAD_ROOM).to_be_bytes());
                    }
                });
            }
            _ => copy(out, kind, payload),
        }
    }
}

/// The chunk offsets in an `stco` or `co64`.
fn offsets(payload: &[u8], long: bool) -> Option<Vec<u64>> {
    let mut reader = Reader(payload);
    reader.full()?;
    (0..reader.u32()?)
        .map(|_| reader.versioned(u8::from(long)))
        .collect()
}
