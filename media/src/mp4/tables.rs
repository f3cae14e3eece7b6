//! Sample tables that a `moov` brings along (ISO/IEC 14496-12, sections 8.6 and 8.7).

use super::boxes::{Reader, find};
use super::samples::{Sample, Samples};

/// Samples that are alike and lie behind each other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    /// Stream offset of the first.
    pub(super) offset: u64,
    pub(super) sample: Sample,
    pub(super) count: u32,
    /// Whether it is the first of its chunk.
    pub(super) begins_chunk: bool,
    /// Index of its sample description, from 1.
    pub(super) description: u32,
}

/// Reads the samples of an `stbl` payload, chunk by chunk; ends where a table ends or is inconsistent.
pub(super) struct Tables<'a> {
    offsets: Entries<'a>,
    long_offsets: bool,
    chunk: u32,
    /// Entries of `stsc`: the one in force, and the number of the chunk at which the next begins.
    stsc: Entries<'a>,
    per_chunk: u32,
    description: u32,
    next_entry: Option<(u32, u32, u32)>,
    sizes: Sizes<'a>,
    durations: Column<'a>,
    compositions: Column<'a>,
    sync: Option<Entries<'a>>,
    next_sync: u32,
    /// Number of the next sample, from 1.
    number: u32,
    /// Stream offset of the next sample, and how many its chunk still has.
    at: u64,
    left: u32,
    begins_chunk: bool,
}

impl<'a> Tables<'a> {
    /// The tables of an `stbl` payload.
    pub(super) fn new(stbl: &'a [u8]) -> Self {
        let (offsets, long_offsets) = match find(stbl, *b"stco") {
            Some(_) => (Entries::of(stbl, *b"stco"), false),
            None => (Entries::of(stbl, *b"co64"), true),
        };
        let has_sync = find(stbl, *b"stss").is_some();
        let mut sync = has_sync.then(|| Entries::of(stbl, *b"stss"));
        let next_sync = sync.as_mut().and_then(Entries::word).unwrap_or(0);
        let mut stsc = Entries::of(stbl, *b"stsc");
        let next_entry = stsc.triple();
        Self {
            offsets,
            long_offsets,
            chunk: 0,
            stsc,
            per_chunk: 0,
            description: 1,
            next_entry,
            sizes: Sizes::of(stbl),
            durations: Column::of(stbl, *b"stts"),
            compositions: Column::of(stbl, *b"ctts"),
            sync,
            next_sync,
            number: 1,
            at: 0,
            left: 0,
            begins_chunk: false,
        }
    }

    /// Samples that the tables announce.
    pub(super) fn announced(&self) -> u32 {
        self.sizes.left
    }

    fn next_chunk(&mut self) -> Option<()> {
        self.offsets.left = self.offsets.left.checked_sub(1)?;
        self.at = self.offsets.reader.versioned(self.long_offsets.into())?;
        self.chunk = self.chunk.saturating_add(1);
        if let Some((first, per_chunk, description)) = self.next_entry
            && first <= self.chunk
        {
            (self.per_chunk, self.description) = (per_chunk, description);
            self.next_entry = self.stsc.triple();
        }
        (self.left, self.begins_chunk) = (self.per_chunk, true);
        Some(())
    }
}

impl Iterator for Tables<'_> {
    type Item = Placed;

    fn next(&mut self) -> Option<Placed> {
        if self.sizes.left == 0 {
            return None;
        }
        while self.left == 0 {
            self.next_chunk()?;
        }
        let duration = self.durations.value().unwrap_or(0);
        let composition = self.compositions.value().unwrap_or(0);
        if let Some(entries) = &mut self.sync {
            while (1..self.number).contains(&self.next_sync) {
                self.next_sync = entries.word().unwrap_or(0);
            }
        }
        let sync = self.sync.is_none() || self.next_sync == self.number;
        // Up to the next change in any table.
        let mut count = self.left.min(self.sizes.alike());
        for column in [&self.durations, &self.compositions] {
            if column.count > 0 {
                count = count.min(column.count);
            }
        }
        if let Some(entries) = &mut self.sync {
            if sync {
                count = 1;
                self.next_sync = entries.word().unwrap_or(0);
            } else if self.next_sync > self.number {
                count = count.min(self.next_sync - self.number);
            }
        }
        let size = self.sizes.take(count)?;
        self.durations.advance(count);
        self.compositions.advance(count);
        let placed = Placed {
            offset: self.at,
            sample: Sample {
                size,
                duration,
                offset: composition.cast_signed(),
                sync,
            },
            count,
            begins_chunk: self.begins_chunk,
            description: self.description,
        };
        self.number = self.number.saturating_add(count);
        self.left -= count;
        self.begins_chunk = false;
        let bytes = u64::from(size) * u64::from(count);
        self.at = self.at.saturating_add(bytes);
        Some(placed)
    }
}

