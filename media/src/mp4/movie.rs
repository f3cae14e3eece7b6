//! The `moov` box of a stream and the samples indexed so far.

use serde::{Deserialize, Serialize};

use super::boxes::{Kind, Reader, children, find, find_path};
use super::sample_table::{LONGEST_GAP_S, SampleTable};
use super::stbl_reader::{self, MediaBounds, StblReader};
use crate::activity::Activity;
use crate::activity_meter::ActivityMeter;
use crate::frame_stats::{FrameStats, FrameTimes};
use crate::left_out::{LeftOutList, LeftOutReason};
use crate::track::{Track, TrackKind};

/// Maximum number of samples in the tables of a finished file: a day of video at 60 frames/s with audio.
pub(super) const SAMPLE_LIMIT: u64 = 1 << 23;
/// Largest size of these tables.
const WRITTEN_LIMIT: u64 = 32 << 20;
/// Longest [`Movie::track_signature`].
const SIGNATURE_LIMIT: usize = 64 << 10;
/// Maximum number of parsed tracks; no encoder writes this many.
const TRACK_LIMIT: usize = 64;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Movie {
    /// Payload of `moov`; most of it is copied into the finished file.
    pub(super) moov: Vec<u8>,
    /// Movie timescale in units per second; never 0.
    pub(super) timescale: u32,
    /// Duration of `mvhd` in the movie timescale; valid for an unfragmented file.
    pub(super) duration: u64,
    /// Whether `moov` has an `mvex`, so that samples come in movie fragments.
    pub(super) fragmented: bool,
    /// Whether the sample tables were dropped, because they exceeded their limit or to save memory.
    pub(super) tables_dropped: bool,
    /// Whether new tables replace those of an unfragmented file some of whose samples are missing.
    pub(super) tables_rebuilt: bool,
    pub(super) tracks: Vec<MovieTrack>,
    /// Defaults by track id for all tracks that fragments may extend, including tracks that could not be parsed.
    pub(super) track_defaults: Vec<(u32, SampleDefaults)>,
    /// The tracks in the form that callers get.
    pub(super) public_tracks: Vec<Track>,
    /// Result of [`track_signature`](Self::track_signature), with which every concatenated `moov` is compared.
    signature: Option<Vec<u8>>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct MovieTrack {
    pub(super) id: u32,
    /// Media timescale in units per second; never 0.
    pub(super) timescale: u32,
    pub(super) kind: TrackKind,
    /// From the edit list: duration of the empty edits in the movie timescale, and first media time in the media
    /// timescale.
    pub(super) delay: u64,
    pub(super) media_time: u64,
    pub(super) samples: SampleTable,
    /// Sync samples that `moov` describes; valid for an unfragmented file.
    pub(super) moov_sync: usize,
}

/// Defaults for sample properties (`trex`, overridden by `tfhd`).
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct SampleDefaults {
    pub(super) description: u32,
    pub(super) duration: u32,
    pub(super) size: u32,
    pub(super) flags: u32,
}

impl Movie {
    /// Parses a `moov` payload; `None` if it describes no track.
    pub(super) fn parse(moov: Vec<u8>) -> Option<Self> {
        let mvhd = find(&moov, *b"mvhd")?;
        let (timescale, duration) = timescale_and_duration(mvhd)?;
        let (tracks, public_tracks): (Vec<_>, _) = children(&moov)
            .filter(|&(kind, _)| kind == *b"trak")
            .filter_map(|(_, trak)| MovieTrack::parse(trak))
            .take(TRACK_LIMIT)
            .unzip();
        let mvex = find(&moov, *b"mvex");
        let fragmented = mvex.is_some();
        let track_defaults = children(mvex.unwrap_or_default())
            .filter(|&(kind, _)| kind == *b"trex")
            .filter_map(|(_, trex)| SampleDefaults::parse(trex))
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
            tables_dropped: false,
            tables_rebuilt: false,
            tracks,
            track_defaults,
            public_tracks,
            signature: None,
        };
        movie.signature = movie.track_signature();
        Some(movie)
    }

    /// Whether fragments written for this movie can be added to `other`: the tracks and sample descriptions are the
    /// same, and this `moov` describes no samples.
    pub(super) fn is_compatible_with(&self, other: &Self) -> bool {
        self.fragmented
            && !self.has_moov_samples()
            && self.signature.is_some()
            && self.signature == other.signature
    }

    /// Encodes the tracks and their sample descriptions for comparison with those of another movie. `None` if that
    /// takes more than [`SIGNATURE_LIMIT`].
    fn track_signature(&self) -> Option<Vec<u8>> {
        let mut signature = Vec::new();
        for track in &self.tracks {
            signature.extend(track.id.to_be_bytes());
            signature.extend(track.timescale.to_be_bytes());
        }
        for (track, stbl) in self.tables() {
            if let (Some(track), Some(stsd)) = (track, find(stbl, *b"stsd")) {
                if signature.len() + stsd.len() > SIGNATURE_LIMIT {
                    return None;
                }
                signature.extend((track as u64).to_be_bytes());
                signature.extend((stsd.len() as u64).to_be_bytes());
                signature.extend(stsd);
            }
        }
        Some(signature)
    }

    /// Payloads of `stbl`, each with the index of its track.
    fn tables(&self) -> impl Iterator<Item = (Option<usize>, &[u8])> {
        let traks = children(&self.moov).filter(|&(kind, _)| kind == *b"trak");
        traks.filter_map(|(_, trak)| {
            let id = track_id(trak);
            let track = self.tracks.iter().position(|track| Some(track.id) == id);
            Some((track, find_path(trak, &[*b"mdia", *b"minf", *b"stbl"])?))
        })
    }

    /// Payload of the first `stbl` of a track.
    pub(super) fn stbl(&self, track: u32) -> Option<&[u8]> {
        let of_track = |index: Option<usize>| index.is_some_and(|at| self.tracks[at].id == track);
        let (_, stbl) = self.tables().find(|&(index, _)| of_track(index))?;
        Some(stbl)
    }

    /// Whether `moov` itself describes samples.
    pub(super) fn has_moov_samples(&self) -> bool {
        let mut tables = self.tables();
        tables.any(|(_, stbl)| StblReader::new(stbl).declared() > 0)
    }

    /// Stream offset behind the last sample that `moov` describes.
    pub(super) fn moov_extent(&self) -> u64 {
        let ends = self.tables().map(|(_, stbl)| stbl_reader::extent(stbl));
        ends.max().unwrap_or(0)
    }

    /// Whether `moov` describes at least one sample, and all of them lie within `bounds`.
    pub(super) fn is_whole(&self, bounds: &MediaBounds) -> bool {
        self.has_moov_samples()
            && (self.tables()).all(|(_, stbl)| stbl_reader::is_whole(stbl, bounds))
    }

    /// Adds the samples that `moov` describes, except those outside `bounds`. Lists those of other tracks in
    /// `unindexed`.
    pub(super) fn load_moov_samples(&mut self, bounds: &MediaBounds, unindexed: &mut LeftOutList) {
        let mut loaded: Vec<_> = self.tracks.iter().map(|_| None).collect();
        for (track, stbl) in self.tables() {
            let index = track.unwrap_or(usize::MAX);
            let timescale = self.tracks.get(index).map(|track| track.timescale);
            if let (Some(entry @ None), Some(timescale)) = (loaded.get_mut(index), timescale) {
                let mut samples = SampleTable::new(timescale);
                if self.tables_dropped {
                    samples.drop_tables();
                }
                stbl_reader::load(stbl, bounds, &mut samples);
                *entry = Some(samples);
            } else {
                for range in stbl_reader::ranges_within(stbl, bounds) {
                    unindexed.add(range, LeftOutReason::NoTrack);
                }
            }
        }
        for (track, samples) in self.tracks.iter_mut().zip(loaded) {
            track.samples = samples.unwrap_or_else(|| SampleTable::new(track.timescale));
        }
        self.limit_tables();
    }

    /// Drops the tables once they exceed their limits.
    pub(super) fn limit_tables(&mut self) {
        if self.fragmented
            && !self.tables_dropped
            && (self.samples() > SAMPLE_LIMIT || self.written_bytes() > WRITTEN_LIMIT)
        {
            self.drop_tables();
        }
    }

    pub(super) fn memory_bytes(&self) -> u64 {
        let tables: u64 = (self.tracks.iter())
            .map(|track| track.samples.memory_bytes())
            .sum();
        let signature = self.signature.as_ref().map_or(0, Vec::capacity);
        tables + (self.moov.capacity() + signature + size_of_val(self.tracks.as_slice())) as u64
    }

    /// Returns an upper bound for the size of the tables in a finished file.
    pub(super) fn written_bytes(&self) -> u64 {
        let tracks = self.tracks.iter();
        tracks.map(|track| track.samples.written_bytes()).sum()
    }

    /// Frame statistics of the main track.
    pub(super) fn frame_stats(&self) -> FrameStats {
        let Some(track) = self.main_track() else {
            return FrameStats::default();
        };
        if self.fragmented || self.tables_rebuilt {
            return track.samples.frame_times.frame_stats();
        }
        let times = self.moov_frame_times(track);
        times
            .map(|(times, _)| times.frame_stats())
            .unwrap_or_default()
    }

    /// Activity of the main track in a recording of this duration.
    pub(super) fn activity(&self, duration_ms: u64) -> Activity {
        let Some(track) = self.main_track() else {
            return Activity::default();
        };
        if self.fragmented || self.tables_rebuilt {
            return track.samples.activity.activity(duration_ms);
        }
        let times = self.moov_frame_times(track);
        let meter = times.map(|(_, meter)| meter).unwrap_or_default();
        meter.activity(duration_ms)
    }

    /// Times and sizes of the frames of a track that `moov` describes.
    fn moov_frame_times(&self, track: &MovieTrack) -> Option<(FrameTimes, ActivityMeter)> {
        let stbl = self.stbl(track.id)?;
        Some(stbl_reader::frame_times(stbl, track.timescale))
    }

    /// Returns the first video track, else the first track.
    pub(super) fn main_track(&self) -> Option<&MovieTrack> {
        let video = |track: &&MovieTrack| track.kind == TrackKind::Video;
        let mut tracks = self.tracks.iter();
        tracks.find(video).or_else(|| self.tracks.first())
    }

    /// Returns the number of samples in all tracks.
    pub(super) fn samples(&self) -> u64 {
        let lengths = self.tracks.iter().map(|track| track.samples.len());
        lengths.fold(0, u64::saturating_add)
    }

    /// Drops the sample tables; from now on only times are kept.
    pub(super) fn drop_tables(&mut self) {
        self.tables_dropped = true;
        for track in &mut self.tracks {
            track.samples.drop_tables();
        }
    }

    /// Whether the track of a `trak` payload is one of `tracks`.
    pub(super) fn describes(&self, trak: &[u8]) -> bool {
        MovieTrack::parse(trak)
            .is_some_and(|(track, _)| self.tracks.iter().any(|known| known.id == track.id))
    }
}

