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
    /// Size of the clip in bytes. `None` for a copy as MP4, whose end shows while the bytes pass, and for WebM and
    /// Matroska until the [`tail`](Self::tail) is read.
    pub size: Option<u64>,
    /// Adapts the bytes of the ranges.
    pub body: ClipBody,
}

/// Last bytes of a clip whose size is not known, from its last keyframe on.
#[derive(Debug)]
#[non_exhaustive]
pub struct ClipTail {
    /// Offset in the clip. With the number of bytes that the body returns, it is the size of the clip.
    pub offset: u64,
    /// Range of the recording's file. The clip ends within it, at most a keyframe interval behind its start.
    pub range: Range<u64>,
    /// Adapts the bytes of the range.
    pub body: ClipBody,
}

impl Clip {
    /// Returns the tail of a clip of WebM or Matroska.
    #[must_use]
    pub fn tail(&self) -> Option<ClipTail> {
        let Adapter::Webm(rewriter) = &self.body.0 else {
            return None;
        };
        let range = self.ranges.first()?;
        let (at, rewriter) = rewriter.resumed(u64::MAX);
        Some(ClipTail {
            offset: (self.head.len() as u64).saturating_add(at),
            range: range.start.saturating_add(at)..range.end,
            body: ClipBody::webm(rewriter),
        })
    }

    /// Leaves out bytes in front of `offset`, and returns how many of those remain: up to a keyframe interval. `None` for
    /// a copy as MP4, which is made from its beginning.
    pub fn skip_to(&mut self, offset: u64) -> Option<u64> {
        if matches!(self.body.0, Adapter::Remux { .. }) {
            return None;
        }
        let head = self.head.len() as u64;
        let Some(wanted) = offset.checked_sub(head).filter(|&wanted| wanted > 0) else {
            self.head.drain(
                ..usize::try_from(offset)
                    .unwrap_or(usize::MAX)
                    .min(self.head.len()),
            );
            return Some(0);
        };
        self.head.clear();
        match &mut self.body.0 {
            Adapter::Webm(rewriter) => {
                let (at, resumed) = rewriter.resumed(wanted);
                **rewriter = resumed;
                if let Some(range) = self.ranges.first_mut() {
                    range.start = range.start.saturating_add(at).min(range.end);
                }
                Some(wanted - at)
            }
            Adapter::Mp4(picker) => {
                self.ranges = picker.skip(wanted);
                Some(0)
            }
            Adapter::Remux { .. } => None,
        }
    }
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
