//! Sample tables of one track, as written to a finished file.

use serde::{Deserialize, Serialize};

use super::boxes::{write_chunk_offsets, write_full, write_words};
use super::run_length::{RunLengthList, push_varint, take_varint, unzigzag, zigzag};
use crate::activity_meter::ActivityMeter;
use crate::frame_stats::FrameTimes;

#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) size: u32,
    /// Duration in the media timescale.
    pub(super) duration: u32,
    /// Composition offset: presentation time minus decoding time.
    pub(super) offset: i32,
    pub(super) sync: bool,
}

/// Longest plausible duration of a sample or gap between samples. Screen recordings may have none of their frames
/// change for hours.
pub(super) const LONGEST_GAP_S: u64 = 12 * 60 * 60;

/// Latest time of a first sample, so that no sum of times overflows.
const LATEST_START: u64 = 1 << 62;

/// Growing sample tables of one track (ISO/IEC 14496-12, sections 8.6 and 8.7), run-length encoded.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct SampleTable {
    count: u64,
    timescale: u32,
    /// Correction of the decoding times of implausibly late samples.
    late_shift: Option<u64>,
    /// Last plausible duration of a sample.
    last_duration: Option<u32>,
    /// Whether the tables were dropped, so that only times are kept.
    tableless: bool,
    pub(super) frame_times: FrameTimes,
    /// Activity, from the first sample on.
    pub(super) activity: ActivityMeter,
    sizes: RunLengthList,
    durations: RunLengthList,
    /// Composition offsets, zigzag encoded.
    offsets: RunLengthList,
    has_offsets: bool,
    /// 1 for sync samples, 0 for others.
    sync: RunLengthList,
    sync_count: u64,
    chunks: Chunks,
    /// Decoding time of the first sample, and end of the last.
    first: Option<u64>,
    end: u64,
    /// Decoding time of the next sample if it is later than `end`.
    gap_end: Option<u64>,
    /// Latest end of a sample in presentation time.
    shown_end: u64,
}