impl SampleDefaults {
    /// Parses a `trex` payload into track id and defaults.
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
        let mut public_tracks = describe(id, handler, codec, entry);
        public_tracks.language = language(mdhd);
        let track = Self {
            id,
            timescale,
            kind: public_tracks.kind,
            delay,
            media_time,
            samples: SampleTable::new(timescale),
            moov_sync: sync_count(stbl).unwrap_or(0),
        };
        Some((track, public_tracks))
    }
}

fn track_id(trak: &[u8]) -> Option<u32> {
    let mut tkhd = Reader(find(trak, *b"tkhd")?);
    let (version, _) = tkhd.full()?;
    tkhd.skip(if version == 1 { 16 } else { 8 })?;
    tkhd.u32()
}

/// Reads timescale and duration of an `mvhd` or `mdhd`.
fn timescale_and_duration(payload: &[u8]) -> Option<(u32, u64)> {
    let mut reader = Reader(payload);
    let (version, _) = reader.full()?;
    reader.skip(if version == 1 { 16 } else { 8 })?;
    let timescale = reader.u32().filter(|&timescale| timescale != 0)?;
    Some((timescale, reader.versioned(version)?))
}

/// Reads the language of an `mdhd`: three letters of five bits each (section 8.4.2.3).
fn language(mdhd: &[u8]) -> Option<String> {
    let at = if mdhd.first() == Some(&1) { 32 } else { 20 };
    let packed = Reader(mdhd.get(at..)?).u16()?;
    let letter = |shift: u16| char::from(u8::try_from(packed >> shift & 0x1F).unwrap_or(0) + 0x60);
    let language = String::from_iter([letter(10), letter(5), letter(0)]);
    let said = language != "und" && language.bytes().all(|byte| byte.is_ascii_lowercase());
    said.then_some(language)
}

