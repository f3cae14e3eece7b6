//! Reader for the sample tables of a sender's `moov` (ISO/IEC 14496-12, sections 8.6 and 8.7).

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::boxes::{Reader, find};
use super::sample_table::{Sample, SampleTable};
use crate::activity_meter::ActivityMeter;
use crate::frame_stats::FrameTimes;

/// Maximum number of samples of an unfragmented file that a report examines: 38 hours at 60 frames/s.
const REPORT_LIMIT: u32 = 1 << 23;

/// Contiguous samples with the same properties.
#[derive(Debug, Clone, Copy)]
pub(super) struct SampleRun {
    /// Stream offset of the first sample.
    pub(super) offset: u64,
    pub(super) sample: Sample,
    pub(super) count: u32,
    /// Whether the first sample begins a chunk.
    pub(super) begins_chunk: bool,
    /// Sample description index, counted from 1.
    pub(super) description: u32,
}

/// Iterator over the samples of an `stbl` payload, by chunk. Ends where a table ends or is inconsistent.
#[derive(Default)]
pub(super) struct StblReader<'a> {
    offsets: TableEntries<'a>,
    long_offsets: bool,
    chunk: u32,
    /// Entries of `stsc`: the current one, and the number of the chunk at which the next one applies.
    stsc: TableEntries<'a>,
    per_chunk: u32,
    description: u32,
    next_entry: Option<(u32, u32, u32)>,
    sizes: SampleSizes<'a>,
    durations: RunLengthTable<'a>,
    compositions: RunLengthTable<'a>,
    sync: Option<TableEntries<'a>>,
    next_sync: u32,
    /// Number of the next sample, counted from 1.
    number: u32,
    /// Stream offset of the next sample, and number of samples left in its chunk.
    at: u64,
    left: u32,
    begins_chunk: bool,
}

impl<'a> StblReader<'a> {
    pub(super) fn new(stbl: &'a [u8]) -> Self {
        let (offsets, long_offsets) = match find(stbl, *b"stco") {
            Some(_) => (TableEntries::of(stbl, *b"stco"), false),
            None => (TableEntries::of(stbl, *b"co64"), true),
        };
        let has_sync = find(stbl, *b"stss").is_some();
        let mut sync = has_sync.then(|| TableEntries::of(stbl, *b"stss"));
        let next_sync = sync.as_mut().and_then(TableEntries::word).unwrap_or(0);
        let mut stsc = TableEntries::of(stbl, *b"stsc");
        let next_entry = stsc.triple();
        Self {
            offsets,
            long_offsets,
            stsc,
            description: 1,
            next_entry,
            sizes: SampleSizes::of(stbl),
            durations: RunLengthTable::of(stbl, *b"stts"),
            compositions: RunLengthTable::of(stbl, *b"ctts"),
            sync,
            next_sync,
            number: 1,
            ..Self::default()
        }
    }

    /// Returns the number of samples that `stsz` or `stz2` declares.
    pub(super) fn declared(&self) -> u32 {
        self.sizes.left
    }

