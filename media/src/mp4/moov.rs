//! Writers for the `moov` of the stored file, which is the sender's with new sample tables, with shifted chunk
//! offsets, or with durations only.

use super::boxes::{Kind, Reader, children, find, write, write_full};
use super::movie::{Movie, MovieTrack, Timing};
use crate::patch::HEAD_ROOM;

pub(super) fn moov_with_sample_tables(movie: &Movie) -> Vec<u8> {
    let timings: Vec<_> = movie.timings().collect();
    let total = timings.iter().map(|timing| timing.total).max().unwrap_or(0);
    let mut tracks = movie.tracks.iter().zip(&timings);
    let mut out = Vec::new();
    write(&mut out, *b"moov", |out| {
        for (kind, payload) in children(&movie.moov) {
            match &kind {
                b"mvhd" => write_duration(out, kind, payload, 12, total),
                b"mvex" => {}
                // Tracks without samples and tracks that could not be parsed are left out.
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

/// Writes an edit list if the track starts late or does not start at its first sample (section 8.6.6).
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

/// Copies an `mvhd`, `mdhd` or `tkhd` with another duration. In version 0 the duration is `at` bytes behind version
/// and flags; version 1 widens it and two fields in front of it to 64 bits.
fn write_duration(out: &mut Vec<u8>, kind: Kind, payload: &[u8], at: usize, duration: u64) {
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
        // Converts to version 1, which also widens creation and modification time.
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

fn copy(out: &mut Vec<u8>, kind: Kind, payload: &[u8]) {
    write(out, kind, |out| out.extend_from_slice(payload));
}

/// Copies a `moov` and adds the head room to all its chunk offsets.
pub(super) fn moov_with_shifted_chunks(moov: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.reserve_exact(moov.len() + 8);
    write(&mut out, *b"moov", |out| shift(out, moov, 0));
    out
}

fn shift(out: &mut Vec<u8>, payload: &[u8], depth: u8) {
    for (kind, payload) in children(payload) {
        match (&kind, depth) {
            // Only chunk offsets on this path are sample tables.
            (b"trak", 0) | (b"mdia", 1) | (b"minf", 2) | (b"stbl", 3) => {
                write(out, kind, |out| shift(out, payload, depth + 1));
            }
            (b"stco" | b"co64", 4) => write_offsets(out, payload, kind == *b"co64"),
            _ => copy(out, kind, payload),
        }
    }
}

/// Copies an `stco` or `co64`, as `stco` if the shifted offsets fit into 32 bits.
fn write_offsets(out: &mut Vec<u8>, payload: &[u8], is_co64: bool) {
    let moved = || {
        let mut reader = Reader(payload);
        let count = reader.full().and_then(|_| reader.u32()).unwrap_or(0);
        let offsets = (0..count).map_while(move |_| reader.versioned(is_co64.into()));
        offsets.map(|offset| offset.saturating_add(HEAD_ROOM))
    };
    let wide = moved().any(|offset| offset > u64::from(u32::MAX));
    let kind = if wide { *b"co64" } else { *b"stco" };
    write_full(out, kind, |out| {
        let count = u32::try_from(moved().count()).unwrap_or(u32::MAX);
        out.extend(count.to_be_bytes());
        for offset in moved() {
            match u32::try_from(offset) {
                Ok(offset) if !wide => out.extend(offset.to_be_bytes()),
                _ => out.extend(offset.to_be_bytes()),
            }
        }
    });
}

/// Copies the sender's `moov` with durations filled in.
pub(super) fn moov_with_durations(movie: &Movie) -> Vec<u8> {
    let timings: Vec<_> = movie.timings().collect();
    let total = timings.iter().map(|timing| timing.total).max().unwrap_or(0);
    let mut tracks = movie.tracks.iter().zip(&timings);
    let mut out = Vec::new();
    write(&mut out, *b"moov", |out| {
        for (kind, payload) in children(&movie.moov) {
            match &kind {
                b"mvhd" => write_duration(out, kind, payload, 12, total),
                b"mvex" => write(out, kind, |out| {
                    // Version 1 (section 8.8.2).
                    write(out, *b"mehd", |out| {
                        out.extend([1, 0, 0, 0]);
                        out.extend(total.to_be_bytes());
                    });
                    for (kind, payload) in children(payload) {
                        if kind != *b"mehd" {
                            copy(out, kind, payload);
                        }
                    }
                }),
                b"trak" if movie.describes(payload) => {
                    if let Some((track, timing)) = tracks.next() {
                        let media = track.samples.end() - track.samples.first();
                        write(out, kind, |out| {
                            patch_trak(out, payload, timing.total, media)
                        });
                    }
                }
                _ => copy(out, kind, payload),
            }
        }
    });
    out
}

fn patch_trak(out: &mut Vec<u8>, trak: &[u8], total: u64, media: u64) {
    for (kind, payload) in children(trak) {
        match &kind {
            b"tkhd" => write_duration(out, kind, payload, 16, total),
            b"mdhd" => write_duration(out, kind, payload, 12, media),
            b"mdia" => write(out, kind, |out| patch_trak(out, payload, total, media)),
            _ => copy(out, kind, payload),
        }
    }
}
