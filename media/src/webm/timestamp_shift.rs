//! Shift of cluster timestamps on the recording's timeline.
//!
//! A recording begins at 0 and has no gap of half a day. Clusters of a stream that begins at one hour, clusters of a
//! joined document and single clusters that are a day late are therefore shifted. A shift that applies to later
//! clusters is stored in a marker, in bytes that players ignore, so that a scan after a restart continues with it.

use serde::{Deserialize, Serialize};

use crate::ebml::{
    ids,
    vint::{self, Parsed},
};

/// First bytes of a marker.
const MARKER_MAGIC: [u8; 2] = [0x5F, 0xA7];
/// Size of each integer in a marker.
const NUMBER: usize = 6;
/// Size of a marker: magic, shift and offset up to which timestamps are rewritten.
pub(super) const MARKER_SIZE: usize = 14;
/// Size of the id and of a one-byte size of a Void.
const SHORT_VOID_HEADER: usize = 2;
/// Longest Void with such a header.
const SHORT_VOID_LIMIT: usize = 128;
/// Longest plausible gap in front of a cluster. Screen recordings may have none of their frames change for hours.
const LONGEST_GAP_S: u64 = 12 * 60 * 60;

/// Mapping of the sender's cluster timestamps to the recording's timeline.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct TimestampShift {
    /// Ticks to add; `None` until the first cluster.
    shift: Option<i64>,
    /// Clusters before this stream offset already have their final timestamp in the stored stream.
    written_to: u64,
    /// Ticks to add to clusters that are implausibly late.
    late_shift: Option<i64>,
    /// Stream offset of the marker; `None` if there is no shift to store.
    marker_at: Option<u64>,
}

/// Timestamp of a cluster on the recording's timeline, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ShiftedTimestamp {
    pub(super) ticks: u64,
    /// Whether the sender's timestamp was implausibly late.
    pub(super) late: bool,
}

impl TimestampShift {
    pub(super) fn is_known(&self) -> bool {
        self.shift.is_some()
    }

    /// Whether later clusters must be rewritten.
    pub(super) fn is_shifted(&self) -> bool {
        self.shift.is_some_and(|shift| shift != 0)
    }

    /// Restores the marker that an earlier scan wrote at `at`.
    pub(super) fn resume(&mut self, marker: ShiftMarker, at: u64) {
        *self = Self {
            shift: Some(marker.shift),
            written_to: marker.written_to,
            late_shift: None,
            marker_at: Some(at),
        };
    }

    /// Starts the recording with a cluster at `ticks`. Removes whole seconds only, so that frames before the cluster
    /// timestamp stay positive. `marker_at` is the offset for a marker, if there is room for one.
    pub(super) fn begin(&mut self, ticks: u64, second: u64, marker_at: Option<u64>) {
        let whole = ticks
            .checked_div(second)
            .map_or(0, |seconds| seconds * second);
        let shift = i64::try_from(whole).map_or(0, |whole| -whole);
        let fits = marker_at.is_some() && ShiftMarker::fits(shift);
        *self = Self {
            shift: Some(if fits { shift } else { 0 }),
            marker_at: marker_at.filter(|_| fits && shift != 0),
            ..Self::default()
        };
    }

    /// Returns the shift by which a document that begins at `ticks` continues the recording at `end`; `None` if a
    /// marker cannot hold it.
    pub(super) fn shift_to(ticks: u64, end: u64) -> Option<i64> {
        let shift = i64::try_from(i128::from(end) - i128::from(ticks)).ok();
        shift.filter(|&shift| ShiftMarker::fits(shift))
    }

    /// Continues with the clusters of a joined document.
    pub(super) fn join(&mut self, shift: i64, marker_at: u64) {
        *self = Self {
            shift: Some(shift),
            marker_at: (shift != 0).then_some(marker_at),
            ..Self::default()
        };
    }

