//! The `moov` a fragmented file begins with.

use super::boxes::{Kind, Reader, children, find, find_path};
use super::samples::Samples;
use super::tables::{self, Place, Tables};
use crate::container::{Track, TrackKind};
use crate::rhythm::{Pace, Rhythm};

/// Frames of an unfragmented file that an inspection looks at: a day at 60 a second.
const TABLE_LIMIT: u32 = 1 << 23;
/// Samples in the tables of a finished file at most: a day at 60 a second, with sound.
pub(super) const SAMPLE_LIMIT: u64 = 1 << 23;
/// Bytes of these tables at most.
const WRITTEN_LIMIT: u64 = 32 << 20;
/// Longest sample descriptions that are compared with those of a further `moov`.
const DESCRIPTIONS_LIMIT: usize = 64 << 10;
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
    /// Whether the sample tables were dropped: it is too long for them, or memory is short.
    pub(super) long: bool,
    /// Whether the sample tables replace those of an unfragmented file, some of whose samples are not there.
    pub(super) rebuilt: bool,
    pub(super) tracks: Vec<MovieTrack>,
    /// Defaults of every track that fragments may add to, also of those that could not be read.
    pub(super) extended: Vec<(u32, Defaults)>,
    /// The same for the caller.
    pub(super) described: Vec<Track>,
    /// Tracks and sample descriptions, see [`is_like`](Self::is_like). Computed once: each `moov` that follows is
    /// compared with it.
    descriptions: Option<Vec<u8>>,
}

#[derive(Debug)]
pub(super) struct MovieTrack {
    pub(super) id: u32,
    /// Units of a second for the track's times; never 0.
    pub(super) timescale: u32,
    pub(super) kind: TrackKind,
    /// From the edit list: an empty edit in the movie's units, and the time in the track it starts at.
    pub(super) delay: u64,
    pub(super) media_time: u64,
    pub(super) samples: Samples,
    /// Samples one can start at according to `moov` alone: those of an unfragmented file.
    pub(super) moov_sync: usize,
}

/// Properties of samples that do not have their own (`trex`, then `tfhd`).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Defaults {
    pub(super) description: u32,
    pub(super) duration: u32,
    pub(super) size: u32,
    pub(super) flags: u32,
}

impl Movie {
    /// Reads a `moov` payload; `None` when it describes no track.
    pub(super) fn parse(moov: Vec<u8>) -> Option<Self> {
        let mvhd = find(&moov, *b"mvhd")?;
        let (timescale, duration) = timescale_and_duration(mvhd)?;
        let (tracks, described): (Vec<_>, _) = children(&moov)
            .filter(|&(kind, _)| kind == *b"trak")
            .filter_map(|(_, trak)| MovieTrack::parse(trak))
            .take(TRACK_LIMIT)
            .unzip();
        let mvex = find(&moov, *b"mvex");
        let fragmented = mvex.is_some();
        let extended = children(mvex.unwrap_or_default())
            .filter(|&(kind, _)| kind == *b"trex")
            .filter_map(|(_, trex)| Defaults::parse(trex))
            .take(TRACK_LIMIT)
            .collect();
        if tracks.is_empty() {
            return None;
        }
        let mut movie = Self {
            moov,
            timescale,
            duration,
            fragmented,
            long: false,
            rebuilt: false,
            tracks,
            extended,
            described,
            descriptions: None,
        };
        movie.descriptions = movie.describe_tracks();
        Some(movie)
    }

