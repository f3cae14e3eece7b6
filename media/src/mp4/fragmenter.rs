//! Writer for fragmented MP4, the only part of this crate that produces a stream.
//!
//! Every fragment is a self-contained `moof` and `mdat`. A writer that makes each of them durable in turn loses no
//! more than the last one. The output is a stream for [`Indexer`](crate::Indexer), which finishes it like any other.

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::boxes::write;
use super::init_segment::{Media, TrackDescription, init_segment};
use super::movie_fragment::{FragmentSample, TrackFragment, movie_fragment};

/// Media timescale in units per second: the customary value for video.
const TIMESCALE: u32 = 90_000;
/// Number of the only track.
const TRACK_ID: u32 = 1;
/// Brand `isom`, compatible with the features of finished and fragmented files.
const FTYP: &[u8] = b"isom\0\0\x02\0isomiso6avc1mp41";
/// Assumed frame duration until there is a second frame.
const FIRST_GUESS: u64 = TIMESCALE as u64 / 30;

/// Properties of a video track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoTrack {
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
    /// `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15, section 5.3.3.1), without a box header.
    pub avc_config: Vec<u8>,
    /// Colour description, if known.
    pub colour: Option<Colour>,
}

/// Colour description in the code points of ITU-T H.273.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour {
    /// `ColourPrimaries`; 1 is BT.709.
    pub primaries: u16,
    /// `TransferCharacteristics`; 1 is BT.709.
    pub transfer: u16,
    /// `MatrixCoefficients`; 1 is BT.709.
    pub matrix: u16,
    /// `VideoFullRangeFlag`: whether black is 0 rather than 16.
    pub full_range: bool,
}

/// An H.264 access unit: its NAL units, each preceded by its length as configured in [`VideoTrack::avc_config`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedFrame {
    /// Presentation time in nanoseconds. The epoch is arbitrary, but the same for all frames.
    pub pts_ns: i64,
    /// Decoding time in nanoseconds, with the same epoch. Frames are pushed in this order.
    pub dts_ns: i64,
    /// Nominal duration in nanoseconds, if known: the duration of the last frame of a stream.
    pub duration_ns: Option<u64>,
    /// Whether decoding can start at this frame.
    pub keyframe: bool,
    /// Encoded bytes.
    pub data: Vec<u8>,
}

/// Packs encoded frames into movie fragments.
///
/// # Order of calls
///
/// [`init_segment`](Self::init_segment) once, [`push`](Self::push) for each frame, then [`end`](Self::end). The
/// returned bytes are concatenated in the order of the calls. Frames before the first keyframe cannot be decoded and
/// are dropped.
///
/// The duration of a frame is the distance to the next one, so the last frame is held back until the next arrives. If
/// none arrives for a while, [`flush`](Self::flush) returns all others.
///
/// ```
/// use std::time::Duration;
/// use sortie_media::{EncodedFrame, Fragmenter, Indexer, VideoTrack};
///
/// let track = VideoTrack { width: 640, height: 480, avc_config: vec![1, 66, 0, 30, 255, 224, 0], colour: None };
/// let mut fragmenter = Fragmenter::new(Duration::from_millis(500));
/// let mut stream = fragmenter.init_segment(&track);
/// for n in 0..30 {
///     let ns = n * 33_333_333;
///     let frame = EncodedFrame { pts_ns: ns, dts_ns: ns, duration_ns: None, keyframe: n == 0, data: vec![0; 100] };
///     stream.extend(fragmenter.push(frame).unwrap_or_default());
/// }
/// stream.extend(fragmenter.end().unwrap_or_default());
///
/// let mut indexer = Indexer::new();
/// indexer.push(&stream);
/// assert_eq!(indexer.duration_ms(), 1000);
/// ```
#[derive(Debug)]
pub struct Fragmenter {
    /// Longest fragment in the media timescale.
    longest: u64,
    sequence: u32,
    /// Presentation and decoding time of the first frame in nanoseconds; both become 0.
    origin: Option<(i64, i64)>,
    /// Samples of the current fragment, with their durations.
    samples: Vec<Sample>,
    data: Vec<u8>,
    /// The last frame, whose duration is not known yet.
    last: Option<(Sample, Vec<u8>)>,
    /// Nominal duration of the last frame.
    nominal_duration: Option<u64>,
    /// Duration of the last complete frame, the estimate for the final one.
    typical_duration: u64,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    /// Decoding time since the first frame, in the media timescale.
    time: u64,
    duration: u32,
    size: u32,
    /// Composition offset: presentation time minus decoding time.
    offset: i32,
    keyframe: bool,
}

impl Fragmenter {
    /// Creates a fragmenter for fragments of at most `longest`, unless a single frame lasts longer.
    #[must_use]
    pub fn new(longest: Duration) -> Self {
        let units = longest.as_nanos() * u128::from(TIMESCALE) / 1_000_000_000;
        Self {
            longest: u64::try_from(units).unwrap_or(u64::MAX),
            sequence: 0,
            origin: None,
            samples: Vec::new(),
            data: Vec::new(),
            last: None,
            nominal_duration: None,
            typical_duration: FIRST_GUESS,
        }
    }

