//! Making an ordinary file of fragments: full sample tables at the end, and one `mdat` around all that was received.

use super::Scanner;
use super::boxes::{Kind, children, find, write};
use super::filler::{TRAILER, filler};
use super::long::long_head;
use super::movie::{Movie, MovieTrack};
use super::ordinary::shifted_moov;
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
            let media = (track.samples.end() - first).saturating_sub(media_time);
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
        let mut append = std::mem::take(&mut self.filler);
        let tracks = self.tracks().to_vec();
        let end_ns = self.end_ns();
        let movie = self.movie.as_ref().ok_or(Unplayable::NoTracks)?;
        let keep = HEAD_ROOM.saturating_add(self.keep);
        let mdat_end = keep.saturating_add(append.len() as u64);
        let mut head = Some(finished_head(self.ftyp.as_deref(), mdat_end));
        let duration_ms = if movie.fragmented {
            if movie.samples() == 0 {
                return Err(Unplayable::NoFrames);
            }
            if movie.long {
                head = long_head(self.ftyp.as_deref(), movie, self.moov_end);
            } else {
                append.extend(finished_moov(movie));
            }
            end_ns / 1_000_000
        } else {
            let moov = shifted_moov(&movie.moov, self.keep).ok_or(Unplayable::Mp4NotFinishable)?;
            append.extend(moov);
            to_ns(movie.duration, movie.timescale) / 1_000_000
        };
        let left_out = LeftOut::new(self.keep..self.pos, LeftOutReason::Torn);
        Ok(Finish {
            left_out: left_out.into_iter().collect(),
            hidden: Vec::new(),
            container: Container::Mp4,
            duration_ms,
            keep,
            append,
            patches: head.into_iter().collect(),
            tracks,
            keyframes: movie
                .main_track()
                .map_or(0, |track| match movie.fragmented {
                    true => track.samples.sync_len(),
                    false => track.moov_sync,
                }),
        })
    }
}

impl Scanner {
    /// Adds the complete samples of a fragment whose data is not whole, and makes what fills that data up.
    pub(crate) fn end(&mut self) {
        self.release();
        let (Some(fragment), Some(data), Some(movie)) =
            (self.fragment.take(), self.data.take(), &mut self.movie)
        else {
            return;
        };
        // Left fragmented, the file would show the filler.
        if movie.long {
            return;
        }
        let limit = self.pos.min(data.end.saturating_sub(TRAILER));
        let end = fragment.reach(movie, limit);
        // Samples in the box that describes them are nonsense.
        if end <= data.start {
            return;
        }
        // What a repair writes is no stream that goes on, and is not scanned as one again.
        let filler = match filler(data.end - end) {
            None if self.length.is_none() => return,
            filler => filler.unwrap_or_default(),
        };
        fragment.add_to(movie, end);
        self.keep = end;
        self.filler = filler;
    }
}

/// `ftyp`, then a `free` up to the sender's `moov`: a fragmented file. `None` where that is out of reach.
pub(super) fn live_head(ftyp: Option<&[u8]>, moov: u64) -> Option<Patch> {
    let mut head = ftyp_box(ftyp);
    let size = u32::try_from(HEAD_ROOM.saturating_add(moov) - head.len() as u64).ok()?;
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
    let start = out.len() + 8;
    copy(out, kind, payload);
    let (at, bytes) = if payload.first() == Some(&1) {
        (4 + at + 8, duration.to_be_bytes().to_vec())
    } else {
        (
            4 + at,
            u32::try_from(duration)
                .unwrap_or(u32::MAX)
                .to_be_bytes()
                .to_vec(),
        )
    };
    if let Some(field) = out.get_mut(start + at..start + at + bytes.len()) {
        field.copy_from_slice(&bytes);
    }
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
