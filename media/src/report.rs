//! What a scan has found, for a person who wants to know.

use std::ops::Range;

use crate::container::{Container, Track};
use crate::rhythm::Pace;

/// Damaged ranges that are kept; of later ones only the number and the bytes.
const DAMAGE_LIMIT: usize = 64;

/// What a scan has found so far; see [`Indexer::report`](crate::Indexer::report).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The container, once it is known.
    pub container: Option<Container>,
    /// The tracks, in the order of the file.
    pub tracks: Vec<Track>,
    /// Milliseconds up to the end of the last complete frame.
    pub duration_ms: u64,
    /// Frames, keyframes and gaps of the main track.
    pub pace: Pace,
    /// Bytes in front of the first media data; `None` when none was found.
    pub front_matter_bytes: Option<u64>,
    /// Whether there is an index and a duration: an ordinary file, no live stream.
    pub indexed: bool,
    /// Whether it goes on behind its formal end, where players may stop.
    pub goes_on: bool,
    /// What could not be read and was passed over.
    pub damage: Damage,
    /// Bytes at the end that belong to no complete frame or index.
    pub torn_bytes: u64,
    /// Bytes behind the end that the Segment's size says there are.
    pub missing_bytes: u64,
}

/// Parts of a stream that are not what they should be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// Stream offsets, in order: the first 64.
    pub ranges: Vec<Range<u64>>,
    /// How many ranges there are.
    pub count: u64,
    /// Bytes in all of them.
    pub bytes: u64,
}

impl Report {
    /// Makes all offsets count from `start` bytes earlier: from the beginning of a file whose stream begins there.
    #[must_use]
    pub fn offset_by(mut self, start: u64) -> Self {
        self.front_matter_bytes = self.front_matter_bytes.map(|at| at.saturating_add(start));
        for range in &mut self.damage.ranges {
            *range = range.start.saturating_add(start)..range.end.saturating_add(start);
        }
        self
    }
}

impl Damage {
    pub(crate) fn add(&mut self, range: Range<u64>) {
        self.count += 1;
        self.bytes = self
            .bytes
            .saturating_add(range.end.saturating_sub(range.start));
        if self.ranges.len() < DAMAGE_LIMIT {
            self.ranges.push(range);
        }
    }
}

/// A range of the received stream that players do not see; see [`Finish`](crate::Finish).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct LeftOut {
    /// Stream offset of its first byte.
    pub offset: u64,
    /// Bytes, at least 1.
    pub length: u64,
    /// Why it is left out.
    pub reason: LeftOutReason,
}

impl LeftOut {
    /// The bytes `range` of the stream; `None` for an empty range.
    pub(crate) fn new(range: Range<u64>, reason: LeftOutReason) -> Option<Self> {
        let length = range.end.checked_sub(range.start)?;
        (length > 0).then_some(Self {
            offset: range.start,
            length,
            reason,
        })
    }
}

/// Why a part of the received stream is left out. Displays as a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum LeftOutReason {
    /// The last frame, element or box is incomplete.
    #[error("The recording ends in the middle of a frame or element.")]
    Torn,
    /// The sender's own index, replaced by ours.
    #[error("The sender's index is replaced by a complete one.")]
    ReplacedIndex,
    /// A last cluster or fragment without a complete frame.
    #[error("The last cluster or fragment contains no complete frame.")]
    NoFrames,
    /// Bytes that no element or box of the container explains.
    #[error("The data is damaged and cannot be read.")]
    Damaged,
    /// Bytes behind the end of the recording that belong to no recording.
    #[error("The data behind the end of the recording is not part of a recording.")]
    TrailingData,
    /// A further recording in the same stream that cannot be joined with the first.
    #[error(
        "A further recording follows that cannot be joined with the first: its tracks differ, or its times cannot be changed."
    )]
    OtherRecording,
    /// Frames that the file's index cannot describe.
    #[error("The frames belong to no track that the recording describes.")]
    NoTrack,
}

impl LeftOutReason {
    /// Every reason, for descriptions of an API.
    pub const ALL: [Self; 7] = [
        Self::Torn,
        Self::ReplacedIndex,
        Self::NoFrames,
        Self::Damaged,
        Self::TrailingData,
        Self::OtherRecording,
        Self::NoTrack,
    ];

    /// The stable name in APIs and JSON output, in snake case.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Torn => "torn",
            Self::ReplacedIndex => "replaced_index",
            Self::NoFrames => "no_frames",
            Self::Damaged => "damaged",
            Self::TrailingData => "trailing_data",
            Self::OtherRecording => "other_recording",
            Self::NoTrack => "no_track",
        }
    }

    /// Bytes of the size of a Void that hides a part of a WebM for this reason. No muxer pads to such a width, so a
    /// later scan finds the reason again.
    pub(crate) fn void_width(self) -> Option<usize> {
        match self {
            Self::OtherRecording => Some(5),
            Self::TrailingData => Some(6),
            Self::Damaged => Some(7),
            _ => None,
        }
    }

    /// The reason that a Void whose size takes `width` bytes stands for.
    pub(crate) fn of_void_width(width: u64) -> Option<Self> {
        match width {
            5 => Some(Self::OtherRecording),
            6 => Some(Self::TrailingData),
            7 => Some(Self::Damaged),
            _ => None,
        }
    }

    /// Whether nothing of the recording itself is lost: the bytes are metadata whose place another index takes.
    #[must_use]
    pub fn is_harmless(self) -> bool {
        matches!(self, Self::ReplacedIndex)
    }
}
