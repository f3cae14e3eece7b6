//! Containers, tracks, and the changes that make a stored stream a seekable file.

use crate::report::LeftOut;
#[cfg(doc)]
use crate::stored::HEAD_ROOM;

/// First four bytes of every EBML document (RFC 8794, section 8.1).
const EBML_MAGIC: [u8; 4] = [0x1A, 0x45, 0xDF, 0xA3];
/// Types of the box that an MP4 file begins with (ISO/IEC 14496-12; the last four occur in QuickTime files).
const MP4_FIRST_BOXES: [&[u8; 4]; 15] = [
    b"ftyp", b"styp", b"moov", b"moof", b"sidx", b"mdat", b"uuid", b"emsg", b"prft", b"pdin",
    b"ssix", b"free", b"skip", b"wide", b"pnot",
];

/// Container family, recognised by the first bytes of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signature {
    /// WebM or Matroska.
    Ebml,
    Mp4,
    Unknown,
}

impl Signature {
    /// Number of bytes that always suffice for recognition.
    pub(crate) const SIZE: usize = 8;

    /// Recognises a container family; `None` while more bytes are needed.
    pub(crate) fn of(first: &[u8]) -> Option<Self> {
        if first.starts_with(&EBML_MAGIC) {
            return Some(Self::Ebml);
        }
        let kind = first.get(4..Self::SIZE)?;
        let is_mp4 = MP4_FIRST_BOXES.iter().any(|first| kind == first.as_slice());
        Some(if is_mp4 { Self::Mp4 } else { Self::Unknown })
    }
}

/// Container format of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Container {
    /// WebM: Matroska with `DocType` "webm".
    WebM,
    /// Matroska with `DocType` "matroska", such as Chromium's `video/x-matroska;codecs=avc1`.
    Matroska,
    /// ISO base media (MP4), fragmented or not.
    Mp4,
}

impl Container {
    /// Returns the usual file name extension, without a dot: `webm`, `mkv` or `mp4`.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::WebM => "webm",
            Self::Matroska => "mkv",
            Self::Mp4 => "mp4",
        }
    }

    /// Returns the media type for `Content-Type`.
    #[must_use]
    pub fn mime_type(self) -> &'static str {
        match self {
            Self::WebM => "video/webm",
            Self::Matroska => "video/x-matroska",
            Self::Mp4 => "video/mp4",
        }
    }
}

/// Bytes that overwrite a part of the stored file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// Position in the stored file, in bytes from its start.
    pub position: u64,
    /// Replacement bytes, at most [`HEAD_ROOM`].
    pub bytes: Vec<u8>,
}

/// Media type of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TrackKind {
    /// A video track.
    Video,
    /// An audio track.
    Audio,
    /// Any other track: subtitles, buttons, metadata.
    Other,
}

/// Description of a track.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Track {
    /// Number by which blocks or fragments refer to the track.
    pub number: u64,
    /// Media type.
    pub kind: TrackKind,
    /// Codec identifier of the container, such as `V_VP9` or `avc1`.
    pub codec: String,
    /// Duration of a frame in nanoseconds, if the container declares one.
    pub default_duration_ns: Option<u64>,
    /// Width of the video in pixels; 0 if unknown or not video.
    pub width: u32,
    /// Height of the video in pixels; 0 if unknown or not video.
    pub height: u32,
    /// Audio sample rate in Hz; 0 if unknown or not audio.
    pub sample_rate_hz: u32,
    /// Number of audio channels; 0 if unknown or not audio.
    pub channels: u32,
    /// Language in the notation of the container: `eng`, or a BCP 47 tag such as `de-AT`. `None` if undetermined.
    pub language: Option<String>,
}

/// Changes that turn the stored stream into a seekable file.
///
/// To apply them, truncate the stored file to [`keep`](Self::keep) bytes, write [`append`](Self::append) behind them,
/// sync, then write the [`patches`](Self::patches) in order and sync again. A crash in between leaves a playable file,
/// and scanning it again leads to the same result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finish {
    /// Container format.
    pub container: Container,
    /// Duration of the recording in milliseconds: the end of its last complete frame.
    pub duration_ms: u64,
    /// Number of bytes to keep of the stored file, head room included. The bytes behind are a torn last element, or an
    /// index of the sender's that ours replaces.
    pub keep: u64,
    /// Bytes to write at `keep`: the index. Empty if there is nothing to index.
    ///
    /// Less than 256 KiB for WebM and Matroska, plus up to 1 MiB that completes a torn last cluster if
    /// [`patch_clusters`](crate::Options::patch_clusters) is off. For MP4 about 4 to 12 bytes a frame, at most 32 MiB
    /// for a fragmented file, plus up to 8 MiB that complete a torn last fragment.
    pub append: Vec<u8>,
    /// Bytes to overwrite once the index is durable.
    pub patches: Vec<Patch>,
    /// Tracks in the order of the file.
    pub tracks: Vec<Track>,
    /// Number of index entries, the points to which players can seek.
    pub keyframes: usize,
    /// Ranges of the stream that the stored file no longer contains, in order. Invariant: `received == keep -
    /// HEAD_ROOM + Σ length`, so that every received byte is stored or listed here.
    pub left_out: Vec<LeftOut>,
    /// Ranges of the stream that are stored but that players ignore, in order, at most 64. Only ranges that may be
    /// part of a recording are listed, not the structure of the container.
    pub hidden: Vec<LeftOut>,
}