    /// Returns the timestamp on the recording's timeline for the cluster at stream offset `start` with timestamp
    /// `ticks`. `end` is the end of the recording so far.
    pub(super) fn place(
        &mut self,
        start: u64,
        ticks: u64,
        end: u64,
        second: u64,
    ) -> ShiftedTimestamp {
        let shift = if start < self.written_to {
            0
        } else {
            self.shift.unwrap_or(0)
        };
        let own = ShiftedTimestamp {
            ticks: ticks.checked_add_signed(shift).unwrap_or(ticks),
            late: false,
        };
        let limit = second.saturating_mul(LONGEST_GAP_S);
        let plausible = |place: u64| place.saturating_sub(end) <= limit;
        if plausible(own.ticks) || limit == 0 {
            return own;
        }
        let late = |ticks| ShiftedTimestamp { ticks, late: true };
        let known = self
            .late_shift
            .and_then(|shift| ticks.checked_add_signed(shift))
            .filter(|&place| plausible(place) && place >= end);
        if let Some(place) = known {
            return late(place);
        }
        self.late_shift = i64::try_from(i128::from(end) - i128::from(ticks)).ok();
        match self.late_shift {
            Some(_) => late(end),
            None => own,
        }
    }

    /// Records that the cluster at `start` has its final timestamp in the stored stream. Returns the patch for the
    /// marker.
    pub(super) fn written(&mut self, start: u64) -> Option<(u64, [u8; MARKER_SIZE])> {
        if start < self.written_to {
            return None;
        }
        self.written_to = start.saturating_add(1);
        let marker = ShiftMarker {
            shift: self.shift?,
            written_to: self.written_to,
        };
        Some((self.marker_at?, marker.to_bytes()))
    }

    /// Returns the patch that removes the marker, at the end of the recording.
    pub(super) fn forget(&mut self) -> Option<(u64, [u8; MARKER_SIZE])> {
        Some((self.marker_at.take()?, [0; MARKER_SIZE]))
    }
}

/// A stored shift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ShiftMarker {
    shift: i64,
    written_to: u64,
}

impl ShiftMarker {
    fn fits(shift: i64) -> bool {
        (-1 << 47..1 << 47).contains(&shift)
    }

    fn to_bytes(self) -> [u8; MARKER_SIZE] {
        let mut bytes = [0; MARKER_SIZE];
        bytes[..MARKER_MAGIC.len()].copy_from_slice(&MARKER_MAGIC);
        let (shift, written_to) = bytes[MARKER_MAGIC.len()..].split_at_mut(NUMBER);
        shift.copy_from_slice(&self.shift.to_be_bytes()[8 - NUMBER..]);
        written_to.copy_from_slice(&self.written_to.to_be_bytes()[8 - NUMBER..]);
        bytes
    }

    /// Parses a marker at the start of a Void's payload.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let numbers = payload.strip_prefix(&MARKER_MAGIC)?.get(..2 * NUMBER)?;
        let number = |bytes: &[u8]| bytes.iter().fold(0u64, |n, &byte| n << 8 | u64::from(byte));
        let (shift, written_to) = numbers.split_at(NUMBER);
        Some(Self {
            // Sign extension from 48 bits.
            shift: (number(shift) << 16).cast_signed() >> 16,
            written_to: number(written_to),
        })
    }
}

/// Bytes of the sender's EBML header that a marker may replace, because readers do not need them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MarkerSlot {
    /// Offset within the header's payload.
    at: usize,
    length: usize,
}

impl MarkerSlot {
    /// Finds room for a marker in an EBML header's payload: adjacent children that only describe EBML itself.
    pub(super) fn find(payload: &[u8]) -> Option<Self> {
        let (mut at, mut run, mut best) = (0, 0, None);
        while let Parsed::Item(header, width) = vint::header(payload.get(at..)?) {
            let size = usize::try_from(header.size?).ok()?;
            let end = at.checked_add(width)?.checked_add(size)?;
            if end > payload.len() {
                break;
            }
            let spare = matches!(
                header.id,
                ids::EBML_VERSION
                    | ids::EBML_READ_VERSION
                    | ids::EBML_MAX_ID_LENGTH
                    | ids::EBML_MAX_SIZE_LENGTH
                    | ids::VOID
            );
            run = if spare { run + end - at } else { 0 };
            if (SHORT_VOID_HEADER + MARKER_SIZE..=SHORT_VOID_LIMIT).contains(&run) {
                best = Some(Self {
                    at: end - run,
                    length: run,
                });
            }
            at = end;
        }
        best
    }

