//! Placement of clusters on the recording's time line.
//!
//! A recording begins at 0 and goes on without a jump of half a day: a stream that begins at one hour, a second
//! recording behind the first, and a cluster that is a day late are moved. Where a shift holds for what is still to
//! come, it is noted in the stored stream, in bytes that players pass over, so that a scan after a restart finds it.

use crate::ebml::{
    ids,
    vint::{self, Parsed},
};

/// First bytes of a note.
const MARK: [u8; 2] = [0x5F, 0xA7];
/// Bytes of each number in a note.
const NUMBER: usize = 6;
/// Bytes of a note: the mark, the shift and the place it is written up to.
pub(super) const NOTE: usize = 14;
/// A Void's id and a size of one byte.
const SHORT_VOID_HEADER: usize = 2;
/// The longest run of bytes that one Void with such a header covers.
const SHORT_VOID_LIMIT: usize = 128;
/// A cluster that is later than this behind the end of what has arrived is misplaced. Screens stand still for hours.
const LONGEST_GAP_S: u64 = 12 * 60 * 60;

/// Where the clusters of the sender's time line lie on the recording's.
#[derive(Debug, Default)]
pub(super) struct Placement {
    /// Ticks to add; `None` until the first cluster.
    shift: Option<i64>,
    /// Clusters in front of this stream offset have their final time in the stored stream already.
    written_to: u64,
    /// Ticks to add to clusters that are misplaced.
    late_shift: Option<i64>,
    /// Stream offset of the note; `None` where there is nothing to note.
    note_at: Option<u64>,
}

/// The place of one cluster, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) ticks: u64,
    /// Whether it is not where its sender's clock has it.
    pub(super) late: bool,
}

impl Placement {
    pub(super) fn is_known(&self) -> bool {
        self.shift.is_some()
    }

    /// Whether clusters that still come must be changed.
    pub(super) fn is_shifted(&self) -> bool {
        self.shift.is_some_and(|shift| shift != 0)
    }

    /// Takes the note that a scan before a restart has left at `at`.
    pub(super) fn resume(&mut self, note: Note, at: u64) {
        *self = Self {
            shift: Some(note.shift),
            written_to: note.written_to,
            late_shift: None,
            note_at: Some(at),
        };
    }

    /// Begins the recording with a cluster at `ticks`. Whole seconds are taken away: frames in front of the cluster's
    /// own time stay behind 0. `note_at`: where that can be noted.
    pub(super) fn begin(&mut self, ticks: u64, second: u64, note_at: Option<u64>) {
        let whole = ticks
            .checked_div(second)
            .map_or(0, |seconds| seconds * second);
        let shift = i64::try_from(whole).map_or(0, |whole| -whole);
        let fits = note_at.is_some() && Note::fits(shift);
        *self = Self {
            shift: Some(if fits { shift } else { 0 }),
            note_at: note_at.filter(|_| fits && shift != 0),
            ..Self::default()
        };
    }

    /// The shift that lets a further recording that begins at `ticks` follow at `end`; `None` where that is out of
    /// reach.
    pub(super) fn shift_to(ticks: u64, end: u64) -> Option<i64> {
        let shift = i64::try_from(i128::from(end) - i128::from(ticks)).ok();
        shift.filter(|&shift| Note::fits(shift))
    }

    /// Lets a further recording follow.
    pub(super) fn join(&mut self, shift: i64, note_at: u64) {
        *self = Self {
            shift: Some(shift),
            note_at: (shift != 0).then_some(note_at),
            ..Self::default()
        };
    }

    /// The place of the cluster at stream offset `start` whose time is `ticks`, where `end` is the end of what has
    /// arrived.
    pub(super) fn place(&mut self, start: u64, ticks: u64, end: u64, second: u64) -> Place {
        let shift = if start < self.written_to {
            0
        } else {
            self.shift.unwrap_or(0)
        };
        let own = Place {
            ticks: ticks.checked_add_signed(shift).unwrap_or(ticks),
            late: false,
        };
        let limit = second.saturating_mul(LONGEST_GAP_S);
        let plausible = |place: u64| place.saturating_sub(end) <= limit;
        if plausible(own.ticks) || limit == 0 {
            return own;
        }
        let late = |ticks| Place { ticks, late: true };
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

    /// Says that the cluster at `start` has its final time in the stored stream. Returns what is to be noted, and where.
    pub(super) fn written(&mut self, start: u64) -> Option<(u64, [u8; NOTE])> {
        if start < self.written_to {
            return None;
        }
        self.written_to = start.saturating_add(1);
        let note = Note {
            shift: self.shift?,
            written_to: self.written_to,
        };
        Some((self.note_at?, note.to_bytes()))
    }

    /// Returns the patch that removes the note, once nothing more comes.
    pub(super) fn forget(&mut self) -> Option<(u64, [u8; NOTE])> {
        Some((self.note_at.take()?, [0; NOTE]))
    }
}

/// A shift, as it is noted in the stored stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Note {
    shift: i64,
    written_to: u64,
}

impl Note {
    fn fits(shift: i64) -> bool {
        (-1 << 47..1 << 47).contains(&shift)
    }

