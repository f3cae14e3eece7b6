//! The `moov` a fragmented file begins with.

use super::boxes::{Kind, Reader, children, find, find_path};
use super::samples::Samples;
use crate::container::{Track, TrackKind};

/// More tracks than any recorder makes.
const TRACK_LIMIT: usize = 64;

/// The movie and its tracks.
#[derive(Debug)]
pub(super) struct Movie {
    /// The payload of `moov`: most of it goes into the finished file as it is.
    pub(super) moov: Vec<u8>,
    /// Units of a second for the movie's durations; never 0.
    pub(super) timescale: u32,
    /// According to `mvhd`, in its units: right in an unfragmented file.
    pub(super) duration: u64,
    /// Whether samples come in fragments.
    pub(super) fragmented: bool,
    pub(super) tracks: Vec<MovieTrack>,
    /// The same for the caller.
    pub(super) described: Vec<Track>,
}

#[derive(Debug)]
pub(super) struct MovieTrack {
    pub(super) id: u32,
    /// Units of a second for the track's times; never 0.
    pub(super) timescale: u32,
    pub(super) kind: TrackKind,
    pub(super) defaults: Defaults,
    /// From the edit list: an empty edit in the movie's units, and the time in the track it starts at.
    pub(super) delay: u64,
    pub(super) media_time: u64,
    pub(super) samples: Samples,
    /// Samples one can start at according to `moov` alone: those of an unfragmented file.
    pub(super) moov_sync: usize,
}

/// What samples are like unless they say otherwise (`trex`, then `tfhd`).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Defaults {
    pub(super) duration: u32,
    pub(super) size: u32,
    pub(super) flags: u32,
}

impl Movie {
    /// Reads a `moov` payload; `None` when it describes no track.
    pub(super) fn parse(moov: &[u8]) -> Option<Self> {
        let mvhd = find(moov, *b"mvhd")?;
        let (timescale, duration) = timescale_and_duration(mvhd)?;
        let (tracks, described): (Vec<_>, _) = children(moov)
            .filter(|&(kind, _)| kind == *b"trak")
            .filter_map(|(_, trak)| MovieTrack::parse(trak, defaults_of(moov)))
            .take(TRACK_LIMIT)
            .unzip();
        let fragmented = find(moov, *b"mvex").is_some();
        (!tracks.is_empty()).then(|| Self {
            moov: moov.to_vec(),
            timescale,
            duration,
            fragmented,
            tracks,
            described,
        })
    }

    /// Whether a `trak` payload is one of `tracks`.
    pub(super) fn describes(&self, trak: &[u8]) -> bool {
        MovieTrack::parse(trak, |_| Defaults::default())
            .is_some_and(|(track, _)| self.tracks.iter().any(|known| known.id == track.id))
    }
}

/// Finds the `trex` of a track.
fn defaults_of(moov: &[u8]) -> impl Fn(u32) -> Defaults {
    move |id| {
        find(moov, *b"mvex")
            .into_iter()
            .flat_map(children)
            .filter(|&(kind, _)| kind == *b"trex")
            .find_map(|(_, payload)| {
                let mut reader = Reader(payload);
                reader.full()?;
                (reader.u32()? == id).then_some(())?;
                reader.skip(4)?;
                Some(Defaults {
                    duration: reader.u32()?,
                    size: reader.u32()?,
                    flags: reader.u32()?,
                })
            })
            .unwrap_or_default()
    }
}

impl MovieTrack {
    fn parse(trak: &[u8], defaults: impl Fn(u32) -> Defaults) -> Option<(Self, Track)> {
        let mut tkhd = Reader(find(trak, *b"tkhd")?);
        let (version, _) = tkhd.full()?;
        tkhd.skip(if version == 1 { 16 } else { 8 })?;
        let id = tkhd.u32()?;
        let mdia = find(trak, *b"mdia")?;
        let (timescale, _) = timescale_and_duration(find(mdia, *b"mdhd")?)?;
        let handler = find(mdia, *b"hdlr")?.get(8..12)?;
        let stbl = find_path(mdia, &[*b"minf", *b"stbl"])?;
        let (codec, entry) = children(find(stbl, *b"stsd")?.get(8..)?).next()?;
        let (delay, media_time) = edits(trak).unwrap_or((0, 0));
        let described = describe(id, handler, codec, entry);
        let track = Self {
            id,
            timescale,
            kind: described.kind,
            defaults: defaults(id),
            delay,
            media_time,
            samples: Samples::default(),
            moov_sync: sync_count(stbl).unwrap_or(0),
        };
        Some((track, described))
    }
}

/// The timescale and duration in an `mvhd` or `mdhd`.
fn timescale_and_duration(payload: &[u8]) -> Option<(u32, u64)> {
    let mut reader = Reader(payload);
    let (version, _) = reader.full()?;
    reader.skip(if version == 1 { 16 } else { 8 })?;
    let timescale = reader.u32().filter(|&timescale| timescale != 0)?;
    Some((timescale, reader.versioned(version)?))
}

/// Entries of `stss`; without one, every sample counts.
fn sync_count(stbl: &[u8]) -> Option<usize> {
    let count = match find(stbl, *b"stss") {
        Some(stss) => Reader(stss.get(4..)?).u32()?,
        None => Reader(find(stbl, *b"stsz")?.get(8..)?).u32()?,
    };
    usize::try_from(count).ok()
}

/// The edit list: total of the empty edits, and the media time of the first other one.
fn edits(trak: &[u8]) -> Option<(u64, u64)> {
    let mut reader = Reader(find_path(trak, &[*b"edts", *b"elst"])?);
    let (version, _) = reader.full()?;
    let mut delay = 0u64;
    for _ in 0..reader.u32()?.min(16) {
        let duration = reader.versioned(version)?;
        let media_time = reader.versioned(version)?;
        reader.skip(4)?;
        // -1 says: nothing is shown.
        if media_time
            != if version == 1 {
                u64::MAX
            } else {
                u64::from(u32::MAX)
            }
        {
            return Some((delay, media_time));
        }
        delay = delay.saturating_add(duration);
    }
    Some((delay, 0))
}

fn describe(id: u32, handler: &[u8], codec: Kind, entry: &[u8]) -> Track {
    let word = |at: usize| {
        Reader(entry.get(at..).unwrap_or_default())
            .u16()
            .map_or(0, u32::from)
    };
    let mut track = Track {
        number: u64::from(id),
        kind: TrackKind::Other,
        codec: String::from_utf8_lossy(&codec).into_owned(),
        default_duration_ns: None,
        width: 0,
        height: 0,
        sample_rate_hz: 0,
        channels: 0,
    };
    // Sample entries: ISO/IEC 14496-12, sections 12.1.3 and 12.2.3.
    match handler {
        b"vide" => {
            (track.kind, track.width, track.height) = (TrackKind::Video, word(24), word(26));
        }
        b"soun" => {
            (track.kind, track.channels, track.sample_rate_hz) =
                (TrackKind::Audio, word(16), word(24));
        }
        _ => {}
    }
    track
}
