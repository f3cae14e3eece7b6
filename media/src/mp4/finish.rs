//! Making an ordinary file of fragments: full sample tables at the end, and one `mdat` around all that was received.

use super::boxes::{Kind, children, find, write};
use super::filler::{END_MARK, TRAILER, filler};
use super::fragment::Fragment;
use super::long::long_head;
use super::movie::{Movie, MovieTrack};
use super::ordinary::shifted_moov;
use super::scanner::{Pending, Scanner, Whole};
use super::tables::Place;
use crate::container::{Container, Finish, HEAD_ROOM, Patch};
use crate::error::Unplayable;
use crate::report::{LeftOut, LeftOutReason};

/// Used when the sender's `ftyp` is missing or absurd.
const FTYP: &[u8] = b"isom\0\0\x02\0isomiso6mp41";

/// When a track is shown, in the movie's units.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    /// Nothing is shown until then.
    pub(super) delay: u64,
    /// Where in the track it starts, in the track's units, counted from its first sample.
    pub(super) media_time: u64,
    /// How long it is shown.
    pub(super) shown: u64,
    /// Its end: delay and what is shown.
    pub(super) total: u64,
}

impl Movie {
    /// The timing of each track. What all of them wait for in common is left out: a recording begins at 0.
    pub(super) fn timings(&self) -> impl Iterator<Item = Timing> {
        let timing = |track: &MovieTrack| {
            let first = track.samples.first();
            let delay = rescale(
                first.saturating_sub(track.media_time),
                track.timescale,
                self.timescale,
            );
            let media_time = track.media_time.saturating_sub(first);
            let shown_end = track.samples.shown_end().saturating_sub(first);
            let media = shown_end.saturating_sub(media_time);
            let shown = rescale(media, track.timescale, self.timescale);
            (track.delay.saturating_add(delay), media_time, shown)
        };
        let with_samples = self.tracks.iter().filter(|track| track.samples.len() > 0);
        let wait = with_samples.map(|track| timing(track).0).min().unwrap_or(0);
        self.tracks.iter().map(move |track| {
            let (delay, media_time, shown) = timing(track);
            let delay = delay.saturating_sub(wait);
            Timing {
                delay,
                media_time,
                shown,
                total: delay.saturating_add(shown),
            }
        })
    }
}

impl Scanner {
    pub(crate) fn finish(mut self) -> Result<Finish, Unplayable> {
        self.end();
        let mut tracks = self.tracks().to_vec();
        let end_ns = self.end_ns();
        let mut left_out = self.left_out();
        let mut hidden = self.hidden();
        let movie = match &self.movie {
            Some(_) if self.starved => return Err(Unplayable::Mp4NotFinishable),
            None if self.starved => return Err(Unplayable::Mp4NotFinishable),
            Some(movie) => movie,
            None => return Err(Unplayable::NoTracks),
        };
        let has_tables = movie.fragmented || movie.rebuilt;
        if has_tables && movie.samples() == 0 {
            return Err(match movie.fragmented {
                true => Unplayable::NoFrames,
                false => Unplayable::Mp4NotFinishable,
            });
        }
        let mut kept = self.keep;
        let mut patches: Vec<_> = self.data_patch.take().into_iter().collect();
        let mut append = Vec::new();
        let duration_ms = match has_tables {
            true => end_ns,
            false => to_ns(movie.duration, movie.timescale),
        } / 1_000_000;
        if movie.long {
            // Its offsets do not hold behind a head room, and our head says how long the recording is.
            if let Some(start) = self.index_start {
                kept = start;
                let index = LeftOut::new(start..self.keep, LeftOutReason::ReplacedIndex);
                left_out.splice(0..0, index);
            }
            patches.extend(long_head(self.ftyp.as_deref(), movie, self.moov.1));
        } else {
            append = std::mem::take(&mut self.filler);
            append.extend(END_MARK);
            let data_end = HEAD_ROOM.saturating_add(self.keep + append.len() as u64);
            if has_tables {
                append.reserve_exact(usize::try_from(self.finish_bytes()).unwrap_or(0));
                append.extend(finished_moov(movie));
                let without = movie.tracks.iter().filter(|track| track.samples.len() == 0);
                let without: Vec<_> = without.map(|track| u64::from(track.id)).collect();
                tracks.retain(|track| !without.contains(&track.number));
            } else if movie.has_moov_samples() {
                append.extend(shifted_moov(&movie.moov));
            } else {
                return Err(Unplayable::Mp4NotFinishable);
            }
            patches.push(finished_head(self.ftyp.as_deref(), data_end));
        }
        hidden.retain(|range| range.offset < kept);
        Ok(Finish {
            container: Container::Mp4,
            duration_ms,
            keep: HEAD_ROOM.saturating_add(kept),
            append,
            patches,
            tracks,
            keyframes: movie.main_track().map_or(0, |track| match has_tables {
                true => track.samples.sync_len(),
                false => track.moov_sync,
            }),
            left_out,
            hidden,
        })
    }