    /// Offset of the marker within the header's payload.
    pub(super) fn marker_at(self) -> u64 {
        (self.at + SHORT_VOID_HEADER) as u64
    }

    /// Returns the header of the Void around the marker: its offset within the payload and its bytes.
    pub(super) fn void(self) -> Option<(u64, Vec<u8>)> {
        let size = u64::try_from(self.length.checked_sub(SHORT_VOID_HEADER)?).ok()?;
        let mut bytes = vec![0xEC];
        bytes.extend(vint::sized(size, 1)?);
        Some((self.at as u64, bytes))
    }

    /// Parses the marker in an EBML header's payload.
    pub(super) fn read(self, payload: &[u8]) -> Option<ShiftMarker> {
        ShiftMarker::read(payload.get(self.at + SHORT_VOID_HEADER..self.at + self.length)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ebml::{read::Children, write::Writer};

    const SECOND: u64 = 1000;

    #[test]
    fn recording_begins_within_its_first_second() {
        for (ticks, place) in [(0, 0), (999, 999), (1000, 0), (3_600_040, 40)] {
            let mut shift = TimestampShift::default();
            shift.begin(ticks, SECOND, Some(0));
            assert_eq!(shift.place(0, ticks, 0, SECOND).ticks, place, "{ticks}");
            let mut shift = TimestampShift::default();
            shift.begin(ticks, SECOND, None);
            assert_eq!(
                shift.place(0, ticks, 0, SECOND).ticks,
                ticks,
                "no room for a marker"
            );
        }
        let mut shift = TimestampShift::default();
        shift.begin(u64::MAX, 1, Some(0));
        assert!(!shift.is_shifted(), "out of reach");
    }

    #[test]
    fn late_cluster_is_moved_and_next_one_is_not() {
        let mut shift = TimestampShift::default();
        shift.begin(0, SECOND, None);
        let day = 24 * 3600 * SECOND;
        let mut place = |ticks, end| shift.place(0, ticks, end, SECOND).ticks;
        assert_eq!(place(day + 2000, 2000), 2000);
        assert_eq!(place(3000, 3000), 3000);
        // The rest of the stream is a day late: distances between clusters stay.
        assert_eq!(place(day + 4000, 4000), 4000);
        assert_eq!(place(day + 5500, 5000), 5500);
        let hours = 11 * 3600 * SECOND;
        assert_eq!(place(hours, 6000), hours, "a still picture");
    }

    #[test]
    fn marker_round_trips() {
        for (shift, written_to) in [
            (0, 0),
            (-3_600_000, 77),
            (5, (1 << 48) - 1),
            (-(1 << 47), 1),
        ] {
            let marker = ShiftMarker { shift, written_to };
            assert_eq!(ShiftMarker::read(&marker.to_bytes()), Some(marker));
        }
        assert_eq!(ShiftMarker::read(&[0; MARKER_SIZE]), None);
    }

    #[test]
    fn marker_fits_into_an_ebml_header() {
        let mut writer = Writer::new();
        writer.uint(ids::EBML_VERSION, 1);
        writer.uint(ids::EBML_READ_VERSION, 1);
        writer.uint(ids::EBML_MAX_ID_LENGTH, 4);
        writer.uint(ids::EBML_MAX_SIZE_LENGTH, 8);
        writer.string(ids::DOC_TYPE, "webm");
        let mut payload = writer.into_bytes();
        let slot = MarkerSlot::find(&payload).expect("room");
        let mut shift = TimestampShift::default();
        shift.begin(3_600_000, SECOND, Some(slot.marker_at()));
        let (at, marker) = shift.written(99).expect("a marker");
        for (at, bytes) in [slot.void().expect("fits"), (at, marker.to_vec())] {
            let at = usize::try_from(at).expect("small");
            payload[at..at + bytes.len()].copy_from_slice(&bytes);
        }
        let slot = MarkerSlot::find(&payload).expect("still there");
        let marker = slot.read(&payload).expect("a marker");
        assert_eq!((marker.shift, marker.written_to), (-3_600_000, 100));
        assert_eq!(Children::of(&payload).count(), 2, "the rest is whole");
        assert_eq!(MarkerSlot::find(b""), None);
    }
}
