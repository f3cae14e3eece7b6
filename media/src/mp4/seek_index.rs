//! Reader for the index of a finished MP4.

use super::boxes::{self, Header};
use super::head::FTYP_LIMIT;
use super::movie::{Movie, MovieTrack, SAMPLE_LIMIT};
use super::stbl_reader::{SampleRun, StblReader};
use crate::live::halve;
use crate::seek_index::{KEYFRAMES, Keyframe, NoSeekIndex, Progress, Window};

/// Largest `moov`: the limit of the tables in a finished file.
const MOOV_LIMIT: u64 = 32 << 20;
/// Most top-level boxes. Files of this crate have three or four.
const BOXES: u32 = 64;

/// Incremental reader of top-level boxes up to `moov`.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// Position of the next box.
    at: u64,
    boxes: u32,
    size: u64,
    ftyp: Option<Vec<u8>>,
    moov: Option<Vec<u8>>,
}

impl Reader {
    /// Examines bytes from the next box on.
    pub(crate) fn examine(&mut self, window: Window<'_>) -> Progress {
        self.size = window.size;
        loop {
            let bytes = window.from(self.at);
            let (kind, size, length) = match boxes::header(bytes) {
                Header::Incomplete => return window.request(self.at, bytes.len() as u64 + 1),
                Header::Malformed => return Progress::Failed(NoSeekIndex::Missing),
                Header::Complete { kind, size, length } => (kind, size, length),
            };
            let Some(size) = size else {
                return Progress::Failed(NoSeekIndex::Missing);
            };
            let is_moov = kind == *b"moov";
            if is_moov && size > MOOV_LIMIT {
                return Progress::Failed(NoSeekIndex::TooLarge);
            }
            if is_moov || kind == *b"ftyp" && size <= FTYP_LIMIT {
                let end = usize::try_from(size).unwrap_or(usize::MAX);
                let Some(complete) = bytes.get(..end) else {
                    return window.request(self.at, size);
                };
                let payload = complete[usize::try_from(length).unwrap_or(16)..].to_vec();
                if is_moov {
                    self.moov = Some(payload);
                    return Progress::Complete;
                }
                self.ftyp = Some(payload);
            }
            self.boxes += 1;
            if self.boxes > BOXES {
                return Progress::Failed(NoSeekIndex::Missing);
            }
            self.at = self.at.saturating_add(size);
        }
    }

    pub(crate) fn finish(self) -> Result<Index, NoSeekIndex> {
        let missing = NoSeekIndex::Missing;
        let movie = Movie::parse(self.moov.ok_or(missing)?).ok_or(missing)?;
        if movie.fragmented {
            return Err(NoSeekIndex::Fragmented);
        }
        let listed = |track: &MovieTrack| {
            let stbl = movie.stbl(track.id).unwrap_or_default();
            u64::from(StblReader::new(stbl).listed())
        };
        // Tables of a clip have four bytes for each of them, those of this file sometimes less.
        if movie.tracks.iter().map(listed).sum::<u64>() > SAMPLE_LIMIT {
            return Err(NoSeekIndex::TooLarge);
        }
        let index = Index {
            movie,
            ftyp: self.ftyp,
            size: self.size,
        };
        let (stbl, _) = index.main().ok_or(missing)?;
        let has_keyframe = timed(stbl).any(|timed| timed.run.sample.sync);
        has_keyframe.then_some(index).ok_or(missing)
    }
}

/// Index of a finished file.
#[derive(Debug)]
pub(crate) struct Index {
    pub(super) movie: Movie,
    /// Payload of `ftyp`.
    pub(super) ftyp: Option<Vec<u8>>,
    /// Size of the file.
    pub(super) size: u64,
}

/// Samples of a track with their number and time.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimedRun {
    pub(super) run: SampleRun,
    /// Number of the first sample, counted from 0.
    pub(super) number: u64,
    /// Decoding time of the first sample in the media timescale.
    pub(super) time: u64,
}

impl TimedRun {
    /// Decoding time of a sample in the media timescale.
    pub(super) fn decoded(&self, index: u32) -> u64 {
        let duration = u64::from(self.run.sample.duration) * u64::from(index);
        self.time.saturating_add(duration)
    }

