//! Writers for the `moov` of the stored file: the sender's `moov` with new sample tables, with shifted chunk offsets,
//! or with durations only.

use super::boxes::{Kind, Reader, children, find, write, write_chunk_offsets};
use super::movie::{Movie, MovieTrack, Timing};
use crate::patch::HEAD_ROOM;

/// Contents of the stored `moov`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contents {
    /// New sample tables, so that the file is no longer fragmented, with all chunk offsets increased by this number.
    SampleTables(u64),
    /// Only the durations are filled in; the file stays fragmented.
    Durations,
}

/// Copies the `moov` of a movie with new contents.
pub(super) fn moov_with(contents: Contents, movie: &Movie) -> Vec<u8> {
    let has_tables = contents != Contents::Durations;
    let timings: Vec<_> = movie.timings().collect();
    let total = timings.iter().map(|timing| timing.total).max().unwrap_or(0);
    let mut tracks = movie.tracks.iter().zip(&timings);
    let mut out = Vec::new();
    write(&mut out, *b"moov", |out| {
        for (kind, payload) in children(&movie.moov) {
            match &kind {
                b"mvhd" => write_duration(out, kind, payload, 12, total),
                b"mvex" if has_tables => {}
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
                // With new tables, tracks without samples and tracks that could not be parsed are left out.
                b"trak" if movie.describes(payload) => {
                    if let Some((track, timing)) = tracks.next()
                        && (!has_tables || track.samples.len() > 0)
                    {
                        write(out, kind, |out| {
                            write_trak(out, payload, 0, (track, timing, contents));
                        });
                    }
                }
                b"trak" if has_tables => {}
                _ => copy(out, kind, payload),
            }
        }
    });
    out
}

/// Copies the children of a `trak`, `mdia` or `minf`, which are `depth` 0 to 2.
fn write_trak(out: &mut Vec<u8>, parent: &[u8], depth: u8, with: (&MovieTrack, &Timing, Contents)) {
    let (track, timing, contents) = with;
    let has_tables = contents != Contents::Durations;
    for (kind, payload) in children(parent) {
        match (&kind, depth) {
            (b"tkhd", 0) => {
                write_duration(out, kind, payload, 16, timing.total);
                if has_tables {
                    write_edits(out, timing);
                }
            }
            (b"edts", 0) if has_tables => {}
            (b"mdhd", 1) => {
                let media = track.samples.end() - track.samples.first();
                write_duration(out, kind, payload, 12, media);
            }
            (b"mdia", 0) | (b"minf", 1) => {
                write(out, kind, |out| write_trak(out, payload, depth + 1, with));
            }
            (b"stbl", 2) => match contents {
                Contents::SampleTables(shift) => write(out, kind, |out| {
                    copy(out, *b"stsd", find(payload, *b"stsd").unwrap_or_default());
                    track.samples.write(out, shift);
                }),
                Contents::Durations => copy(out, kind, payload),
            },
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
            (b"stco" | b"co64", 4) => write_chunk_offsets(out, || {
                let mut reader = Reader(payload);
                let count = reader.full().and_then(|_| reader.u32()).unwrap_or(0);
                let is_co64 = kind == *b"co64";
                let offsets = (0..count).map_while(move |_| reader.versioned(is_co64.into()));
                offsets.map(|offset| offset.saturating_add(HEAD_ROOM))
            }),
            _ => copy(out, kind, payload),
        }
    }
}