    /// Whether fragments that are meant for this movie can follow those of another: the same tracks, described the
    /// same, and no samples of its own.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.fragmented
            && !self.has_moov_samples()
            && self.descriptions.is_some()
            && self.descriptions == other.descriptions
    }

    /// Tracks and their sample descriptions, for a comparison with those of another movie. `None` when they are longer
    /// than the `moov` of a further file may be.
    fn describe_tracks(&self) -> Option<Vec<u8>> {
        let mut all = Vec::new();
        for track in &self.tracks {
            all.extend(track.id.to_be_bytes());
            all.extend(track.timescale.to_be_bytes());
        }
        for (track, stbl) in self.tables() {
            if let (Some(track), Some(stsd)) = (track, find(stbl, *b"stsd")) {
                if all.len() + stsd.len() > DESCRIPTIONS_LIMIT {
                    return None;
                }
                all.extend((track as u64).to_be_bytes());
                all.extend((stsd.len() as u64).to_be_bytes());
                all.extend(stsd);
            }
        }
        Some(all)
    }

    /// Payloads of `stbl`, with the index of their track.
    fn tables(&self) -> impl Iterator<Item = (Option<usize>, &[u8])> {
        let traks = children(&self.moov).filter(|&(kind, _)| kind == *b"trak");
        traks.filter_map(|(_, trak)| {
            let id = track_id(trak);
            let track = self.tracks.iter().position(|track| Some(track.id) == id);
            Some((track, find_path(trak, &[*b"mdia", *b"minf", *b"stbl"])?))
        })
    }

    /// Whether `moov` itself describes samples.
    pub(super) fn has_moov_samples(&self) -> bool {
        let mut tables = self.tables();
        tables.any(|(_, stbl)| Tables::new(stbl).announced() > 0)
    }

    /// Stream offset behind the last sample that `moov` itself describes.
    pub(super) fn moov_extent(&self) -> u64 {
        let ends = self.tables().map(|(_, stbl)| tables::extent(stbl));
        ends.max().unwrap_or(0)
    }

    /// Whether all samples that `moov` itself describes, at least one, lie where media data can be.
    pub(super) fn is_whole(&self, place: &Place) -> bool {
        self.has_moov_samples() && (self.tables()).all(|(_, stbl)| tables::is_whole(stbl, place))
    }

    /// Adds the samples that `moov` itself describes, as far as they lie where media data can be.
    pub(super) fn load_moov_samples(&mut self, place: &Place) {
        let mut loaded: Vec<_> = self.tracks.iter().map(|_| None).collect();
        for (track, stbl) in self.tables() {
            let Some(index) = track else { continue };
            let timescale = self.tracks.get(index).map(|track| track.timescale);
            if let (Some(slot @ None), Some(timescale)) = (loaded.get_mut(index), timescale) {
                let mut samples = Samples::new(timescale);
                if self.long {
                    samples.drop_tables();
                }
                tables::load(stbl, place, &mut samples);
                *slot = Some(samples);
            }
        }
        for (track, samples) in self.tracks.iter_mut().zip(loaded) {
            track.samples = samples.unwrap_or_else(|| Samples::new(track.timescale));
        }
        self.limit_tables();
    }

    /// Drops the tables when they are too large.
    pub(super) fn limit_tables(&mut self) {
        if self.fragmented
            && !self.long
            && (self.samples() > SAMPLE_LIMIT || self.written_bytes() > WRITTEN_LIMIT)
        {
            self.drop_tables();
        }
    }

    /// Bytes that the movie holds on the heap.
    pub(super) fn memory_bytes(&self) -> u64 {
        let tables: u64 = (self.tracks.iter())
            .map(|track| track.samples.memory_bytes())
            .sum();
        let descriptions = self.descriptions.as_ref().map_or(0, Vec::capacity);
        tables + (self.moov.capacity() + descriptions + size_of_val(self.tracks.as_slice())) as u64
    }

    /// Bytes that the tables take in a finished file, at most.
    pub(super) fn written_bytes(&self) -> u64 {
        let tracks = self.tracks.iter();
        tracks.map(|track| track.samples.written_bytes()).sum()
    }

    /// The rhythm of the main track.
    pub(super) fn pace(&self) -> Pace {
        let Some(track) = self.main_track() else {
            return Pace::default();
        };
        if self.fragmented || self.rebuilt {
            return track.samples.rhythm.pace();
        }
        let stbl = children(&self.moov)
            .filter(|&(kind, trak)| kind == *b"trak" && track_id(trak) == Some(track.id))
            .find_map(|(_, trak)| find_path(trak, &[*b"mdia", *b"minf", *b"stbl"]));
        stbl.map(|stbl| table_rhythm(stbl, track.timescale).pace())
            .unwrap_or_default()
    }

    /// The track that matters most: the first with pictures, else the first.
    pub(super) fn main_track(&self) -> Option<&MovieTrack> {
        let video = |track: &&MovieTrack| track.kind == TrackKind::Video;
        self.tracks
            .iter()
            .find(video)
            .or_else(|| self.tracks.first())
    }

    /// All samples so far.
    pub(super) fn samples(&self) -> u64 {
        let lengths = self.tracks.iter().map(|track| track.samples.len());
        lengths.fold(0, u64::saturating_add)
    }

    /// Keeps only times of samples, past and future ones.
    pub(super) fn drop_tables(&mut self) {
        self.long = true;
        for track in &mut self.tracks {
            track.samples.drop_tables();
        }
    }

    /// Whether a `trak` payload is one of `tracks`.
    pub(super) fn describes(&self, trak: &[u8]) -> bool {
        MovieTrack::parse(trak)
            .is_some_and(|(track, _)| self.tracks.iter().any(|known| known.id == track.id))
    }
}