    /// Presentation time of a sample in the media timescale.
    pub(super) fn shown(&self, index: u32) -> i128 {
        i128::from(self.decoded(index)) + i128::from(self.run.sample.offset)
    }

    /// Number of leading samples that are shown before a time.
    pub(super) fn count_before(&self, time: i128) -> u32 {
        let ahead = time - self.shown(0);
        if ahead <= 0 {
            return 0;
        }
        // Rounded up: a sample at `time` is not before it.
        let count = (ahead - 1).checked_div(self.run.sample.duration.into());
        let all = self.run.count;
        count.map_or(all, |count| {
            u32::try_from(count + 1).unwrap_or(all).min(all)
        })
    }

    /// Position in the file of a sample.
    pub(super) fn position(&self, index: u32) -> u64 {
        let before = u64::from(self.run.sample.size) * u64::from(index);
        self.run.offset.saturating_add(before)
    }
}

/// Iterates over the samples of an `stbl` with their numbers and decoding times.
pub(super) fn timed(stbl: &[u8]) -> impl Iterator<Item = TimedRun> {
    let (mut number, mut time) = (0u64, 0u64);
    StblReader::new(stbl).map(move |run| {
        let timed = TimedRun { run, number, time };
        let count = u64::from(run.count);
        number = number.saturating_add(count);
        time = time.saturating_add(u64::from(run.sample.duration) * count);
        timed
    })
}

/// Conversion between the times of a track and of the movie.
#[derive(Debug, Clone, Copy)]
pub(super) struct TrackClock {
    timescale: i128,
    movie_timescale: i128,
    delay: i128,
    media_time: i128,
}

/// Nanoseconds per second and per millisecond.
const SECOND: i128 = 1_000_000_000;
pub(super) const MS: i128 = 1_000_000;

impl TrackClock {
    pub(super) fn new(movie: &Movie, track: &MovieTrack) -> Self {
        Self {
            timescale: track.timescale.into(),
            movie_timescale: movie.timescale.into(),
            delay: track.delay.into(),
            media_time: track.media_time.into(),
        }
    }

    /// Time in the movie, in nanoseconds, of a presentation time; rounded down.
    pub(super) fn ns(&self, shown: i128) -> i128 {
        let media = ((shown - self.media_time) * SECOND).div_euclid(self.timescale);
        media + self.delay * SECOND / self.movie_timescale
    }

    /// Presentation time of a time in the movie, in nanoseconds; rounded up.
    pub(super) fn shown(&self, ns: i128) -> i128 {
        let time = ns - self.delay * SECOND / self.movie_timescale;
        self.media_time - (-time * self.timescale).div_euclid(SECOND)
    }
}

/// Converts nanoseconds to milliseconds, rounded down; 0 before the start.
pub(super) fn to_ms(ns: i128) -> u64 {
    u64::try_from(ns.max(0) / MS).unwrap_or(u64::MAX)
}

impl Index {
    pub(crate) fn duration_ms(&self) -> u64 {
        let timescale = u128::from(self.movie.timescale.max(1));
        let ms = (u128::from(self.movie.duration) * 1000).div_ceil(timescale);
        u64::try_from(ms).unwrap_or(u64::MAX)
    }

    /// Samples of the main track, and its clock.
    pub(super) fn main(&self) -> Option<(&[u8], TrackClock)> {
        let main = self.movie.main_track()?;
        let clock = TrackClock::new(&self.movie, main);
        Some((self.movie.stbl(main.id)?, clock))
    }

    pub(crate) fn keyframes(&self) -> Vec<Keyframe> {
        let Some((stbl, clock)) = self.main() else {
            return Vec::new();
        };
        // Thinned on the way: sound has a keyframe in every packet.
        let (mut keyframes, mut step, mut number) = (Vec::new(), 1u64, 0u64);
        for timed in timed(stbl).filter(|timed| timed.run.sample.sync) {
            number += 1;
            if (number - 1) % step != 0 {
                continue;
            }
            keyframes.push(Keyframe {
                time_ms: to_ms(clock.ns(timed.shown(0))),
                position: timed.position(0),
            });
            if keyframes.len() >= 2 * KEYFRAMES {
                halve(&mut keyframes);
                step *= 2;
            }
        }
        keyframes.sort_by_key(|keyframe| keyframe.time_ms);
        keyframes
    }
}
