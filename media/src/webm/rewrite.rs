//! Another time for a cluster, written over its size and timestamp without moving a frame.

use crate::ebml::{ids, vint, write::wide_void_header};

/// A Timestamp's id and a size of one byte.
const TIMESTAMP_HEADER: usize = 2;
/// The most that is replaced: size, Timestamp, and small elements between them.
const LONGEST: usize = 64;
/// Widths of an unknown size, best first: one of four bytes takes the size of any cluster later on.
const UNKNOWN_WIDTHS: [usize; 8] = [4, 5, 3, 2, 1, 6, 7, 8];

/// Replacement of a cluster's size and of everything between it and the first frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Front {
    pub(super) bytes: Vec<u8>,
    /// Bytes of the size in it.
    pub(super) size_width: u8,
    /// The size in it; `None` for an unknown one.
    pub(super) size: Option<u64>,
}

/// Writes a front of exactly `length` bytes. `width`: bytes of the size that stands there; `rest`: bytes of the cluster
/// behind the front, where its size says so. `None` where `ticks` do not fit.
pub(super) fn front(length: usize, width: usize, rest: Option<u64>, ticks: u64) -> Option<Front> {
    if length > LONGEST {
        return None;
    }
    let known = rest.and_then(|rest| {
        std::iter::once(width)
            .chain(1..=8)
            .find_map(|width| with_size(length, width, Some(rest), ticks))
    });
    known.or_else(|| {
        UNKNOWN_WIDTHS
            .into_iter()
            .find_map(|width| with_size(length, width, None, ticks))
    })
}

fn with_size(length: usize, width: usize, rest: Option<u64>, ticks: u64) -> Option<Front> {
    let behind = length.checked_sub(width)?;
    let size = rest.map(|rest| rest.saturating_add(behind as u64));
    let mut bytes = match size {
        Some(size) => vint::sized(size, width)?,
        None => vint::unknown_sized(width),
    };
    bytes.extend(timestamp(behind, ticks)?);
    Some(Front {
        bytes,
        size_width: u8::try_from(width).ok()?,
        size,
    })
}

/// A Timestamp, and a Void behind it where there is room left: `length` bytes together.
fn timestamp(length: usize, ticks: u64) -> Option<Vec<u8>> {
    let least = 8 - ticks.leading_zeros() as usize / 8;
    (least.max(1)..=8).rev().find_map(|width| {
        let filler = length.checked_sub(TIMESTAMP_HEADER + width)?;
        let mut bytes = vec![ids::TIMESTAMP.to_be_bytes()[3]];
        bytes.extend(vint::sized(width as u64, 1)?);
        bytes.extend(&ticks.to_be_bytes()[8 - width..]);
        if filler > 0 {
            bytes.extend(wide_void_header(filler as u64, 1)?);
            bytes.resize(length, 0);
        }
        Some(bytes)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ebml::read::{Children, uint};

    #[track_caller]
    fn check(length: usize, width: usize, rest: Option<u64>, ticks: u64, size_width: Option<u8>) {
        let front = front(length, width, rest, ticks);
        assert_eq!(front.as_ref().map(|front| front.size_width), size_width);
        let Some(front) = front else { return };
        assert_eq!(front.bytes.len(), length);
        let payload = &front.bytes[usize::from(front.size_width)..];
        let (id, value) = Children::of(payload).next().expect("a Timestamp");
        assert_eq!((id, uint(value)), (ids::TIMESTAMP, Some(ticks)));
        let size = rest.map(|rest| rest + payload.len() as u64);
        assert!(front.size.is_none() || front.size == size, "{front:?}");
    }

    #[test]
    fn front_keeps_its_length() {
        // As Chromium writes it: an unknown size of eight bytes, a time of one.
        check(11, 8, None, 0, Some(4));
        check(11, 8, None, 1 << 39, Some(4));
        check(11, 8, None, 1 << 40, Some(3));
        // As ffmpeg does: the shortest size.
        check(6, 2, Some(5000), 5000, Some(2));
        check(6, 2, Some(5000), 1 << 20, Some(1));
        check(5, 2, Some(5000), 1 << 20, None);
        check(5, 2, Some(5000), 0, Some(2));
        // With a checksum in front of the time.
        check(12, 2, Some(5000), 1 << 20, Some(2));
        check(LONGEST + 1, 8, None, 0, None);
    }
}