    /// Ranges behind what is kept.
    fn left_out(&self) -> Vec<LeftOut> {
        let end = self.stream_end();
        let tail = LeftOut::new(self.keep..end, self.tail);
        let ours = LeftOut::new(end..self.pos, LeftOutReason::ReplacedIndex);
        tail.into_iter().chain(ours).collect()
    }

    /// Adds the complete samples of data that is not whole, and decides how that data ends.
    pub(crate) fn end(&mut self) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.release();
        let torn = self.data.take();
        let Some(movie) = &self.movie else { return };
        match self.pending.take() {
            Some(Pending::Moof(fragment)) => self.end_fragment(&fragment, torn),
            Some(Pending::Moov) => self.end_tables(torn),
            None if !movie.fragmented => self.end_tables(torn),
            None => {}
        }
        let Some(movie) = &self.movie else { return };
        if let Some(from) = self.damaged_from {
            self.tail = LeftOutReason::Damaged;
            // Players of a fragmented file would stumble over it.
            if self.garbage && torn.is_none() && !movie.long {
                let reason = match movie.fragmented {
                    true => LeftOutReason::Damaged,
                    false => LeftOutReason::TrailingData,
                };
                self.keep = self.stream_end();
                self.trailing = LeftOut::new(from..self.keep, reason);
            }
        }
    }

    /// Ends the data of the last fragment.
    fn end_fragment(&mut self, fragment: &Fragment, torn: Option<Whole>) {
        let (stream_end, data_end) = (self.stream_end(), self.data_end);
        let Some(movie) = &mut self.movie else { return };
        self.tail = LeftOutReason::NoFrames;
        // Left fragmented, the file would show a filler.
        if let Some(data) = torn.filter(|_| !movie.long) {
            self.tail = LeftOutReason::Torn;
            let limit = stream_end.min(data.end.saturating_sub(TRAILER));
            let end = fragment.reach(movie, limit);
            let (filler, patch) = if data.end < u64::MAX {
                (filler(data.end - end), None)
            } else {
                (None, data.resized(end))
            };
            let patch = patch.filter(|_| self.patch_anywhere);
            // Data that reaches to the end of the file may be followed by our index if no sample is torn. A repair
            // writes no stream that goes on, and that is not scanned as one again.
            let ends = filler.is_some()
                || patch.is_some()
                || data.end == u64::MAX && end == fragment.extent(movie)
                || self.length.is_some();
            // Samples in the box that describes them are nonsense.
            if end > data.start && ends {
                fragment.add_to(movie, end);
                self.keep = end;
                self.filler = filler.unwrap_or_default();
                self.data_patch = patch;
                return;
            }
        }
        if data_end > fragment.start {
            fragment.add_to(movie, data_end);
            self.keep = data_end;
        }
    }

    /// Ends the data of the samples that `moov` itself describes.
    fn end_tables(&mut self, torn: Option<Whole>) {
        let garbage = self.damaged_from.filter(|_| self.garbage);
        let extent = self.movie.as_ref().map_or(0, Movie::moov_extent);
        // Data whose samples go on behind its end has a wrong size: a crash in the middle of a finish leaves that.
        let short = self
            .last_data
            .filter(|data| torn.is_none() && garbage == Some(data.end) && extent > data.end);
        if short.is_some() {
            self.damaged_from = None;
        }
        if let Some(data) = torn.or(short) {
            self.keep = self.stream_end();
            self.data_patch = data.resized(self.keep);
            if data.end < u64::MAX {
                self.missing = data.end.saturating_sub(self.keep);
            }
        } else if garbage.is_some() {
            self.keep = self.stream_end();
        }
        let place = Place {
            limit: self.keep,
            moov: self.moov,
        };
        let Some(movie) = &mut self.movie else { return };
        if movie.fragmented {
            movie.load_moov_samples(&place);
        } else if movie.has_moov_samples() && !movie.is_whole(&place) {
            self.missing = movie.moov_extent().saturating_sub(place.limit);
            movie.load_moov_samples(&place);
            movie.rebuilt = true;
        }
    }
}

