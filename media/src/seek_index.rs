//! Reader for the index of a finished file.

use std::ops::Range;

use crate::clip::{Clip, ClipBody};
use crate::container::{Container, Signature};
use crate::remux::{NoRemux, Remuxer};
use crate::{live, mp4, webm};

/// Bytes that are read at a time, where the size of an element is not known: the head with its Cues and Tracks.
pub(crate) const READ_SIZE: u64 = 64 << 10;
/// Most reads of a file. A head, Tracks and Cues take three.
const READS: u32 = 24;
/// Most keyframes that [`SeekIndex::keyframes`] returns.
pub(crate) const KEYFRAMES: usize = 4096;

/// Reason why a file has no index that can be used. Displays as a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoSeekIndex {
    /// The file is no finished WebM, Matroska or MP4, is damaged, or lists no keyframe.
    #[error("The file of this recording has no index of its keyframes.")]
    Missing,
    /// The file is an MP4 that stayed fragmented.
    #[error("This recording is a fragmented MP4, which has no index of its keyframes.")]
    Fragmented,
    /// The index is larger than any that this crate writes.
    #[error("The index of this recording is too large.")]
    TooLarge,
}

/// A point at which playback can start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keyframe {
    /// Time in milliseconds, rounded down.
    pub time_ms: u64,
    /// Position in the file from which a player reads: the cluster of a WebM, the frame of an MP4.
    pub position: u64,
}

/// Index of a finished file.
#[derive(Debug)]
pub struct SeekIndex(Format);

#[derive(Debug)]
enum Format {
    Webm(webm::Index),
    Mp4(mp4::Index),
}

impl SeekIndex {
    /// Returns the container format.
    #[must_use]
    pub fn container(&self) -> Container {
        match &self.0 {
            Format::Webm(index) => index.container(),
            Format::Mp4(_) => Container::Mp4,
        }
    }

    /// Returns the duration of the file in milliseconds.
    #[must_use]
    pub fn duration_ms(&self) -> u64 {
        match &self.0 {
            Format::Webm(index) => index.duration_ms(),
            Format::Mp4(index) => index.duration_ms(),
        }
    }

    /// Returns the media type with codecs, such as `video/webm; codecs="vp9,opus"`, if Media Source Extensions take the
    /// file's bytes as they are. `None` for an MP4 with sample tables.
    #[must_use]
    pub fn media_type(&self) -> Option<String> {
        let Format::Webm(index) = &self.0 else {
            return None;
        };
        let sources = index.sources().into_iter();
        let tracks: Vec<_> = sources.map(|source| source.track).collect();
        Some(live::media_type(self.container(), &tracks))
    }

    /// Returns keyframes in the order of time, at most 4096, evenly thinned. The first one is always in it.
    #[must_use]
    pub fn keyframes(&self) -> Vec<Keyframe> {
        let mut keyframes = match &self.0 {
            Format::Webm(index) => index.keyframes(),
            Format::Mp4(index) => index.keyframes(),
        };
        let step = keyframes.len().div_ceil(KEYFRAMES).max(1);
        let mut number = 0;
        keyframes.retain(|_| {
            number += 1;
            (number - 1) % step == 0
        });
        keyframes
    }

    /// Returns the clip from the last keyframe at or before `start_ms` up to `end_ms`, or to the end of the recording.
    /// `None` if the range is empty or begins behind the end.
    #[must_use]
    pub fn clip(self, start_ms: u64, end_ms: u64) -> Option<Clip> {
        let duration_ms = self.duration_ms();
        if start_ms >= end_ms.min(duration_ms) {
            return None;
        }
        // The last frame may end within the last millisecond.
        let end_ms = (end_ms < duration_ms).then_some(end_ms);
        match self.0 {
            Format::Webm(index) => index.clip(start_ms, end_ms),
            Format::Mp4(index) => index.clip(start_ms, end_ms),
        }
    }
}

impl SeekIndex {
    /// Returns a copy of the whole recording as fragmented MP4, without re-encoding. A recording that is an MP4 is
    /// returned as a clip.
    ///
    /// The head is empty: the first bytes follow from the first frames. They are at most a few MiB behind.
    ///
    /// # Errors
    ///
    /// [`NoRemux`] if MP4 does not have a codec of the recording. [`ClipBody::failure`] returns errors that show later.
    pub fn to_mp4(self) -> Result<Clip, NoRemux> {
        let end_ms = self.duration_ms();
        match self.0 {
            Format::Mp4(index) => index.clip(0, None).ok_or(NoRemux::NoFrames),
            Format::Webm(index) => {
                let remuxer = Remuxer::new(index.sources(), index.scale_ns(), index.end_ns())?;
                Ok(Clip {
                    container: Container::Mp4,
                    start_ms: 0,
                    end_ms,
                    head: Vec::new(),
                    ranges: vec![index.clusters()],
                    size: None,
                    body: ClipBody::remux(remuxer),
                })
            }
        }
    }