/// Where the data of samples may lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Stream offset behind the last byte that is there.
    pub(super) limit: u64,
    /// Stream offsets of the `moov`: nothing in it is media data.
    pub(super) moov: (u64, u64),
}

impl Place {
    /// How many of the samples lie where media data can be.
    fn fitting(&self, placed: &Placed) -> u32 {
        let size = u64::from(placed.sample.size);
        let count = u64::from(placed.count);
        let mut limit = self.limit;
        if placed.offset < self.moov.0 {
            limit = limit.min(self.moov.0);
        } else if placed.offset < self.moov.1 {
            return 0;
        }
        let fits = match limit.checked_sub(placed.offset) {
            None => 0,
            Some(room) => room.checked_div(size).unwrap_or(count).min(count),
        };
        u32::try_from(fits).unwrap_or(0)
    }
}

/// Whether every sample that an `stbl` announces lies where media data can be.
pub(super) fn is_whole(stbl: &[u8], place: &Place) -> bool {
    let mut tables = Tables::new(stbl);
    let mut found = 0;
    let announced = tables.announced();
    for placed in tables.by_ref() {
        if place.fitting(&placed) < placed.count {
            return false;
        }
        found += placed.count;
    }
    // Chunks without a sample are never read, wherever they are.
    found == announced
}

/// Stream offset behind the last sample of an `stbl`.
pub(super) fn extent(stbl: &[u8]) -> u64 {
    let ends = Tables::new(stbl).map(|placed| {
        let bytes = u64::from(placed.sample.size) * u64::from(placed.count);
        placed.offset.saturating_add(bytes)
    });
    ends.max().unwrap_or(0)
}

/// Adds the samples of an `stbl` that lie where media data can be. The time of others passes.
pub(super) fn load(stbl: &[u8], place: &Place, samples: &mut Samples) {
    let mut time = 0u64;
    let mut interrupted = false;
    for placed in Tables::new(stbl) {
        let fitting = place.fitting(&placed);
        if fitting > 0 {
            samples.seek(time);
            if placed.begins_chunk || interrupted {
                samples.begin_chunk(placed.offset, placed.description);
            }
            samples.add(placed.sample, fitting);
        }
        interrupted = fitting < placed.count;
        let duration = u64::from(placed.sample.duration);
        time = time.saturating_add(duration * u64::from(placed.count));
    }
}

/// Entries of a full box: how many are left, and where the next is.
struct Entries<'a> {
    left: u32,
    reader: Reader<'a>,
}

impl<'a> Entries<'a> {
    fn of(stbl: &'a [u8], kind: [u8; 4]) -> Self {
        let payload = find(stbl, kind).and_then(|payload| payload.get(4..));
        let mut reader = Reader(payload.unwrap_or_default());
        Self {
            left: reader.u32().unwrap_or(0),
            reader,
        }
    }

    fn word(&mut self) -> Option<u32> {
        self.left = self.left.checked_sub(1)?;
        self.reader.u32()
    }

    fn triple(&mut self) -> Option<(u32, u32, u32)> {
        self.left = self.left.checked_sub(1)?;
        Some((self.reader.u32()?, self.reader.u32()?, self.reader.u32()?))
    }
}

/// A run-length encoded table: `stts` or `ctts`.
struct Column<'a> {
    entries: Entries<'a>,
    /// How often the value still holds.
    count: u32,
    value: u32,
}

impl<'a> Column<'a> {
    fn of(stbl: &'a [u8], kind: [u8; 4]) -> Self {
        let mut column = Self {
            entries: Entries::of(stbl, kind),
            count: 0,
            value: 0,
        };
        column.refill();
        column
    }

    fn refill(&mut self) {
        while self.count == 0 && self.entries.left > 0 {
            self.entries.left -= 1;
            let (Some(count), Some(value)) = (self.entries.reader.u32(), self.entries.reader.u32())
            else {
                self.entries.left = 0;
                return;
            };
            (self.count, self.value) = (count, value);
        }
    }

    fn value(&self) -> Option<u32> {
        (self.count > 0).then_some(self.value)
    }

    fn advance(&mut self, count: u32) {
        self.count = self.count.saturating_sub(count);
        self.refill();
    }
}

/// `stsz` or `stz2`.
struct Sizes<'a> {
    left: u32,
    /// 0: each has its own.
    constant: u32,
    reader: Reader<'a>,
    /// Bits of each size: 4, 8, 16 or 32.
    bits: u32,
    /// The lower half of a byte that holds two sizes of 4 bits.
    half: Option<u32>,
}