impl Defaults {
    /// Reads a `trex` payload: the track's id and its defaults.
    fn parse(trex: &[u8]) -> Option<(u32, Self)> {
        let mut reader = Reader(trex);
        reader.full()?;
        let id = reader.u32()?;
        let defaults = Self {
            description: reader.u32()?,
            duration: reader.u32()?,
            size: reader.u32()?,
            flags: reader.u32()?,
        };
        Some((id, defaults))
    }
}

impl MovieTrack {
    fn parse(trak: &[u8]) -> Option<(Self, Track)> {
        let id = track_id(trak)?;
        let mdia = find(trak, *b"mdia")?;
        let mdhd = find(mdia, *b"mdhd")?;
        let (timescale, _) = timescale_and_duration(mdhd)?;
        let handler = find(mdia, *b"hdlr")?.get(8..12)?;
        let stbl = find_path(mdia, &[*b"minf", *b"stbl"])?;
        let (codec, entry) = children(find(stbl, *b"stsd")?.get(8..)?).next()?;
        let (delay, media_time) = edits(trak).unwrap_or((0, 0));
        let mut described = describe(id, handler, codec, entry);
        described.language = language(mdhd);
        let track = Self {
            id,
            timescale,
            kind: described.kind,
            delay,
            media_time,
            samples: Samples::new(timescale),
            moov_sync: sync_count(stbl).unwrap_or(0),
        };
        Some((track, described))
    }
}

fn track_id(trak: &[u8]) -> Option<u32> {
    let mut tkhd = Reader(find(trak, *b"tkhd")?);
    let (version, _) = tkhd.full()?;
    tkhd.skip(if version == 1 { 16 } else { 8 })?;
    tkhd.u32()
}

/// The rhythm according to the tables of an unfragmented file. Frames count as often as they have a size: what
/// `stts` alone says has no limit.
fn table_rhythm(stbl: &[u8], timescale: u32) -> Rhythm {
    let table = |kind| {
        let mut reader = Reader(
            find(stbl, kind)
                .and_then(|table| table.get(4..))
                .unwrap_or_default(),
        );
        (reader.u32().unwrap_or(0), reader)
    };
    let (runs, mut times) = table(*b"stts");
    let sync = find(stbl, *b"stss").map(|_| table(*b"stss"));
    let all_sync = sync.is_none();
    let mut sync = sync.map(|(_, reader)| reader).unwrap_or(Reader(&[]));
    let mut next_sync = sync.u32();
    let count = find(stbl, *b"stsz")
        .and_then(|stsz| Reader(stsz.get(8..)?).u32())
        .unwrap_or(0)
        .min(TABLE_LIMIT);
    let (mut rhythm, mut time, mut number) = (Rhythm::new(u64::from(timescale)), 0u64, 0u32);
    for _ in 0..runs {
        let (Some(samples), Some(duration)) = (times.u32(), times.u32()) else {
            break;
        };
        for _ in 0..samples.min(count - number) {
            number += 1;
            let is_sync = next_sync == Some(number);
            if is_sync {
                next_sync = sync.u32();
            }
            rhythm.frame(time, 1, all_sync || is_sync);
            time = time.saturating_add(u64::from(duration));
        }
    }
    rhythm
}

/// The timescale and duration in an `mvhd` or `mdhd`.
fn timescale_and_duration(payload: &[u8]) -> Option<(u32, u64)> {
    let mut reader = Reader(payload);
    let (version, _) = reader.full()?;
    reader.skip(if version == 1 { 16 } else { 8 })?;
    let timescale = reader.u32().filter(|&timescale| timescale != 0)?;
    Some((timescale, reader.versioned(version)?))
}

/// The language in an `mdhd`: three letters of five bits each (section 8.4.2.3).
fn language(mdhd: &[u8]) -> Option<String> {
    let at = if mdhd.first() == Some(&1) { 32 } else { 20 };
    let packed = Reader(mdhd.get(at..)?).u16()?;
    let letter = |shift: u16| char::from(u8::try_from(packed >> shift & 0x1F).unwrap_or(0) + 0x60);
    let language = String::from_iter([letter(10), letter(5), letter(0)]);
    let said = language != "und" && language.bytes().all(|byte| byte.is_ascii_lowercase());
    said.then_some(language)
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
        language: None,
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

/// Nanoseconds of a time.
pub(super) fn to_ns(time: u64, timescale: u32) -> u64 {
    rescale(time, timescale, 1_000_000_000)
}

/// A time in other units, rounded down, saturating.
fn rescale(time: u64, from: u32, to: u32) -> u64 {
    let time = u128::from(time) * u128::from(to) / u128::from(from.max(1));
    u64::try_from(time).unwrap_or(u64::MAX)
}
