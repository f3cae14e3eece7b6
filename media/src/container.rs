//! What is stored and what changes in it.

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
    /// Bytes that always suffice.
    pub(crate) const SIZE: usize = 8;

    /// `None` while more bytes are needed.
    pub(crate) fn of(first: &[u8]) -> Option<Self> {
        if first.starts_with(&EBML_MAGIC) {
            return Some(Self::Ebml);
        }
        let kind = first.get(4..Self::SIZE)?;
        let is_mp4 = MP4_FIRST_BOXES.iter().any(|first| kind == first.as_slice());
        Some(if is_mp4 { Self::Mp4 } else { Self::Unknown })
    }
}

/// The container a recording arrives in.
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
    /// The usual file name extension, without a dot: `webm`, `mkv` or `mp4`.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::WebM => "webm",
            Self::Matroska => "mkv",
            Self::Mp4 => "mp4",
        }
    }

    /// The media type to serve a file of this container with.
    #[must_use]
    pub fn mime_type(self) -> &'static str {
        match self {
            Self::WebM => "video/webm",
            Self::Matroska => "video/x-matroska",
            Self::Mp4 => "video/mp4",
        }
    }
}

/// Bytes to write over bytes that are stored already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// Where in the stored file, in bytes from its beginning.
    pub position: u64,
    /// What to write there: at most [`HEAD_ROOM`] bytes.
    pub bytes: Vec<u8>,
}

/// What a track carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TrackKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Subtitles, buttons, metadata and the like.
    Other,
}

/// One track of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Track {
    /// The number blocks or fragments name it by.
    pub number: u64,
    /// What it carries.
    pub kind: TrackKind,
    /// The codec as the container spells it, such as `V_VP9` or `avc1`.
    pub codec: String,
    /// Nanoseconds a frame lasts, where the container says so.
    pub default_duration_ns: Option<u64>,
    /// Width of a picture in pixels; 0 when unknown or not video.
    pub width: u32,
    /// Height of a picture in pixels; 0 when unknown or not video.
    pub height: u32,
    /// Sound samples per second; 0 when unknown or not audio.
    pub sample_rate_hz: u32,
    /// Sound channels; 0 when unknown or not audio.
    pub channels: u32,
    /// Language, as the container spells it: `eng`, or a BCP 47 tag such as `de-AT`. `None` when it is not said.
    pub language: Option<String>,
}

/// What turns the stored bytes into an ordinary, seekable file.
///
/// To apply: cut the stored file to [`keep`](Self::keep) bytes, write [`append`](Self::append) there, make that
/// durable, then write the [`patches`](Self::patches) in order and make them durable. A crash anywhere in
/// between leaves a playable file, and scanning it again leads to the same result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finish {
    /// The container.
    pub container: Container,
    /// Length of the recording in milliseconds: the end of its last complete frame.
    pub duration_ms: u64,
    /// Bytes of the stored file to keep, head room included. What follows is a torn last element or an index
    /// of the sender's that is replaced by ours.
    pub keep: u64,
    /// Bytes to write at `keep`: the index; empty when there is nothing to index.
    ///
    /// Below 256 KiB for WebM and Matroska (1 MiB more with [`patch_clusters`](crate::Options::patch_clusters)
    /// switched off, where a torn last cluster is filled up). For MP4 some 4 to 12 bytes for each frame, up to
    /// 32 MiB for a fragmented file, and at most 8 MiB that fill a torn last fragment up.
    pub append: Vec<u8>,
    /// Bytes to write over stored ones once the index is durable.
    pub patches: Vec<Patch>,
    /// The tracks, in the order of the file.
    pub tracks: Vec<Track>,
    /// Entries of the index: the places a player can jump to.
    pub keyframes: usize,
    /// Ranges of the stream that the stored file no longer has, in order. Together with the bytes of the stream in
    /// front of [`keep`](Self::keep) they are everything that was received: `received == keep - HEAD_ROOM + Σ length`.
    pub left_out: Vec<LeftOut>,
    /// Ranges of the stream that the stored file has, but players pass over, in order: at most 64. Containers' own
    /// structure is not named, only what may have been part of a recording.
    pub hidden: Vec<LeftOut>,
}