    fn to_bytes(self) -> [u8; NOTE] {
        let mut bytes = [0; NOTE];
        bytes[..MARK.len()].copy_from_slice(&MARK);
        let (shift, written_to) = bytes[MARK.len()..].split_at_mut(NUMBER);
        shift.copy_from_slice(&self.shift.to_be_bytes()[8 - NUMBER..]);
        written_to.copy_from_slice(&self.written_to.to_be_bytes()[8 - NUMBER..]);
        bytes
    }

    /// The note at the beginning of a Void's payload.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let numbers = payload.strip_prefix(&MARK)?.get(..2 * NUMBER)?;
        let number = |bytes: &[u8]| bytes.iter().fold(0u64, |n, &byte| n << 8 | u64::from(byte));
        let (shift, written_to) = numbers.split_at(NUMBER);
        Some(Self {
            // The sign is the highest of 48 bits.
            shift: (number(shift) << 16).cast_signed() >> 16,
            written_to: number(written_to),
        })
    }
}

/// Bytes of the sender's EBML header that say nothing about the document and can take a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    /// Bytes behind the beginning of the header's payload.
    at: usize,
    length: usize,
}

impl Slot {
    /// Finds room for a note in an EBML header's payload: children that are only about EBML itself, side by side.
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
            if (SHORT_VOID_HEADER + NOTE..=SHORT_VOID_LIMIT).contains(&run) {
                best = Some(Self {
                    at: end - run,
                    length: run,
                });
            }
            at = end;
        }
        best
    }

    /// Offset of the note's bytes behind the beginning of the header's payload.
    pub(super) fn note_at(self) -> u64 {
        (self.at + SHORT_VOID_HEADER) as u64
    }

    /// The header of the Void that takes the note: its offset behind the beginning of the payload, and its bytes.
    pub(super) fn void(self) -> Option<(u64, Vec<u8>)> {
        let size = u64::try_from(self.length.checked_sub(SHORT_VOID_HEADER)?).ok()?;
        let mut bytes = vec![0xEC];
        bytes.extend(vint::sized(size, 1)?);
        Some((self.at as u64, bytes))
    }

    /// The note in an EBML header's payload.
    pub(super) fn read(self, payload: &[u8]) -> Option<Note> {
        Note::read(payload.get(self.at + SHORT_VOID_HEADER..self.at + self.length)?)
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
            let mut placement = Placement::default();
            placement.begin(ticks, SECOND, Some(0));
            assert_eq!(placement.place(0, ticks, 0, SECOND).ticks, place, "{ticks}");
            let mut placement = Placement::default();
            placement.begin(ticks, SECOND, None);
            assert_eq!(
                placement.place(0, ticks, 0, SECOND).ticks,
                ticks,
                "no room for a note"
            );
        }
        let mut placement = Placement::default();
        placement.begin(u64::MAX, 1, Some(0));
        assert!(!placement.is_shifted(), "out of reach");
    }

    #[test]
    fn late_cluster_is_moved_and_next_one_is_not() {
        let mut placement = Placement::default();
        placement.begin(0, SECOND, None);
        let day = 24 * 3600 * SECOND;
        let mut place = |ticks, end| placement.place(0, ticks, end, SECOND).ticks;
        assert_eq!(place(day + 2000, 2000), 2000);
        assert_eq!(place(3000, 3000), 3000);
        // All of the rest a day late: the distances between clusters stay.
        assert_eq!(place(day + 4000, 4000), 4000);
        assert_eq!(place(day + 5500, 5000), 5500);
        let hours = 11 * 3600 * SECOND;
        assert_eq!(place(hours, 6000), hours, "a still picture");
    }

    #[test]
    fn note_reads_back() {
        for (shift, written_to) in [
            (0, 0),
            (-3_600_000, 77),
            (5, (1 << 48) - 1),
            (-(1 << 47), 1),
        ] {
            let note = Note { shift, written_to };
            assert_eq!(Note::read(&note.to_bytes()), Some(note));
        }
        assert_eq!(Note::read(&[0; NOTE]), None);
    }

    #[test]
    fn note_has_room_in_an_ebml_header() {
        let mut writer = Writer::new();
        writer.uint(ids::EBML_VERSION, 1);
        writer.uint(ids::EBML_READ_VERSION, 1);
        writer.uint(ids::EBML_MAX_ID_LENGTH, 4);
        writer.uint(ids::EBML_MAX_SIZE_LENGTH, 8);
        writer.string(ids::DOC_TYPE, "webm");
        let mut payload = writer.into_bytes();
        let slot = Slot::find(&payload).expect("room");
        let mut placement = Placement::default();
        placement.begin(3_600_000, SECOND, Some(slot.note_at()));
        let (at, note) = placement.written(99).expect("something to note");
        for (at, bytes) in [slot.void().expect("fits"), (at, note.to_vec())] {
            let at = usize::try_from(at).expect("small");
            payload[at..at + bytes.len()].copy_from_slice(&bytes);
        }
        let slot = Slot::find(&payload).expect("still there");
        let note = slot.read(&payload).expect("a note");
        assert_eq!((note.shift, note.written_to), (-3_600_000, 100));
        assert_eq!(Children::of(&payload).count(), 2, "the rest is whole");
        assert_eq!(Slot::find(b""), None);
    }
}
