//! Heads of a stored MP4: the [`HEAD_ROOM`] bytes that a player reads before the stream.

use super::boxes::{self, Header, write};
use super::moov::{Contents, moov_with, moov_with_shifted_chunks};
use super::movie::Movie;
use crate::patch::{HEAD_ROOM, Patch};

/// Longest `ftyp` payload that the head repeats; a longer one is replaced by ours.
pub(super) const FTYP_LIMIT: u64 = 1 << 10;
/// `ftyp` payload for streams whose own is missing or too long.
const FTYP: &[u8] = b"isom\0\0\x02\0isomiso6mp41";

/// Kind of a stored head, recognised from its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoredHead {
    /// Written by [`live_head`]: a `free` box hides the start of the stream.
    Growing,
    /// Written by [`indexed_head`]: an `mdat` around the stream that ends at position `end` of the stored file.
    Indexed { end: u64 },
    /// Written by [`fragmented_head`], or by [`live_head`] for a `moov` that describes samples.
    Fragmented,
}

impl StoredHead {
    /// Recognises the head in the stored part of the head room.
    pub(crate) fn parse(head: &[u8]) -> Option<Self> {
        let ftyp_end = match boxes::header(head) {
            Header::Complete { kind, size, .. } if kind == *b"ftyp" => size?,
            _ => return None,
        };
        let box_at = |at: u64| {
            let header = boxes::header(head.get(usize::try_from(at).ok()?..)?);
            match header {
                Header::Complete { kind, size, length } => {
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

/// Encodes the head of a growing file: `ftyp`, and a `free` box up to the sender's `moov`. If that `moov` describes
/// samples and fits, the head contains a copy with shifted chunk offsets, and the `free` box hides the original. `None`
/// if the `moov` is more than 4 GiB away.
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
    Some(Patch::head(head))
}

/// Encodes the head of a finished file: `ftyp`, and the header of an `mdat` that ends at `keep`.
pub(super) fn indexed_head(ftyp: Option<&[u8]>, keep: u64) -> Patch {
    let mut head = ftyp_box(ftyp);
    let size = keep.saturating_sub(head.len() as u64);
    head.extend(mdat_header(size));
    Patch::head(head)
}

/// Encodes the header of an `mdat` of `size` bytes, header included.
pub(super) fn mdat_header(size: u64) -> [u8; 16] {
    let mut header = *b"\0\0\0\x01mdat\0\0\0\0\0\0\0\0";
    // Size 1: the 64-bit size follows.
    header[8..].copy_from_slice(&size.to_be_bytes());
    header
}

pub(super) fn ftyp_box(payload: Option<&[u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, *b"ftyp", |out| {
        out.extend_from_slice(payload.unwrap_or(FTYP))
    });
    out
}

/// Encodes the head of a finished file that stays fragmented: `ftyp`, a `moov` with durations, and a `free` box over
/// the sender's. `None` if these do not fit into the head room; the live head then stays.
pub(super) fn fragmented_head(ftyp: Option<&[u8]>, movie: &Movie, moov_end: u64) -> Option<Patch> {
    // The `moov` was discarded to save memory.
    if movie.moov.is_empty() {
        return None;
    }
    let mut head = ftyp_box(ftyp);
    head.extend(moov_with(Contents::Durations, movie));
    let size = HEAD_ROOM.saturating_add(moov_end) - head.len() as u64;
    head.extend(u32::try_from(size).ok()?.to_be_bytes());
    head.extend(*b"free");
    (head.len() as u64 <= HEAD_ROOM).then(|| Patch::head(head))
}