    /// Returns the number of samples whose sizes are listed one by one.
    pub(super) fn listed(&self) -> u32 {
        match self.sizes.constant {
            0 => self.sizes.left,
            _ => 0,
        }
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

impl Iterator for StblReader<'_> {
    type Item = SampleRun;

    fn next(&mut self) -> Option<SampleRun> {
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
        // Ends before the next change in any table.
        let mut count = self.left.min(self.sizes.same_size_count());
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
        let run = SampleRun {
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
        Some(run)
    }
}

/// Part of the stream in which media data may lie.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct MediaBounds {
    /// End of the received bytes.
    pub(super) limit: u64,
    /// Stream offsets of `moov`, which contains no media data.
    pub(super) moov: (u64, u64),
}

impl MediaBounds {
    /// Returns the number of leading samples of a run that lie within the bounds.
    fn count_within(&self, run: &SampleRun) -> u32 {
        let size = u64::from(run.sample.size);
        let count = u64::from(run.count);
        let mut limit = self.limit;
        if run.offset < self.moov.0 {
            limit = limit.min(self.moov.0);
        } else if run.offset < self.moov.1 {
            return 0;
        }
        let fits = match limit.checked_sub(run.offset) {
            None => 0,
            Some(room) => room.checked_div(size).unwrap_or(count).min(count),
        };
        u32::try_from(fits).unwrap_or(0)
    }
}

/// Whether all samples that an `stbl` declares lie within `bounds`.
pub(super) fn is_whole(stbl: &[u8], bounds: &MediaBounds) -> bool {
    let mut tables = StblReader::new(stbl);
    let mut found = 0;
    let declared = tables.declared();
    for run in tables.by_ref() {
        if bounds.count_within(&run) < run.count {
            return false;
        }
        found += run.count;
    }
    // Offsets of chunks without samples are irrelevant.
    found == declared
}

/// Returns the stream offset behind the last sample of an `stbl`.
pub(super) fn extent(stbl: &[u8]) -> u64 {
    let ends = StblReader::new(stbl).map(|run| {
        let bytes = u64::from(run.sample.size) * u64::from(run.count);
        run.offset.saturating_add(bytes)
    });
    ends.max().unwrap_or(0)
}

/// Returns the stream ranges of the samples of an `stbl` that lie within `bounds`.
pub(super) fn ranges_within(stbl: &[u8], bounds: &MediaBounds) -> impl Iterator<Item = Range<u64>> {
    StblReader::new(stbl).map(|run| {
        let count = bounds.count_within(&run);
        run.offset..run.offset + u64::from(run.sample.size) * u64::from(count)
    })
}

/// Adds the samples of an `stbl` that lie within `bounds`. The time of other samples is skipped.
pub(super) fn load(stbl: &[u8], bounds: &MediaBounds, samples: &mut SampleTable) {
    let mut time = 0u64;
    let mut interrupted = false;
    for run in StblReader::new(stbl) {
        let count_within = bounds.count_within(&run);
        if count_within > 0 {
            samples.seek(time);
            if run.begins_chunk || interrupted {
                samples.begin_chunk(run.offset, run.description);
            }
            samples.add(run.sample, count_within);
        }
        interrupted = count_within < run.count;
        let duration = u64::from(run.sample.duration);
        time = time.saturating_add(duration * u64::from(run.count));
    }
}

/// Collects the times and sizes of the frames of an `stbl`. The sample count comes from `stsz`, whose size the file limits; a
/// count in `stts` could be arbitrarily large.
pub(super) fn frame_times(stbl: &[u8], timescale: u32) -> (FrameTimes, ActivityMeter) {
    let mut durations = RunLengthTable::of(stbl, *b"stts");
    let sync = find(stbl, *b"stss").map(|_| TableEntries::of(stbl, *b"stss").reader);
    let all_sync = sync.is_none();
    let mut sync = sync.unwrap_or(Reader(&[]));
    let mut next_sync = sync.u32();
    let stsz = find(stbl, *b"stsz").and_then(|stsz| Reader(stsz.get(8..)?).u32());
    let mut sizes = SampleSizes::of(stbl);
    let mut frame_times = FrameTimes::new(timescale.into());
    let mut activity = ActivityMeter::new(timescale.into());
    let mut time = 0u64;
    for number in 1..=stsz.unwrap_or(0).min(REPORT_LIMIT) {
        let Some(duration) = durations.value() else {
            break;
        };
        durations.advance(1);
        let is_sync = next_sync == Some(number);
        if is_sync {
            next_sync = sync.u32();
        }
        let is_sync = all_sync || is_sync;
        frame_times.frame(time, 1, is_sync);
        let size = sizes.take(1).unwrap_or(0);
        activity.frame(time, is_sync, size.into());
        time = time.saturating_add(u64::from(duration));
    }
    (frame_times, activity)
}

/// Entries of a full box.
#[derive(Default)]
struct TableEntries<'a> {
    left: u32,
    reader: Reader<'a>,
}

impl<'a> TableEntries<'a> {
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

/// Reader for a run-length encoded table: `stts` or `ctts`.
#[derive(Default)]
struct RunLengthTable<'a> {
    entries: TableEntries<'a>,
    /// Remaining samples to which the value applies.
    count: u32,
    value: u32,
}

