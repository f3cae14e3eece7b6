//! A clip: a part of a recording as a file of its own.

use std::ops::Range;

use crate::container::Container;
use crate::{mp4, webm};

/// A part of a recording as a file of its own, from a keyframe on: a new head, then ranges of the recording's file that
/// pass through [`ClipBody`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Clip {
    /// Container format, the same as that of the recording.
    pub container: Container,
    /// Time of the first frame in the recording, in milliseconds.
    pub start_ms: u64,
    /// End in the recording, in milliseconds.
    pub end_ms: u64,
    /// First bytes of the clip: description of the tracks and complete index.
    pub head: Vec<u8>,
    /// Ranges of the recording's file that follow the head, in order. Never empty.
    pub ranges: Vec<Range<u64>>,
    /// Size of the clip in bytes. `None` for WebM and Matroska, where the end shows while the bytes pass.
    pub size: Option<u64>,
    /// Adapts the bytes of the ranges.
    pub body: ClipBody,
}

/// Adapts the bytes of a clip while they pass.
#[derive(Debug)]
pub struct ClipBody(Adapter);

#[derive(Debug)]
enum Adapter {
    Webm(Box<webm::Rewriter>),
    Mp4(mp4::Picker),
}

impl ClipBody {
    pub(crate) fn webm(rewriter: webm::Rewriter) -> Self {
        Self(Adapter::Webm(Box::new(rewriter)))
    }

    pub(crate) fn mp4(picker: mp4::Picker) -> Self {
        Self(Adapter::Mp4(picker))
    }

    /// Takes the next bytes of the ranges and returns the next bytes of the clip.
    #[must_use]
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        match &mut self.0 {
            Adapter::Webm(rewriter) => rewriter.push(bytes),
            Adapter::Mp4(picker) => picker.push(bytes),
        }
    }

    /// Whether the clip ends here, before the end of its ranges.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        match &self.0 {
            Adapter::Webm(rewriter) => rewriter.is_complete(),
            Adapter::Mp4(_) => false,
        }
    }
}
