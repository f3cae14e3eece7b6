//! Clips of MP4: `ftyp`, a `moov` with the sample tables of the clip, and one `mdat` with the media data of its samples.

use std::ops::Range;

use super::head::{ftyp_box, mdat_header};
use super::moov::{Contents, moov_with};
use super::movie::{MovieTrack, rescale};
use super::sample_table::SampleTable;
use super::seek_index::{Index, MS, TimedRun, TrackClock, timed, to_ms};
use crate::clip::{Clip, ClipBody};
use crate::container::Container;

/// Size of the header of an `mdat`.
const MDAT_HEADER: u64 = 16;
/// Most ranges of media data: those of 16 hours in fragments of half a second. With more, bytes between them are copied.
const PIECES: usize = 1 << 18;
/// Bytes that are read and dropped rather than starting another read.
const READ_GAP: u64 = 256 << 10;
/// Most reads.
const READS: usize = 4096;

/// Selected samples of a track: those from a sync sample on.
#[derive(Debug, Clone, Copy)]
struct Selection {
    /// Numbers of the first sample, and of the sample behind the last.
    first: u64,
    end: u64,
    /// Decoding and presentation time of the first sample.
    decoded: u64,
    shown: i128,
    /// Presentation time at which the clip begins, and ends if it ends before the recording.
    from: i128,
    until: Option<i128>,
}

impl Selection {
    /// Selects the samples of an `stbl` from the last sync sample at or before `from`, else from the first one.
    fn of(stbl: &[u8], from: i128, until: Option<i128>) -> Option<Self> {
        let mut start = None::<(u64, u64, i128)>;
        let mut end = 0;
        for timed in timed(stbl) {
            if timed.run.sample.sync {
                let before = timed.count_before(from.saturating_add(1));
                let is_first = start.is_none();
                if before > 0 || is_first {
                    let index = before.saturating_sub(1);
                    let shown = timed.shown(index);
                    if start.is_none_or(|(_, _, best)| best <= shown || best > from) {
                        let number = timed.number + u64::from(index);
                        start = Some((number, timed.decoded(index), shown));
                    }
                }
            }
            let count = until.map_or(timed.run.count, |until| timed.count_before(until));
            if count > 0 {
                end = timed.number.saturating_add(count.into());
            }
        }
        let (first, decoded, shown) = start?;
        Some(Self {
            first,
            end,
            decoded,
            shown,
            from,
            until,
        })
    }

    /// Part of a run that is selected.
    fn part(&self, timed: &TimedRun) -> Option<(u32, TimedRun)> {
        let numbers = timed.number..timed.number.saturating_add(timed.run.count.into());
        let (first, end) = (numbers.start.max(self.first), numbers.end.min(self.end));
        let count = end.checked_sub(first).filter(|&count| count > 0)?;
        let skipped = u32::try_from(first - numbers.start).ok()?;
        let mut part = *timed;
        part.number = first;
        part.time = timed.decoded(skipped);
        part.run.offset = timed.position(skipped);
        part.run.count = u32::try_from(count).ok()?;
        Some((skipped, part))
    }

    fn parts(&self, stbl: &[u8]) -> impl Iterator<Item = (u32, TimedRun)> {
        timed(stbl).filter_map(|timed| self.part(&timed))
    }

    /// Returns the sample table of the clip.
    fn table(&self, stbl: &[u8], timescale: u32, pieces: &Pieces) -> SampleTable {
        let mut samples = SampleTable::new(timescale);
        samples.seek(self.decoded);
        let mut is_first = true;
        for (skipped, part) in self.parts(stbl) {
            if is_first || part.run.begins_chunk && skipped == 0 {
                samples.begin_chunk(pieces.place(part.run.offset), part.run.description);
            }
            is_first = false;
            let is_last = part.number.saturating_add(part.run.count.into()) == self.end;
            let all = part.run.count;
            samples.add(part.run.sample, all - u32::from(is_last));
            if is_last {
                let mut last = part.run.sample;
                // A still picture lasts until the next frame, which may be minutes behind the end of the clip.
                let left = self.until.map(|until| until - part.shown(all - 1));
                if let Some(left) = left.and_then(|left| u32::try_from(left.max(1)).ok()) {
                    last.duration = last.duration.min(left);
                }
                samples.add(last, 1);
            }
        }
        if let Some(until) = self.until.and_then(|until| u64::try_from(until).ok()) {
            samples.end_presentation(until);
        }
        samples
    }
}