/// Number of sync samples: entries of `stss`, or all samples without one.
fn sync_count(stbl: &[u8]) -> Option<usize> {
    let count = match find(stbl, *b"stss") {
        Some(stss) => Reader(stss.get(4..)?).u32()?,
        None => Reader(find(stbl, *b"stsz")?.get(8..)?).u32()?,
    };
    usize::try_from(count).ok()
}

/// Reads the edit list: the total of its empty edits, and the media time of the first other edit.
fn edits(trak: &[u8]) -> Option<(u64, u64)> {
    let mut reader = Reader(find_path(trak, &[*b"edts", *b"elst"])?);
    let (version, _) = reader.full()?;
    let mut delay = 0u64;
    for _ in 0..reader.u32()?.min(16) {
        let duration = reader.versioned(version)?;
        let media_time = reader.versioned(version)?;
        reader.skip(4)?;
        // A media time of -1 marks an empty edit.
        let empty = if version == 1 {
            u64::MAX
        } else {
            u32::MAX.into()
        };
        if media_time != empty {
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
    let codec = String::from_utf8_lossy(&codec).into_owned();
    let mut track = Track::new(id.into(), TrackKind::Other, codec);
    // Sample entries (ISO/IEC 14496-12, sections 12.1.3 and 12.2.3).
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

/// Presentation interval of a track.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    /// Start of the track in the movie timescale.
    pub(super) delay: u64,
    /// Media time at which playback starts, counted from the first sample, in the media timescale.
    pub(super) media_time: u64,
    /// Length of playback in the movie timescale.
    pub(super) shown: u64,
    /// End of the track in the movie timescale: delay + shown.
    pub(super) total: u64,
}

impl Movie {
    /// Returns the timing of each track. A delay common to all tracks is removed, so that the recording begins at 0,
    /// and so is an implausible delay of one track.
    pub(super) fn timings(&self) -> impl Iterator<Item = Timing> {
        let timing = |track: &MovieTrack| {
            let first = track.samples.first();
            let delay = rescale(
                first.saturating_sub(track.media_time),
                track.timescale,
                self.timescale,
            );
            let shown_end = track.samples.shown_end().saturating_sub(first);
            // An edit list that begins behind the last sample would hide all samples.
            let media_time = track.media_time.saturating_sub(first);
            let media_time = if media_time < shown_end {
                media_time
            } else {
                0
            };
            let media = shown_end.saturating_sub(media_time);
            let shown = rescale(media, track.timescale, self.timescale);
            (track.delay.saturating_add(delay), media_time, shown)
        };
        let with_samples = self.tracks.iter().filter(|track| track.samples.len() > 0);
        let wait = with_samples.map(|track| timing(track).0).min().unwrap_or(0);
        self.tracks.iter().map(move |track| {
            let (delay, media_time, shown) = timing(track);
            let delay = delay.saturating_sub(wait);
            let is_plausible = delay <= u64::from(self.timescale) * LONGEST_GAP_S;
            let delay = if is_plausible { delay } else { 0 };
            Timing {
                delay,
                media_time,
                shown,
                total: delay.saturating_add(shown),
            }
        })
    }
}

/// Converts a time to nanoseconds.
pub(super) fn to_ns(time: u64, timescale: u32) -> u64 {
    rescale(time, timescale, 1_000_000_000)
}

/// Converts a time to another timescale; rounds down and saturates.
pub(super) fn rescale(time: u64, from: u32, to: u32) -> u64 {
    let time = u128::from(time) * u128::from(to) / u128::from(from.max(1));
    u64::try_from(time).unwrap_or(u64::MAX)
}
