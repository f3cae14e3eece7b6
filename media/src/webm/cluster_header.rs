//! Replacement headers of clusters: another timestamp without moving a frame.

use crate::ebml::{ids, vint, write::wide_void_header};

/// Size of the id and of a one-byte size of Timestamp.
const TIMESTAMP_HEADER: usize = 2;
/// Longest replaced range: size, Timestamp and small elements between them.
const LONGEST: usize = 64;
/// Widths for an unknown size, best first: four bytes can later hold the size of any cluster.
const UNKNOWN_WIDTHS: [usize; 8] = [4, 5, 3, 2, 1, 6, 7, 8];

/// Replacement for the size of a cluster and all bytes between it and the first frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClusterHeader {
    pub(super) bytes: Vec<u8>,
    /// Width of the size.
    pub(super) size_width: u8,
    /// Value of the size; `None` for an unknown size.
    pub(super) size: Option<u64>,
}

/// Returns a header of exactly `length` bytes; `None` if `ticks` do not fit. `width` is the current width of the size,
/// `rest` the bytes of the cluster behind the header, if its size declares them.
pub(super) fn cluster_header(
    length: usize,
    width: usize,
    rest: Option<u64>,
    ticks: u64,
) -> Option<ClusterHeader> {
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

fn with_size(length: usize, width: usize, rest: Option<u64>, ticks: u64) -> Option<ClusterHeader> {
    let behind = length.checked_sub(width)?;
    let size = rest.map(|rest| rest.saturating_add(behind as u64));
    let mut bytes = match size {
        Some(size) => vint::sized(size, width)?,
        None => vint::unknown_sized(width),
    };
    bytes.extend(timestamp(behind, ticks)?);
    Some(ClusterHeader {
        bytes,
        size_width: u8::try_from(width).ok()?,
        size,
    })
}

/// Encodes a Timestamp, followed by a Void if `length` leaves room.
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
        let front = cluster_header(length, width, rest, ticks);
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
    fn header_keeps_its_length() {
        // Chromium: unknown size of eight bytes, timestamp of one byte.
        check(11, 8, None, 0, Some(4));
        check(11, 8, None, 1 << 39, Some(4));
        check(11, 8, None, 1 << 40, Some(3));
        // ffmpeg: shortest size.
        check(6, 2, Some(5000), 5000, Some(2));
        check(6, 2, Some(5000), 1 << 20, Some(1));
        check(5, 2, Some(5000), 1 << 20, None);
        check(5, 2, Some(5000), 0, Some(2));
        // With a CRC-32 in front of the Timestamp.
        check(12, 2, Some(5000), 1 << 20, Some(2));
        check(LONGEST + 1, 8, None, 0, None);
    }
}