impl SampleTable {
    /// Creates empty tables for a track with a timescale in units per second.
    pub(super) fn new(timescale: u32) -> Self {
        Self {
            timescale,
            frame_times: FrameTimes::new(timescale.into()),
            activity: ActivityMeter::new(timescale.into()),
            ..Self::default()
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.count
    }

    /// Drops the tables; from now on only times are kept.
    pub(super) fn drop_tables(&mut self) {
        self.tableless = true;
        self.sizes = RunLengthList::default();
        self.durations = RunLengthList::default();
        self.offsets = RunLengthList::default();
        self.sync = RunLengthList::default();
        self.sync_count = 0;
        self.chunks = Chunks::default();
    }

    pub(super) fn memory_bytes(&self) -> u64 {
        let columns = [&self.sizes, &self.durations, &self.offsets, &self.sync];
        let columns: usize = columns.iter().map(|column| column.memory_bytes()).sum();
        (columns + self.chunks.closed.capacity()) as u64 + self.activity.memory_bytes()
    }

    /// Upper bound for the bytes that [`write`](Self::write) writes.
    pub(super) fn written_bytes(&self) -> u64 {
        if self.tableless {
            return 0;
        }
        let mut bytes = 128 + 8 * u64::from(self.durations.len());
        if self.has_offsets {
            bytes += 8 * u64::from(self.offsets.len());
        }
        if self.sync_count != self.count {
            bytes = bytes.saturating_add(4 * self.sync_count);
        }
        if self.constant_size().is_none() {
            bytes = bytes.saturating_add(4 * self.count);
        }
        bytes + (8 + 12) * u64::from(self.chunks.len())
    }

    /// Size that all samples share. Never 0, because `stsz` with a size of 0 is followed by a table.
    fn constant_size(&self) -> Option<u32> {
        let mut sizes = self.sizes.iter();
        let (_, size) = sizes.next().filter(|_| self.sizes.len() == 1)?;
        Some(size).filter(|&size| size > 0)
    }

    pub(super) fn sync_len(&self) -> usize {
        usize::try_from(self.sync_count).unwrap_or(usize::MAX)
    }

    /// Decoding time of the first sample.
    pub(super) fn first(&self) -> u64 {
        self.first.unwrap_or(0)
    }

    /// Decoding time at which the last sample ends.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Latest end of a sample in presentation time. With B-frames this is later than [`end`](Self::end).
    pub(super) fn shown_end(&self) -> u64 {
        self.shown_end
    }

    /// Ends the presentation at a time, although samples that others need for decoding are shown later.
    pub(super) fn end_presentation(&mut self, time: u64) {
        self.shown_end = self.shown_end.min(time);
    }

    /// Longest plausible duration in the media timescale. Fits into the 32 bits of a duration in `stts`.
    fn longest_gap(&self) -> u32 {
        let longest = u64::from(self.timescale) * LONGEST_GAP_S;
        u32::try_from(longest).unwrap_or(u32::MAX)
    }

    /// Moves an implausibly late time to the end of the track. Later late times keep their distance from it.
    fn plausible_time(&mut self, time: u64) -> u64 {
        let end = self.end;
        let limit = u64::from(self.longest_gap());
        let is_plausible = |time: u64| time.saturating_sub(end) <= limit;
        if is_plausible(time) {
            return time;
        }
        let shifted = self.late_shift.and_then(|shift| time.checked_sub(shift));
        shifted
            .filter(|&time| time >= end && is_plausible(time))
            .unwrap_or_else(|| {
                self.late_shift = Some(time - end);
                end
            })
    }

    /// Replaces an implausible duration by the previous one, else by a second.
    fn plausible_duration(&mut self, duration: u32) -> u32 {
        if duration <= self.longest_gap() {
            self.last_duration = Some(duration);
            return duration;
        }
        self.last_duration.unwrap_or(self.timescale)
    }

    /// Sets the decoding time of the next samples. Times in the past are ignored, and implausibly late ones corrected.
    pub(super) fn seek(&mut self, time: u64) {
        if self.first.is_some() {
            let time = self.plausible_time(time);
            self.gap_end = Some(time).filter(|&time| time > self.end);
            return;
        }
        let time = time.min(LATEST_START);
        (self.first, self.end) = (Some(time), time);
    }

    /// Prolongs the last sample to the next one, because `stts` cannot represent gaps.
    fn close_gap(&mut self) {
        if let Some(time) = self.gap_end.take()
            && let Ok(gap) = u32::try_from(time - self.end)
        {
            self.durations.raise_last(gap);
            self.end = time;
        }
    }

    /// Starts a chunk at stream offset `offset`, with a sample description index.
    pub(super) fn begin_chunk(&mut self, offset: u64, description: u32) {
        if !self.tableless {
            self.chunks.begin(offset, description);
        }
    }

    /// Adds `count` identical samples.
    pub(super) fn add(&mut self, mut sample: Sample, count: u32) {
        if count == 0 {
            return;
        }
        self.close_gap();
        sample.duration = self.plausible_duration(sample.duration);
        if sample.offset.unsigned_abs() > self.longest_gap() {
            sample.offset = 0;
        }
        self.count = self.count.saturating_add(count.into());
        self.first.get_or_insert(0);
        let duration = u64::from(sample.duration);
        self.frame_times.run(self.end, duration, count, sample.sync);
        let time = self.end - self.first();
        let size = u64::from(sample.size);
        self.activity.run(time, duration, count, sample.sync, size);
        self.end = self.end.saturating_add(duration * u64::from(count));
        let shown_end = self.end.saturating_add_signed(sample.offset.into());
        self.shown_end = self.shown_end.max(shown_end);
        if self.tableless {
            return;
        }
        self.sizes.push(sample.size, count);
        self.durations.push(sample.duration, count);
        let offset = u32::try_from(zigzag(sample.offset.into())).unwrap_or(u32::MAX);
        self.offsets.push(offset, count);
        self.has_offsets |= sample.offset != 0;
        self.sync.push(sample.sync.into(), count);
        if sample.sync {
            self.sync_count = self.sync_count.saturating_add(count.into());
        }
        self.chunks.add(sample.size, count);
    }

    /// Writes the tables behind `stsd`, with all chunk offsets increased by `shift`.
    pub(super) fn write(&self, out: &mut Vec<u8>, shift: u64) {
        write_runs(out, *b"stts", &self.durations, |duration| duration);
        if self.has_offsets {
            let start = out.len();
            write_runs(out, *b"ctts", &self.offsets, |offset| {
                let offset = unzigzag(offset.into());
                i32::try_from(offset).unwrap_or(0).cast_unsigned()
            });
            // Version 1: signed composition offsets.
            out[start + 8] = 1;
        }
        if self.sync_count != self.count {
            write_full(out, *b"stss", |out| {
                put(out, self.sync_count);
                let mut number = 1u32;
                for (count, sync) in self.sync.iter() {
                    let next = number.saturating_add(count);
                    if sync == 1 {
                        (number..next).for_each(|number| out.extend(number.to_be_bytes()));
                    }
                    number = next;
                }
            });
        }
        write_full(out, *b"stsz", |out| {
            let constant = self.constant_size();
            put(out, constant.unwrap_or(0).into());
            put(out, self.count);
            if constant.is_none() {
                for (count, size) in self.sizes.iter() {
                    (0..count).for_each(|_| out.extend(size.to_be_bytes()));
                }
            }
        });
        write_full(out, *b"stsc", |out| {
            let at = out.len();
            out.extend([0; 4]);
            let (mut entries, mut previous) = (0u32, None);
            for (number, chunk) in (1u32..).zip(self.chunks.iter()) {
                let entry = (chunk.count, chunk.description);
                if previous != Some(entry) {
                    write_words(out, &[number, entry.0, entry.1]);
                    (entries, previous) = (entries + 1, Some(entry));
                }
            }
            out[at..at + 4].copy_from_slice(&entries.to_be_bytes());
        });
        write_chunk_offsets(out, || {
            let chunks = self.chunks.iter();
            chunks.map(|chunk| chunk.offset.saturating_add(shift))
        });
    }
}

/// Contiguous samples with the same sample description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Chunk {
    /// Stream offset of the first sample.
    offset: u64,
    /// Stream offset behind the last sample.
    end: u64,
    count: u32,
    description: u32,
}