    /// Returns [`clip`](Self::clip) as MP4, as by [`to_mp4`](Self::to_mp4).
    ///
    /// # Errors
    ///
    /// [`NoRemux`] if MP4 does not have a codec of the recording.
    pub fn clip_as_mp4(self, start_ms: u64, end_ms: u64) -> Result<Option<Clip>, NoRemux> {
        let (sources, scale_ns) = match &self.0 {
            Format::Mp4(_) => return Ok(self.clip(start_ms, end_ms)),
            Format::Webm(index) => (index.sources(), index.scale_ns()),
        };
        let Some(clip) = self.clip(start_ms, end_ms) else {
            return Ok(None);
        };
        let length_ns = (clip.end_ms - clip.start_ms).saturating_mul(1_000_000);
        let remuxer = Remuxer::new(sources, scale_ns, length_ns)?;
        Ok(Some(Clip {
            container: Container::Mp4,
            head: Vec::new(),
            body: clip.body.remuxed(remuxer),
            ..clip
        }))
    }
}

/// Bytes of a file that were read last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window<'a> {
    pub(crate) start: u64,
    pub(crate) bytes: &'a [u8],
    /// Size of the file.
    pub(crate) size: u64,
}

impl<'a> Window<'a> {
    /// Returns the bytes from a position on; empty outside of the window.
    pub(crate) fn from(&self, position: u64) -> &'a [u8] {
        let at = position.checked_sub(self.start);
        let at = at.and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| self.bytes.get(at..)).unwrap_or_default()
    }

    /// Requests `length` bytes at a position, at least [`READ_SIZE`] if the file has them.
    pub(crate) fn request(&self, position: u64, length: u64) -> Progress {
        let end = position.saturating_add(length);
        if end > self.size {
            return Progress::Failed(NoSeekIndex::Missing);
        }
        let end = end.max(position.saturating_add(READ_SIZE)).min(self.size);
        Progress::Read(position..end)
    }
}

/// Result of examining a window.
#[derive(Debug)]
pub(crate) enum Progress {
    /// This range is needed next.
    Read(Range<u64>),
    Complete,
    Failed(NoSeekIndex),
}

#[derive(Debug)]
enum State {
    Unknown,
    Webm(Box<webm::Reader>),
    Mp4(Box<mp4::Reader>),
}

/// Reads the index of a finished file with a few ranges: the caller reads [`wanted`](Self::wanted), pushes it, and
/// repeats until nothing is wanted. The media is not read.
///
/// ```
/// use sortie_media::{NoSeekIndex, SeekIndex, SeekIndexReader};
///
/// fn read(file: &[u8]) -> Result<SeekIndex, NoSeekIndex> {
///     let mut reader = SeekIndexReader::new(file.len() as u64);
///     while let Some(range) = reader.wanted() {
///         reader.push(&file[range.start as usize..range.end as usize]);
///     }
///     reader.finish()
/// }
///
/// assert_eq!(read(b"Hello").err(), Some(NoSeekIndex::Missing));
/// ```
#[derive(Debug)]
pub struct SeekIndexReader {
    size: u64,
    reads: u32,
    wanted: Option<Range<u64>>,
    state: State,
    failure: Option<NoSeekIndex>,
}

impl SeekIndexReader {
    /// Creates a reader for a file of `size` bytes.
    #[must_use]
    pub fn new(size: u64) -> Self {
        Self {
            size,
            reads: 0,
            wanted: (size > 0).then(|| 0..size.min(READ_SIZE)),
            state: State::Unknown,
            failure: None,
        }
    }

    /// Returns the range of the file that is needed next, at most 32 MiB; `None` once the index is complete or cannot be
    /// read.
    #[must_use]
    pub fn wanted(&self) -> Option<Range<u64>> {
        self.wanted.clone()
    }

    /// Takes the bytes of the wanted range. Fewer bytes mean that the file is damaged.
    pub fn push(&mut self, bytes: &[u8]) {
        let Some(range) = self.wanted.take() else {
            return;
        };
        self.reads += 1;
        if range.end - range.start != bytes.len() as u64 {
            self.failure = Some(NoSeekIndex::Missing);
            return;
        }
        if let State::Unknown = self.state {
            self.state = match Signature::of(bytes) {
                Some(Signature::Ebml) => State::Webm(Box::default()),
                Some(Signature::Mp4) => State::Mp4(Box::default()),
                _ => State::Unknown,
            };
        }
        let window = Window {
            start: range.start,
            bytes,
            size: self.size,
        };
        let progress = match &mut self.state {
            State::Unknown => Progress::Failed(NoSeekIndex::Missing),
            State::Webm(reader) => reader.examine(window),
            State::Mp4(reader) => reader.examine(window),
        };
        match progress {
            Progress::Read(_) if self.reads >= READS => self.failure = Some(NoSeekIndex::Missing),
            Progress::Read(range) => self.wanted = Some(range),
            Progress::Failed(failure) => self.failure = Some(failure),
            Progress::Complete => {}
        }
    }

    /// Returns the index.
    ///
    /// # Errors
    ///
    /// [`NoSeekIndex`] if the file has none, or if [`wanted`](Self::wanted) ranges were not pushed.
    pub fn finish(self) -> Result<SeekIndex, NoSeekIndex> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        match self.state {
            _ if self.wanted.is_some() => Err(NoSeekIndex::Missing),
            State::Unknown => Err(NoSeekIndex::Missing),
            State::Webm(reader) => reader.finish().map(|index| SeekIndex(Format::Webm(index))),
            State::Mp4(reader) => reader.finish().map(|index| SeekIndex(Format::Mp4(index))),
        }
    }
}