impl<'a> Sizes<'a> {
    fn of(stbl: &'a [u8]) -> Self {
        let mut sizes = Self {
            left: 0,
            constant: 0,
            reader: Reader(&[]),
            bits: 32,
            half: None,
        };
        if let Some(stsz) = find(stbl, *b"stsz").and_then(|payload| payload.get(4..)) {
            sizes.reader = Reader(stsz);
            sizes.constant = sizes.reader.u32().unwrap_or(0);
        } else if let Some(stz2) = find(stbl, *b"stz2").and_then(|payload| payload.get(4..)) {
            sizes.reader = Reader(stz2);
            sizes.bits = sizes.reader.u32().unwrap_or(0) & 0xFF;
        }
        sizes.left = sizes.reader.u32().unwrap_or(0);
        sizes
    }

    /// How many of the next have the same size for certain.
    fn alike(&self) -> u32 {
        if self.constant > 0 { self.left } else { 1 }
    }

    /// Size of the next `count` samples, which are alike.
    fn take(&mut self, count: u32) -> Option<u32> {
        self.left = self.left.checked_sub(count)?;
        if self.constant > 0 {
            return Some(self.constant);
        }
        match self.bits {
            32 => self.reader.u32(),
            16 => self.reader.u16().map(u32::from),
            8 => self.reader.u8().map(u32::from),
            4 => {
                if let Some(half) = self.half.take() {
                    return Some(half);
                }
                let both = u32::from(self.reader.u8()?);
                self.half = Some(both & 0xF);
                Some(both >> 4)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::boxes::write_full;
    use super::*;

    fn table(out: &mut Vec<u8>, kind: [u8; 4], words: &[u32]) {
        write_full(out, kind, |out| {
            words.iter().for_each(|word| out.extend(word.to_be_bytes()));
        });
    }

    /// Three chunks at 100, 200 and 300 with 2, 2 and 1 samples.
    fn stbl(sizes: &[u32]) -> Vec<u8> {
        let mut out = Vec::new();
        table(&mut out, *b"stts", &[2, 3, 10, 2, 20]);
        table(&mut out, *b"ctts", &[1, 5, 7]);
        table(&mut out, *b"stss", &[2, 1, 4]);
        table(&mut out, *b"stsc", &[2, 1, 2, 1, 3, 1, 2]);
        table(&mut out, *b"stsz", sizes);
        table(&mut out, *b"stco", &[3, 100, 200, 300]);
        out
    }

    const ANYWHERE: Place = Place {
        limit: u64::MAX,
        moov: (0, 0),
    };

    #[test]
    fn samples_are_read_in_runs() {
        let stbl = stbl(&[10, 5]);
        let runs: Vec<_> = Tables::new(&stbl)
            .map(|placed| (placed.offset, placed.count, placed.sample.sync))
            .collect();
        let expected = [
            (100, 1, true),
            (110, 1, false),
            (200, 1, false),
            (210, 1, true),
            (300, 1, false),
        ];
        assert_eq!(runs, expected);
        assert_eq!(extent(&stbl), 310);
        assert!(is_whole(&stbl, &ANYWHERE));
        let last = Tables::new(&stbl).last().expect("a sample");
        assert_eq!((last.description, last.sample.duration), (2, 20));
        assert_eq!(last.sample.offset, 7);
    }

    #[test]
    fn samples_beyond_the_data_are_left_out() {
        let stbl = stbl(&[0, 5, 10, 10, 20, 20, 30]);
        for (limit, moov, count, end) in [
            (330, (0, 0), 5, 70),
            (329, (0, 0), 4, 50),
            (239, (0, 0), 3, 30),
            (330, (105, 150), 3, 70),
            (330, (190, 250), 3, 70),
            (50, (0, 0), 0, 0),
        ] {
            let place = Place { limit, moov };
            let mut samples = Samples::new(1000);
            load(&stbl, &place, &mut samples);
            assert_eq!((samples.len(), samples.end()), (count, end), "{place:?}");
            assert_eq!(is_whole(&stbl, &place), count == 5);
        }
    }

    #[test]
    fn tables_that_announce_more_than_there_is_end() {
        let hostile = stbl(&[1, u32::MAX]);
        assert_eq!(Tables::new(&hostile).count(), 5);
        assert!(!is_whole(&hostile, &ANYWHERE));
        let missing = stbl(&[0, 5, 10]);
        assert_eq!(Tables::new(&missing).count(), 1);
        assert_eq!(Tables::new(&[]).count(), 0);
        assert!(is_whole(&[], &ANYWHERE), "a track without samples");
    }

    #[test]
    fn half_byte_sizes_are_read() {
        let mut compact = Vec::new();
        table(&mut compact, *b"stts", &[1, 3, 10]);
        table(&mut compact, *b"stsc", &[1, 1, 3, 1]);
        table(&mut compact, *b"stz2", &[4, 3, 0x12F0_0000]);
        table(&mut compact, *b"co64", &[1, 1, 0]);
        let sizes: Vec<_> = Tables::new(&compact)
            .map(|placed| placed.sample.size)
            .collect();
        assert_eq!(sizes, [1, 2, 15]);
        assert_eq!(extent(&compact), (1 << 32) + 18);
    }
}