impl Index {
    /// Returns the clip from the last keyframe at or before `start_ms` to `end_ms`; `None`: to the end.
    pub(crate) fn clip(mut self, start_ms: u64, end_ms: Option<u64>) -> Option<Clip> {
        let (stbl, clock) = self.main()?;
        // A keyframe within the millisecond counts: listed times are rounded down.
        let from = clock.shown((i128::from(start_ms) + 1) * MS) - 1;
        let until_ns = end_ms.map(|ms| i128::from(ms) * MS);
        let main = Selection::of(stbl, from, until_ns.map(|ns| clock.shown(ns)))?;
        if main.end <= main.first {
            return None;
        }
        let start_ns = clock.ns(main.shown);
        let select = |track: &MovieTrack| {
            let clock = TrackClock::new(&self.movie, track);
            let stbl = self.movie.stbl(track.id)?;
            let until = until_ns.map(|ns| clock.shown(ns));
            let selection = Selection::of(stbl, clock.shown(start_ns), until)?;
            Some((stbl, selection))
        };
        let selected: Vec<_> = self.movie.tracks.iter().map(select).collect();
        let mut pieces = Pieces::default();
        for (stbl, selection) in selected.iter().flatten() {
            for (_, part) in selection.parts(stbl) {
                let end = part.position(part.run.count);
                if end > self.size {
                    return None;
                }
                pieces.add(part.run.offset..end);
            }
        }
        pieces.compact();
        let tables: Vec<_> = (self.movie.tracks.iter().zip(&selected))
            .map(|(track, selected)| {
                let (stbl, selection) = selected.as_ref()?;
                Some((selection.table(stbl, track.timescale, &pieces), *selection))
            })
            .collect();
        let movie = &mut self.movie;
        for (track, table) in movie.tracks.iter_mut().zip(tables) {
            let Some((samples, selection)) = table else {
                track.samples = SampleTable::new(track.timescale);
                continue;
            };
            // The edit list hides what precedes the clip, and delays what begins later.
            let later = selection.shown - selection.from;
            let from = selection.from.max(selection.shown);
            track.media_time = u64::try_from(from).unwrap_or(0);
            let later = u64::try_from(later).unwrap_or(0);
            track.delay = rescale(later, track.timescale, movie.timescale);
            track.samples = samples;
        }
        let end_ms = end_ms.unwrap_or_else(|| self.duration_ms());
        let mut head = ftyp_box(self.ftyp.as_deref());
        let mut shift = 0;
        let moov = loop {
            let moov = moov_with(Contents::SampleTables(shift), &self.movie);
            let data = (head.len() + moov.len()) as u64 + MDAT_HEADER;
            if data <= shift {
                break moov;
            }
            // Again, with the place of the data. Offsets that need 64 bits then make `moov` longer.
            shift = data;
        };
        head.extend(moov);
        let length = pieces.length();
        head.extend(mdat_header(MDAT_HEADER.saturating_add(length)));
        let size = (head.len() as u64).saturating_add(length);
        let ranges = pieces.reads();
        Some(Clip {
            container: Container::Mp4,
            start_ms: to_ms(start_ns),
            end_ms,
            head,
            body: ClipBody::mp4(Picker::new(pieces.list, ranges.clone())),
            ranges,
            size: Some(size),
        })
    }
}

/// Ranges of the file whose bytes form the media data of the clip.
#[derive(Debug, Default)]
struct Pieces {
    list: Vec<Range<u64>>,
    /// Offset of each range in the media data of the clip.
    offsets: Vec<u64>,
}

