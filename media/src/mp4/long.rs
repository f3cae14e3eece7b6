//! The end of a recording that is too long for sample tables: it stays fragmented, and its head says how long it is.

use super::boxes::{children, write};
use super::finish::{copy, ftyp_box, padded, write_duration};
use super::movie::Movie;
use crate::container::{HEAD_ROOM, Patch};

/// `ftyp` and a `moov` that knows the duration, then a `free` over the sender's: still fragmented. `None` where that
/// has no room: then the live head stays.
pub(super) fn long_head(ftyp: Option<&[u8]>, movie: &Movie, moov_end: u64) -> Option<Patch> {
    // Dropped, as memory was short.
    if movie.moov.is_empty() {
        return None;
    }
    let mut head = ftyp_box(ftyp);
    head.extend(fragmented_moov(movie));
    let size = HEAD_ROOM.saturating_add(moov_end) - head.len() as u64;
    head.extend(u32::try_from(size).ok()?.to_be_bytes());
    head.extend(*b"free");
    (head.len() as u64 <= HEAD_ROOM).then(|| padded(head))
}

/// The sender's `moov` with durations in it.
fn fragmented_moov(movie: &Movie) -> Vec<u8> {
    let timings: Vec<_> = movie.timings().collect();
    let total = timings.iter().map(|timing| timing.total).max().unwrap_or(0);
    let mut tracks = movie.tracks.iter().zip(&timings);
    let mut out = Vec::new();
    write(&mut out, *b"moov", |out| {
        for (kind, payload) in children(&movie.moov) {
            match &kind {
                b"mvhd" => write_duration(out, kind, payload, 12, total),
                b"mvex" => write(out, kind, |out| {
                    // Section 8.8.2, version 1.
                    write(out, *b"mehd", |out| {
                        out.extend([1, 0, 0, 0]);
                        out.extend(total.to_be_bytes());
                    });
                    for (kind, payload) in children(payload) {
                        if kind != *b"mehd" {
                            copy(out, kind, payload);
                        }
                    }
                }),
                b"trak" if movie.describes(payload) => {
                    if let Some((track, timing)) = tracks.next() {
                        let media = track.samples.end() - track.samples.first();
                        write(out, kind, |out| {
                            patch_trak(out, payload, timing.total, media)
                        });
                    }
                }
                _ => copy(out, kind, payload),
            }
        }
    });
    out
}

fn patch_trak(out: &mut Vec<u8>, trak: &[u8], total: u64, media: u64) {
    for (kind, payload) in children(trak) {
        match &kind {
            b"tkhd" => write_duration(out, kind, payload, 16, total),
            b"mdhd" => write_duration(out, kind, payload, 12, media),
            b"mdia" => write(out, kind, |out| patch_trak(out, payload, total, media)),
            _ => copy(out, kind, payload),
        }
    }
}