/// Growing list of chunks, delta encoded: about 4 bytes each, as chunks follow each other closely.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Chunks {
    closed: Vec<u8>,
    closed_count: u32,
    /// End and sample description index of the last closed chunk.
    last: (u64, u32),
    open: Option<Chunk>,
}

impl Chunks {
    fn begin(&mut self, offset: u64, description: u32) {
        if let Some(open) = self.open.filter(|open| open.count > 0) {
            if (open.end, open.description) == (offset, description) {
                return;
            }
            self.close(open);
        }
        self.open = Some(Chunk {
            offset,
            end: offset,
            count: 0,
            description,
        });
    }

    fn close(&mut self, chunk: Chunk) {
        let (end, description) = self.last;
        let distance = chunk.offset.cast_signed().wrapping_sub(end.cast_signed());
        push_varint(&mut self.closed, zigzag(distance));
        let change = description != chunk.description;
        push_varint(
            &mut self.closed,
            u64::from(chunk.count) << 1 | u64::from(change),
        );
        push_varint(&mut self.closed, chunk.end - chunk.offset);
        if change {
            push_varint(&mut self.closed, chunk.description.into());
        }
        self.last = (chunk.end, chunk.description);
        self.closed_count = self.closed_count.saturating_add(1);
    }

    fn add(&mut self, size: u32, count: u32) {
        if let Some(open) = &mut self.open {
            open.count = open.count.saturating_add(count);
            let bytes = u64::from(size) * u64::from(count);
            open.end = open.end.saturating_add(bytes);
        }
    }

    fn len(&self) -> u32 {
        let open = self.open.is_some_and(|open| open.count > 0);
        self.closed_count.saturating_add(open.into())
    }