impl Pieces {
    fn add(&mut self, range: Range<u64>) {
        match self.list.last_mut() {
            _ if range.is_empty() => {}
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.list.push(range),
        }
        if self.list.len() >= 2 * PIECES {
            self.list = joined(&self.list, 0, PIECES);
        }
    }

    /// Orders the ranges, so that [`place`](Self::place) works.
    fn compact(&mut self) {
        self.list = joined(&self.list, 0, PIECES);
        let mut offset = 0u64;
        for range in &self.list {
            self.offsets.push(offset);
            offset = offset.saturating_add(range.end - range.start);
        }
    }

    fn length(&self) -> u64 {
        let lengths = self.list.iter().map(|range| range.end - range.start);
        lengths.fold(0, u64::saturating_add)
    }

    /// Returns the offset in the media data of the clip of a position in the file.
    fn place(&self, position: u64) -> u64 {
        let behind = self.list.partition_point(|range| range.start <= position);
        let index = behind.saturating_sub(1);
        let (Some(range), Some(offset)) = (self.list.get(index), self.offsets.get(index)) else {
            return 0;
        };
        offset.saturating_add(position.saturating_sub(range.start))
    }

    /// Returns the ranges to read, which include small gaps.
    fn reads(&self) -> Vec<Range<u64>> {
        joined(&self.list, READ_GAP, READS)
    }
}

/// Returns ranges in order, without gaps of up to `gap` bytes, or larger ones until at most `limit` are left.
fn joined(list: &[Range<u64>], mut gap: u64, limit: usize) -> Vec<Range<u64>> {
    let mut list = list.to_vec();
    list.sort_unstable_by_key(|range| range.start);
    loop {
        let mut joined: Vec<Range<u64>> = Vec::new();
        for range in list {
            match joined.last_mut() {
                Some(last) if range.start <= last.end.saturating_add(gap) => {
                    last.end = last.end.max(range.end);
                }
                _ => joined.push(range),
            }
        }
        if joined.len() <= limit {
            return joined;
        }
        list = joined;
        gap = gap.saturating_mul(4).max(512);
    }
}

/// Drops the bytes between the pieces of a clip.
#[derive(Debug)]
pub(crate) struct Picker {
    pieces: std::vec::IntoIter<Range<u64>>,
    /// Rest of the current piece.
    piece: Range<u64>,
    reads: std::vec::IntoIter<Range<u64>>,
    /// Rest of the current read.
    read: Range<u64>,
}

impl Picker {
    fn new(pieces: Vec<Range<u64>>, reads: Vec<Range<u64>>) -> Self {
        Self {
            pieces: pieces.into_iter(),
            piece: 0..0,
            reads: reads.into_iter(),
            read: 0..0,
        }
    }

    /// Drops the first `count` bytes of the media data, and returns the ranges to read. To be called before the first
    /// bytes.
    pub(crate) fn skip(&mut self, mut count: u64) -> Vec<Range<u64>> {
        let mut rest = Vec::new();
        for piece in &mut self.pieces {
            let skipped = count.min(piece.end - piece.start);
            count -= skipped;
            rest.push(piece.start + skipped..piece.end);
        }
        rest.retain(|piece| !piece.is_empty());
        let reads = joined(&rest, READ_GAP, READS);
        *self = Self::new(rest, reads.clone());
        reads
    }

    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        while !bytes.is_empty() {
            while self.read.is_empty() {
                let Some(read) = self.reads.next() else {
                    return out;
                };
                self.read = read;
            }
            while self.piece.is_empty() {
                let Some(piece) = self.pieces.next() else {
                    return out;
                };
                self.piece = piece;
            }
            let (is_wanted, end) = match self.piece.start <= self.read.start {
                true => (true, self.piece.end.min(self.read.end)),
                false => (false, self.piece.start.min(self.read.end)),
            };
            let length = usize::try_from(end - self.read.start).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(length.min(bytes.len()));
            self.read.start += now.len() as u64;
            if is_wanted {
                out.extend_from_slice(now);
                self.piece.start = self.read.start;
            }
            bytes = later;
        }
        out
    }
}