impl Whole {
    /// Makes the box end at `end`; `None` when its size has no room for that.
    fn resized(&self, end: u64) -> Option<Patch> {
        let size = end.checked_sub(self.start)?;
        let (offset, bytes) = match self.payload - self.start {
            16 => (8, size.to_be_bytes().to_vec()),
            _ => (0, u32::try_from(size).ok()?.to_be_bytes().to_vec()),
        };
        Some(Patch {
            position: HEAD_ROOM.saturating_add(self.start + offset),
            bytes,
        })
    }
}

/// The head of a growing file: `ftyp`, then a `free` up to the sender's `moov`. Where that describes samples, a copy
/// with places that hold behind the head room, if it fits, and a `free` over the original. `None` where that is out of
/// reach.
pub(super) fn live_head(ftyp: Option<&[u8]>, movie: &Movie, moov: (u64, u64)) -> Option<Patch> {
    let mut head = ftyp_box(ftyp);
    let mut next = moov.0;
    if movie.fragmented && movie.has_moov_samples() {
        let shifted = shifted_moov(&movie.moov);
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
fn finished_head(ftyp: Option<&[u8]>, keep: u64) -> Patch {
    let mut head = ftyp_box(ftyp);
    let size = keep.saturating_sub(head.len() as u64);
    // A size of 1: the real one follows in 64 bits.
    head.extend(1u32.to_be_bytes());
    head.extend(*b"mdat");
    head.extend(size.to_be_bytes());
    padded(head)
}

pub(super) fn padded(mut head: Vec<u8>) -> Patch {
    head.resize(usize::try_from(HEAD_ROOM).unwrap_or(usize::MAX), 0);
    Patch {
        position: 0,
        bytes: head,
    }
}

pub(super) fn ftyp_box(payload: Option<&[u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, *b"ftyp", |out| {
        out.extend_from_slice(payload.unwrap_or(FTYP))
    });
    out
}

fn finished_moov(movie: &Movie) -> Vec<u8> {
    let timings: Vec<_> = movie.timings().collect();
    let total = timings.iter().map(|timing| timing.total).max().unwrap_or(0);
    let mut tracks = movie.tracks.iter().zip(&timings);
    let mut out = Vec::new();
    write(&mut out, *b"moov", |out| {
        for (kind, payload) in children(&movie.moov) {
            match &kind {
                b"mvhd" => write_duration(out, kind, payload, 12, total),
                b"mvex" => {}
                // Tracks that could not be read, or have nothing in them, are left out.
                b"trak" if movie.describes(payload) => {
                    if let Some((track, timing)) = tracks.next()
                        && track.samples.len() > 0
                    {
                        write(out, kind, |out| write_trak(out, payload, track, timing));
                    }
                }
                b"trak" => {}
                _ => copy(out, kind, payload),
            }
        }
    });
    out
}

fn write_trak(out: &mut Vec<u8>, trak: &[u8], track: &MovieTrack, timing: &Timing) {
    for (kind, payload) in children(trak) {
        match &kind {
            b"tkhd" => {
                write_duration(out, kind, payload, 16, timing.total);
                write_edits(out, timing);
            }
            b"edts" => {}
            b"mdia" => write(out, kind, |out| write_mdia(out, payload, track)),
            _ => copy(out, kind, payload),
        }
    }
}

fn write_mdia(out: &mut Vec<u8>, mdia: &[u8], track: &MovieTrack) {
    let media = track.samples.end() - track.samples.first();
    for (kind, payload) in children(mdia) {
        match &kind {
            b"mdhd" => write_duration(out, kind, payload, 12, media),
            b"minf" => write(out, kind, |out| {
                for (kind, payload) in children(payload) {
                    if kind == *b"stbl" {
                        write(out, kind, |out| {
                            copy(out, *b"stsd", find(payload, *b"stsd").unwrap_or_default());
                            track.samples.write(out, HEAD_ROOM);
                        });
                    } else {
                        copy(out, kind, payload);
                    }
                }
            }),
            _ => copy(out, kind, payload),
        }
    }
}

/// An edit list, where there is something to say (section 8.6.6).
fn write_edits(out: &mut Vec<u8>, timing: &Timing) {
    if timing.delay == 0 && timing.media_time == 0 {
        return;
    }
    const RATE: u32 = 0x0001_0000;
    write(out, *b"edts", |out| {
        write(out, *b"elst", |out| {
            out.extend([1, 0, 0, 0]);
            out.extend((1 + u32::from(timing.delay > 0)).to_be_bytes());
            if timing.delay > 0 {
                out.extend(timing.delay.to_be_bytes());
                out.extend((-1i64).to_be_bytes());
                out.extend(RATE.to_be_bytes());
            }
            out.extend(timing.shown.to_be_bytes());
            out.extend(timing.media_time.to_be_bytes());
            out.extend(RATE.to_be_bytes());
        });
    });
}

/// Copies `mvhd`, `mdhd` or `tkhd` with a new duration, which stands `at` bytes behind version and flags in
/// version 0, where three of the fields before it are half as wide.
pub(super) fn write_duration(
    out: &mut Vec<u8>,
    kind: Kind,
    payload: &[u8],
    at: usize,
    duration: u64,
) {
    let long = payload.first() == Some(&1);
    let short = u32::try_from(duration).ok().filter(|_| !long);
    let at = 4 + at + if long { 8 } else { 0 };
    let width = if long { 8 } else { 4 };
    let (Some(before), Some(rest)) = (payload.get(..at), payload.get(at + width..)) else {
        return copy(out, kind, payload);
    };
    write(out, kind, |out| match (short, long) {
        (Some(short), _) => {
            out.extend_from_slice(before);
            out.extend(short.to_be_bytes());
            out.extend_from_slice(rest);
        }
        (None, true) => {
            out.extend_from_slice(before);
            out.extend(duration.to_be_bytes());
            out.extend_from_slice(rest);
        }
        // Version 1, where two times in front are wider, too.
        (None, false) => {
            out.push(1);
            out.extend_from_slice(&before[1..4]);
            out.extend([0; 4]);
            out.extend_from_slice(&before[4..8]);
            out.extend([0; 4]);
            out.extend_from_slice(&before[8..]);
            out.extend(duration.to_be_bytes());
            out.extend_from_slice(rest);
        }
    });
}

pub(super) fn copy(out: &mut Vec<u8>, kind: Kind, payload: &[u8]) {
    write(out, kind, |out| out.extend_from_slice(payload));
}

/// Nanoseconds of a time.
pub(super) fn to_ns(time: u64, timescale: u32) -> u64 {
    rescale(time, timescale, 1_000_000_000)
}

/// A time in other units, rounded down, saturating.
fn rescale(time: u64, from: u32, to: u32) -> u64 {
    let time = u128::from(time) * u128::from(to) / u128::from(from.max(1));
    u64::try_from(time).unwrap_or(u64::MAX)
}