    fn iter(&self) -> impl Iterator<Item = Chunk> {
        let (mut rest, mut last) = (self.closed.as_slice(), (0u64, 0u32));
        let closed = std::iter::from_fn(move || {
            let distance = unzigzag(take_varint(&mut rest)?);
            let offset = last.0.wrapping_add_signed(distance);
            let count = take_varint(&mut rest)?;
            let end = offset.saturating_add(take_varint(&mut rest)?);
            if count & 1 == 1 {
                last.1 = u32::try_from(take_varint(&mut rest)?).ok()?;
            }
            last.0 = end;
            Some(Chunk {
                offset,
                end,
                count: u32::try_from(count >> 1).ok()?,
                description: last.1,
            })
        });
        closed.chain(self.open.filter(|open| open.count > 0))
    }
}

fn write_runs(out: &mut Vec<u8>, kind: [u8; 4], runs: &RunLengthList, word: fn(u32) -> u32) {
    write_full(out, kind, |out| {
        put(out, runs.len().into());
        for (count, value) in runs.iter() {
            write_words(out, &[count, word(value)]);
        }
    });
}

/// Appends a 32-bit integer; saturates.
fn put(out: &mut Vec<u8>, number: u64) {
    out.extend(u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: Sample = Sample {
        size: 1,
        duration: 10,
        offset: 0,
        sync: true,
    };

    #[test]
    fn gap_prolongs_last_sample() {
        let mut samples = SampleTable::new(1000);
        samples.seek(100);
        samples.begin_chunk(0, 1);
        samples.add(SAMPLE, 3);
        samples.seek(150);
        samples.add(SAMPLE, 1);
        assert_eq!((samples.first(), samples.end()), (100, 160));
        let durations: Vec<_> = samples.durations.iter().collect();
        assert_eq!(durations, [(2, 10), (1, 30), (1, 10)]);
        samples.seek(10);
        assert_eq!(samples.end(), 160, "time does not go back");
    }

    #[test]
    fn chunks_round_trip() {
        let mut chunks = Chunks::default();
        let mut expected = Vec::new();
        for (offset, count, description) in [
            (1000, 3, 1),
            (u64::from(u32::MAX) * 4, 1, 2),
            (5, 7, 2),
            (90, 1 << 30, 1),
        ] {
            chunks.begin(77, 9);
            chunks.begin(offset, description);
            chunks.add(100, count);
            expected.push(Chunk {
                offset,
                end: offset + 100 * u64::from(count),
                count,
                description,
            });
        }
        assert_eq!(chunks.iter().collect::<Vec<_>>(), expected);
        assert_eq!(chunks.len(), 4);
        chunks.begin(expected[3].end, 1);
        chunks.add(100, 1);
        assert_eq!(chunks.len(), 4, "contiguous chunks are one");
    }

    #[test]
    fn size_bound_is_not_exceeded() {
        for steps in [1, 2, 3, 50] {
            let mut samples = SampleTable::new(1000);
            for n in 0..500u32 {
                if n % 7 == 0 {
                    samples.begin_chunk(u64::from(n) * (1 << 30), 1 + n % 2);
                }
                let sample = Sample {
                    size: n % steps,
                    duration: n % steps,
                    offset: i32::try_from(n % steps).expect("small") - 1,
                    sync: n % steps == 0,
                };
                samples.add(sample, 1 + n % 2);
            }
            let mut out = Vec::new();
            samples.write(&mut out, 4096);
            let bound = samples.written_bytes();
            assert!(out.len() as u64 <= bound, "{} of {bound}", out.len());
        }
    }

    #[test]
    fn identical_samples_take_no_heap_memory() {
        let mut samples = SampleTable::new(1000);
        samples.begin_chunk(0, 1);
        samples.add(SAMPLE, u32::MAX / 2);
        let tables = samples.memory_bytes() - samples.activity.memory_bytes();
        assert!(tables + samples.written_bytes() < 1000);
    }
}
