//! Container formats and their recognition.

use serde::{Deserialize, Serialize};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