    /// Returns the initialization segment, `ftyp` and `moov`, with which the stream begins.
    #[must_use]
    pub fn init_segment(&self, track: &VideoTrack) -> Vec<u8> {
        let description = TrackDescription {
            id: TRACK_ID,
            timescale: TIMESCALE,
            media: Media::Video {
                width: track.width,
                height: track.height,
            },
            entry: *b"avc1",
            config: &config_boxes(track),
            media_time: 0,
            language: None,
        };
        init_segment(FTYP, &[description], None)
    }

    /// Adds the next frame. Returns a fragment when one is complete.
    pub fn push(&mut self, frame: EncodedFrame) -> Option<Vec<u8>> {
        if self.origin.is_none() && !frame.keyframe {
            return None;
        }
        let (pts, dts) = *self.origin.get_or_insert((frame.pts_ns, frame.dts_ns));
        // Two frames at the same time would have a duration of 0, which players take for the end.
        let earliest = self.last.as_ref().map_or(0, |(last, _)| last.time + 1);
        let time = units(frame.dts_ns.saturating_sub(dts));
        let time = u64::try_from(time).unwrap_or(0).max(earliest);
        let shown = units(frame.pts_ns.saturating_sub(pts));
        let offset = shown.saturating_sub_unsigned(time);
        let sample = Sample {
            time,
            duration: 0,
            size: u32::try_from(frame.data.len()).unwrap_or(u32::MAX),
            offset: i32::try_from(offset).unwrap_or(0),
            keyframe: frame.keyframe,
        };
        if let Some((last, _)) = &self.last {
            self.typical_duration = time - last.time;
        }
        self.close_last(time);
        let begun = self.samples.first().map_or(time, |first| first.time);
        // A keyframe starts a fragment, so that players can seek to each fragment.
        let complete = frame.keyframe || time + self.typical_duration - begun > self.longest;
        let fragment = if complete { self.fragment() } else { None };
        self.nominal_duration = frame.duration_ns.map(|ns| {
            let duration = units(i64::try_from(ns).unwrap_or(i64::MAX));
            u64::try_from(duration).unwrap_or(0).max(1)
        });
        self.last = Some((sample, frame.data));
        fragment
    }

    /// Returns all frames with known durations as a fragment. For use when no frame has arrived for a while.
    pub fn flush(&mut self) -> Option<Vec<u8>> {
        self.fragment()
    }

    /// Returns the remaining frames as a fragment. The last frame gets its nominal duration, or else the duration of the
    /// one before.
    pub fn end(&mut self) -> Option<Vec<u8>> {
        if let Some((last, _)) = &self.last {
            let duration = self.nominal_duration.unwrap_or(self.typical_duration);
            self.close_last(last.time + duration);
        }
        self.fragment()
    }

    /// Returns the remaining frames as a fragment. The last frame lasts until the decoding time `dts_ns`, at which
    /// another stream continues.
    pub fn end_at(&mut self, dts_ns: i64) -> Option<Vec<u8>> {
        if let (Some((last, _)), Some((_, origin))) = (&self.last, self.origin) {
            let time = u64::try_from(units(dts_ns.saturating_sub(origin))).unwrap_or(0);
            self.close_last(time.max(last.time + 1));
        }
        self.fragment()
    }

    /// Ends the last frame at `time`.
    fn close_last(&mut self, time: u64) {
        let Some((mut last, data)) = self.last.take() else {
            return;
        };
        // A longer duration becomes a gap, given by the time of the next fragment.
        last.duration = u32::try_from(time - last.time).unwrap_or(u32::MAX);
        self.samples.push(last);
        self.data.extend_from_slice(&data);
    }

    fn fragment(&mut self) -> Option<Vec<u8>> {
        let first = self.samples.first()?;
        self.sequence += 1;
        let sequence = self.sequence;
        let samples = self.samples.iter().map(|sample| FragmentSample {
            duration: sample.duration,
            size: sample.size,
            offset: sample.offset,
            keyframe: sample.keyframe,
        });
        let track = TrackFragment {
            track_id: TRACK_ID,
            time: first.time,
            samples: &samples.collect::<Vec<_>>(),
            data: &self.data,
        };
        let out = movie_fragment(sequence, &[track]);
        self.samples.clear();
        self.data.clear();
        Some(out)
    }
}

/// Encodes the boxes of an `avc1` sample entry: ISO/IEC 14496-15, section 5.4.2.1; 14496-12, section 12.1.5.
fn config_boxes(track: &VideoTrack) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, *b"avcC", |out| {
        out.extend_from_slice(&track.avc_config);
    });
    if let Some(colour) = track.colour {
        write(&mut out, *b"colr", |out| {
            out.extend(b"nclx");
            for number in [colour.primaries, colour.transfer, colour.matrix] {
                out.extend(number.to_be_bytes());
            }
            out.push(u8::from(colour.full_range) << 7);
        });
    }
    out
}

/// Converts nanoseconds to the media timescale, rounded to nearest.
fn units(ns: i64) -> i64 {
    let units = (i128::from(ns) * i128::from(TIMESCALE) + 500_000_000).div_euclid(1_000_000_000);
    i64::try_from(units).unwrap_or(0)
}
