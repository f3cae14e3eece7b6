//! Writing a fragmented MP4 of encoded pictures: the one thing here that makes a stream instead of watching one.
//!
//! Every fragment is a `moof` and an `mdat` that stand for themselves, so whoever writes them durably, one after
//! the other, loses no more than the fragment under way. What comes out is a stream as [`Indexer`](crate::Indexer)
//! takes it, and is finished by it like any other.

mod front;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::boxes::{write, write_full_with};

/// Units of a second for the times of frames: the customary one for video, and 49 days fit into 32 bits of 1000.
const TIMESCALE: u64 = 90_000;
/// `sample_depends_on` 2, a sync sample; and 1, not a sync sample (section 8.8.3.1).
const KEYFRAME: u32 = 0x0200_0000;
const DELTA: u32 = 0x0101_0000;
const TFHD_BASE_IS_MOOF: u32 = 0x02_0000;
/// Data offset, and a duration, a size and flags for every sample (section 8.8.8.1).
const TRUN: u32 = 0x01 | 0x100 | 0x200 | 0x400;
const TRUN_COMPOSITION: u32 = 0x800;
/// Until a second frame tells better.
const FIRST_GUESS: u64 = TIMESCALE / 30;

/// What the frames of a video track have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoTrack {
    /// Width of a picture in pixels, at most 65,535.
    pub width: u16,
    /// Height of a picture in pixels, at most 65,535.
    pub height: u16,
    /// The `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15, section 5.3.3.1), without a box around it.
    pub avc_config: Vec<u8>,
    /// How its numbers are to be shown as colours, where that is known.
    pub colour: Option<Colour>,
}

/// Colour, in the numbers of ITU-T H.273.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour {
    /// Colour primaries; 1 is BT.709.
    pub primaries: u16,
    /// Transfer characteristics; 1 is BT.709.
    pub transfer: u16,
    /// Matrix coefficients; 1 is BT.709.
    pub matrix: u16,
    /// Whether black is 0 and not 16.
    pub full_range: bool,
}

/// One H.264 picture: its NAL units, each behind its length as the track's configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedFrame {
    /// When it is shown, in nanoseconds since any moment that is the same for all frames.
    pub pts_ns: i64,
    /// When it is decoded, likewise. Frames come in this order.
    pub dts_ns: i64,
    /// Whether a decoder can begin here.
    pub keyframe: bool,
    /// The bytes.
    pub data: Vec<u8>,
}

/// Cuts encoded frames into fragments.
///
/// # Order of calls
///
/// [`front`](Self::front) once, [`push`](Self::push) for each frame, [`end`](Self::end). A fragment that one of
/// them returns follows what was returned before it. The first frame must be a keyframe: nobody could decode
/// anything in front of one, so such frames are dropped.
///
/// A frame's duration is what passes until the next, so the last one waits until there is a next. Where none
/// comes, [`flush`](Self::flush) gives out all others.
///
/// ```
/// use std::time::Duration;
/// use sortie_media::{EncodedFrame, Fragmenter, Indexer, VideoTrack};
///
/// let track = VideoTrack { width: 640, height: 480, avc_config: vec![1, 66, 0, 30, 255, 224, 0], colour: None };
/// let mut fragmenter = Fragmenter::new(Duration::from_millis(500));
/// let mut stream = fragmenter.front(&track);
/// for n in 0..30 {
///     let ns = n * 33_333_333;
///     let frame = EncodedFrame { pts_ns: ns, dts_ns: ns, keyframe: n == 0, data: vec![0; 100] };
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
    /// The longest fragment, in units.
    longest: u64,
    sequence: u32,
    /// The first frame's times in nanoseconds: they become 0.
    origin: Option<(i64, i64)>,
    /// Of the fragment under way, with their durations.
    samples: Vec<Sample>,
    data: Vec<u8>,
    /// The frame that waits for its duration.
    last: Option<(Sample, Vec<u8>)>,
    /// What a frame lasted lately: the guess for the very last.
    usual: u64,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    /// In units since the first.
    time: u64,
    duration: u32,
    size: u32,
    /// Presentation less decoding time.
    offset: i32,
    keyframe: bool,
}

