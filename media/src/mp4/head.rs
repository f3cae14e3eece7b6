//! Heads of a stored MP4: what a player reads before the stream, in [`HEAD_ROOM`] bytes.

use super::boxes::{self, Header, write};
use super::moov::{moov_with_durations, moov_with_shifted_chunks};
use super::movie::Movie;
use crate::container::Patch;
use crate::stored::HEAD_ROOM;

/// Used when the sender's `ftyp` is missing or absurd.
const FTYP: &[u8] = b"isom\0\0\x02\0isomiso6mp41";

/// Head of a stored MP4, recognised again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoredHead {
    /// [`live_head`]; a `free` box hides the start of the stream.
    Growing,
    /// [`indexed_head`]; the `mdat` around the stream ends at `end` in the stored file.
    Indexed { end: u64 },
    /// [`fragmented_head`], or a [`live_head`] with a `moov`.
    Fragmented,
}

impl StoredHead {
    /// Parses the head room, or the part of it that is stored.
    pub(crate) fn parse(head: &[u8]) -> Option<Self> {
        let ftyp_end = match boxes::header(head) {
            Header::Whole { kind, size, .. } if kind == *b"ftyp" => size?,
            _ => return None,
        };
        let box_at = |at: u64| {
            let header = boxes::header(head.get(usize::try_from(at).ok()?..)?);
            match header {
                Header::Whole { kind, size, length } => {
                    Some((kind, at.checked_add(size?)?, length))
                }
                Header::Incomplete | Header::Malformed => None,
            }
        };
        let (kind, end, length) = box_at(ftyp_end)?;
        match &kind {
            b"free" if end >= HEAD_ROOM => Some(Self::Growing),
            b"mdat" if end >= HEAD_ROOM && length == 16 => Some(Self::Indexed { end }),
            b"moov" => match box_at(end)? {
                (kind, end, _) if kind == *b"free" && end >= HEAD_ROOM => Some(Self::Fragmented),
                _ => None,
            },
            _ => None,
        }
    }
}

/// The head of a growing file: `ftyp`, then a `free` up to the sender's `moov`. Where that describes samples, a copy
/// with places that hold behind the head room, if it fits, and a `free` over the original. `None` where that is out of
/// reach.
pub(super) fn live_head(ftyp: Option<&[u8]>, movie: &Movie, moov: (u64, u64)) -> Option<Patch> {
    let mut head = ftyp_box(ftyp);
    let mut next = moov.0;
    if movie.fragmented && movie.has_moov_samples() {
        let shifted = moov_with_shifted_chunks(&movie.moov);
        if (head.len() + shifted.len() + 8) as u64 <= HEAD_ROOM {
            head.extend(shifted);
            next = moov.1;
        }
    }
    let size = u32::try_from(HEAD_ROOM.saturating_add(next) - head.len() as u64).ok()?;
    head.extend(size.to_be_bytes());
    head.extend(*b"free");
    Some(padded(head))
}

/// `ftyp`, then an `mdat` over everything that is kept.
pub(super) fn indexed_head(ftyp: Option<&[u8]>, keep: u64) -> Patch {
    let mut head = ftyp_box(ftyp);
    let size = keep.saturating_sub(head.len() as u64);
    // A size of 1: the real one follows in 64 bits.
    head.extend(1u32.to_be_bytes());
    head.extend(*b"mdat");
    head.extend(size.to_be_bytes());
    padded(head)
}

fn padded(mut head: Vec<u8>) -> Patch {
    head.resize(usize::try_from(HEAD_ROOM).unwrap_or(usize::MAX), 0);
    Patch {
        position: 0,
        bytes: head,
    }
}

fn ftyp_box(payload: Option<&[u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, *b"ftyp", |out| {
        out.extend_from_slice(payload.unwrap_or(FTYP))
    });
    out
}

/// `ftyp` and a `moov` that knows the duration, then a `free` over the sender's: still fragmented. `None` where that
/// has no room: then the live head stays.
pub(super) fn fragmented_head(ftyp: Option<&[u8]>, movie: &Movie, moov_end: u64) -> Option<Patch> {
    // Dropped, as memory was short.
    if movie.moov.is_empty() {
        return None;
    }
    let mut head = ftyp_box(ftyp);
    head.extend(moov_with_durations(movie));
    let size = HEAD_ROOM.saturating_add(moov_end) - head.len() as u64;
    head.extend(u32::try_from(size).ok()?.to_be_bytes());
    head.extend(*b"free");
    (head.len() as u64 <= HEAD_ROOM).then(|| padded(head))
}