impl<'a> RunLengthTable<'a> {
    fn of(stbl: &'a [u8], kind: [u8; 4]) -> Self {
        let mut column = Self {
            entries: TableEntries::of(stbl, kind),
            ..Self::default()
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

/// Reader for `stsz` or `stz2`.
#[derive(Default)]
struct SampleSizes<'a> {
    left: u32,
    /// Size of all samples; 0 if each sample has its own.
    constant: u32,
    reader: Reader<'a>,
    /// Bits of each size: 4, 8, 16 or 32.
    bits: u32,
    /// Second of two 4-bit sizes in the byte that was read last.
    half: Option<u32>,
}

impl<'a> SampleSizes<'a> {
    fn of(stbl: &'a [u8]) -> Self {
        let mut sizes = Self {
            bits: 32,
            ..Self::default()
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

    /// Returns the number of samples that certainly have the size of the next.
    fn same_size_count(&self) -> u32 {
        if self.constant > 0 { self.left } else { 1 }
    }

    /// Returns the size of the next `count` samples, which share it.
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
    use super::super::boxes::{write_full, write_words};
    use super::*;

    fn table(out: &mut Vec<u8>, kind: [u8; 4], words: &[u32]) {
        write_full(out, kind, |out| write_words(out, words));
    }

    /// Encodes an `stbl` with three chunks at 100, 200 and 300, of 2, 2 and 1 samples.
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

    const ANYWHERE: MediaBounds = MediaBounds {
        limit: u64::MAX,
        moov: (0, 0),
    };

    #[test]
    fn samples_are_read_in_runs() {
        let stbl = stbl(&[10, 5]);
        let runs: Vec<_> = StblReader::new(&stbl)
            .map(|run| (run.offset, run.count, run.sample.sync))
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
        let last = StblReader::new(&stbl).last().expect("a sample");
        assert_eq!((last.description, last.sample.duration), (2, 20));
        assert_eq!(last.sample.offset, 7);
    }

    #[test]
    fn samples_outside_the_media_data_are_left_out() {
        let stbl = stbl(&[0, 5, 10, 10, 20, 20, 30]);
        for (limit, moov, count, end) in [
            (330, (0, 0), 5, 70),
            (329, (0, 0), 4, 50),
            (239, (0, 0), 3, 30),
            (330, (105, 150), 3, 70),
            (330, (190, 250), 3, 70),
            (50, (0, 0), 0, 0),
        ] {
            let bounds = MediaBounds { limit, moov };
            let mut samples = SampleTable::new(1000);
            load(&stbl, &bounds, &mut samples);
            assert_eq!((samples.len(), samples.end()), (count, end), "{bounds:?}");
            assert_eq!(is_whole(&stbl, &bounds), count == 5);
        }
    }

    #[test]
    fn tables_that_declare_more_samples_than_exist_end() {
        let hostile = stbl(&[1, u32::MAX]);
        assert_eq!(StblReader::new(&hostile).count(), 5);
        assert!(!is_whole(&hostile, &ANYWHERE));
        let missing = stbl(&[0, 5, 10]);
        assert_eq!(StblReader::new(&missing).count(), 1);
        assert_eq!(StblReader::new(&[]).count(), 0);
        assert!(is_whole(&[], &ANYWHERE), "a track without samples");
    }

    #[test]
    fn four_bit_sizes_are_read() {
        let mut compact = Vec::new();
        table(&mut compact, *b"stts", &[1, 3, 10]);
        table(&mut compact, *b"stsc", &[1, 1, 3, 1]);
        table(&mut compact, *b"stz2", &[4, 3, 0x12F0_0000]);
        table(&mut compact, *b"co64", &[1, 1, 0]);
        let sizes: Vec<_> = StblReader::new(&compact)
            .map(|run| run.sample.size)
            .collect();
        assert_eq!(sizes, [1, 2, 15]);
        assert_eq!(extent(&compact), (1 << 32) + 18);
    }
}