impl Fragmenter {
    /// Fragments of at most `longest`, or of a single frame that lasts longer.
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
            usual: FIRST_GUESS,
        }
    }

    /// What the stream begins with: `ftyp` and `moov`.
    #[must_use]
    pub fn front(&self, track: &VideoTrack) -> Vec<u8> {
        front::front(track)
    }

    /// Takes the next frame; a fragment, when one is complete with it.
    pub fn push(&mut self, frame: EncodedFrame) -> Option<Vec<u8>> {
        if self.origin.is_none() && !frame.keyframe {
            return None;
        }
        let (pts, dts) = *self.origin.get_or_insert((frame.pts_ns, frame.dts_ns));
        // Two frames at one time would make a duration of 0, which players take for the end.
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
            self.usual = time - last.time;
        }
        self.settle_last(time);
        let begun = self.samples.first().map_or(time, |first| first.time);
        // A fragment begins with its keyframe, so that each can be sought to.
        let complete = frame.keyframe || time + self.usual - begun > self.longest;
        let fragment = if complete { self.fragment() } else { None };
        self.last = Some((sample, frame.data));
        fragment
    }

    /// Gives out what has a duration, because nothing has come for a while.
    pub fn flush(&mut self) -> Option<Vec<u8>> {
        self.fragment()
    }

    /// Gives out the rest; the last frame lasts as long as the one before it.
    pub fn end(&mut self) -> Option<Vec<u8>> {
        if let Some((last, _)) = &self.last {
            self.settle_last(last.time + self.usual);
        }
        self.fragment()
    }

    /// The last frame ends at `time`.
    fn settle_last(&mut self, time: u64) {
        let Some((mut last, data)) = self.last.take() else {
            return;
        };
        // What does not fit is a gap, which the next fragment's time tells.
        last.duration = u32::try_from(time - last.time).unwrap_or(u32::MAX);
        self.samples.push(last);
        self.data.extend_from_slice(&data);
    }

    fn fragment(&mut self) -> Option<Vec<u8>> {
        let first = self.samples.first()?;
        self.sequence += 1;
        let sequence = self.sequence;
        let composed = self.samples.iter().any(|sample| sample.offset != 0);
        let mut out = Vec::with_capacity(self.data.len() + 256 + 16 * self.samples.len());
        let mut data_offset = 0;
        write(&mut out, *b"moof", |out| {
            write_full_with(out, *b"mfhd", 0, 0, |out| {
                out.extend(sequence.to_be_bytes());
            });
            write(out, *b"traf", |out| {
                write_full_with(out, *b"tfhd", 0, TFHD_BASE_IS_MOOF, |out| {
                    out.extend(front::TRACK_ID.to_be_bytes());
                });
                write_full_with(out, *b"tfdt", 1, 0, |out| {
                    out.extend(first.time.to_be_bytes());
                });
                let flags = TRUN | if composed { TRUN_COMPOSITION } else { 0 };
                write_full_with(out, *b"trun", 1, flags, |out| {
                    let count = u32::try_from(self.samples.len()).unwrap_or(u32::MAX);
                    out.extend(count.to_be_bytes());
                    data_offset = out.len();
                    out.extend([0; 4]);
                    for sample in &self.samples {
                        out.extend(sample.duration.to_be_bytes());
                        out.extend(sample.size.to_be_bytes());
                        let flags = if sample.keyframe { KEYFRAME } else { DELTA };
                        out.extend(flags.to_be_bytes());
                        if composed {
                            out.extend(sample.offset.to_be_bytes());
                        }
                    }
                });
            });
        });
        // Known only now: behind the moof and the header of the mdat.
        let offset = u32::try_from(out.len() + 8).unwrap_or(u32::MAX);
        out[data_offset..data_offset + 4].copy_from_slice(&offset.to_be_bytes());
        write(&mut out, *b"mdat", |out| out.extend_from_slice(&self.data));
        self.samples.clear();
        self.data.clear();
        Some(out)
    }
}

/// Nanoseconds in units, rounded to the nearest.
fn units(ns: i64) -> i64 {
    let units = (i128::from(ns) * i128::from(TIMESCALE) + 500_000_000).div_euclid(1_000_000_000);
    i64::try_from(units).unwrap_or(0)
}
