//! A clip: a part of a recording as a file of its own.

use std::ops::Range;

use crate::container::Container;
use crate::remux::{NoRemux, Remuxer};
use crate::{mp4, webm};

/// A part of a recording as a file of its own, from a keyframe on: a new head, then ranges of the recording's file that
/// pass through [`ClipBody`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Clip {
    /// Container format: that of the recording, or MP4 for a copy.
    pub container: Container,
    /// Time of the first frame in the recording, in milliseconds.
    pub start_ms: u64,
    /// End in the recording, in milliseconds.
    pub end_ms: u64,
    /// First bytes of the clip: description of the tracks and complete index. Empty for a copy as MP4.
    pub head: Vec<u8>,
    /// Ranges of the recording's file that follow the head, in order. Never empty.
    pub ranges: Vec<Range<u64>>,
    /// Size of the clip in bytes. `None` for WebM, Matroska, and a copy as MP4, where the end shows while the bytes
    /// pass.
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
    Remux {
        /// Selects the frames of a clip; `None` for the whole recording.
        clip: Option<Box<webm::Rewriter>>,
        remuxer: Box<Remuxer>,
    },
}

impl ClipBody {
    pub(crate) fn webm(rewriter: webm::Rewriter) -> Self {
        Self(Adapter::Webm(Box::new(rewriter)))
    }

    pub(crate) fn mp4(picker: mp4::Picker) -> Self {
        Self(Adapter::Mp4(picker))
    }

    pub(crate) fn remuxed(self, remuxer: Remuxer) -> Self {
        let clip = match self.0 {
            Adapter::Webm(rewriter) => Some(rewriter),
            Adapter::Mp4(_) | Adapter::Remux { .. } => None,
        };
        let remuxer = Box::new(remuxer);
        Self(Adapter::Remux { clip, remuxer })
    }

    pub(crate) fn remux(remuxer: Remuxer) -> Self {
        Self(Adapter::Remux {
            clip: None,
            remuxer: Box::new(remuxer),
        })
    }

    /// Takes the next bytes of the ranges and returns the next bytes of the clip.
    #[must_use]
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        match &mut self.0 {
            Adapter::Webm(rewriter) => rewriter.push(bytes),
            Adapter::Mp4(picker) => picker.push(bytes),
            Adapter::Remux { clip, remuxer } => match clip {
                Some(clip) => remuxer.push(&clip.push(bytes)),
                None => remuxer.push(bytes),
            },
        }
    }

    /// Returns the last bytes of the clip. To be called behind the last range, or when the clip is complete.
    #[must_use]
    pub fn finish(&mut self) -> Vec<u8> {
        match &mut self.0 {
            Adapter::Webm(_) | Adapter::Mp4(_) => Vec::new(),
            Adapter::Remux { remuxer, .. } => remuxer.finish(),
        }
    }

    /// Returns the reason why a copy as MP4 cannot be continued. All bytes so far are valid, but more are missing.
    #[must_use]
    pub fn failure(&self) -> Option<&NoRemux> {
        match &self.0 {
            Adapter::Webm(_) | Adapter::Mp4(_) => None,
            Adapter::Remux { remuxer, .. } => remuxer.failure(),
        }
    }

    /// Whether the clip ends here, before the end of its ranges.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        match &self.0 {
            Adapter::Webm(rewriter) => rewriter.is_complete(),
            Adapter::Mp4(_) => false,
            Adapter::Remux { clip, remuxer } => {
                remuxer.failure().is_some() || clip.as_ref().is_some_and(|clip| clip.is_complete())
            }
        }
    }
}
