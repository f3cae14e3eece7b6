//! Ranges of a stream that players do not see, and the reasons.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Most ranges that are listed.
pub(crate) const LIMIT: usize = 64;

/// A range of the received stream that players skip; see [`Finish`](crate::Finish).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LeftOut {
    /// Stream offset of the first byte.
    pub offset: u64,
    /// Length in bytes, at least 1.
    pub length: u64,
    /// Reason for leaving the range out.
    pub reason: LeftOutReason,
}

impl LeftOut {
    /// Describes the range of a stream; `None` for an empty range.
    pub(crate) fn new(range: Range<u64>, reason: LeftOutReason) -> Option<Self> {
        let length = range.end.checked_sub(range.start)?;
        (length > 0).then_some(Self {
            offset: range.start,
            length,
            reason,
        })
    }
}

/// Left-out ranges in any order: the first 64.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct LeftOutList(Vec<LeftOut>);

impl LeftOutList {
    /// Adds a range, or extends the last one if it continues there.
    pub(crate) fn add(&mut self, range: Range<u64>, reason: LeftOutReason) {
        let Some(added) = LeftOut::new(range, reason) else {
            return;
        };
        if let Some(last) = self.0.last_mut()
            && last.reason == reason
            && last.offset + last.length == added.offset
        {
            last.length += added.length;
        } else if self.0.len() < LIMIT {
            self.0.push(added);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = LeftOut> {
        self.0.iter().copied()
    }

    /// Heap size.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.0.capacity() * size_of::<LeftOut>()
    }
}

/// Sorts ranges and shortens those that overlap an earlier one. Keeps the first 64.
pub(crate) fn without_overlaps(mut ranges: Vec<LeftOut>) -> Vec<LeftOut> {
    ranges.sort_by_key(|range| range.offset);
    let mut end = 0;
    ranges.retain_mut(|range| {
        let range_end = range.offset.saturating_add(range.length);
        range.offset = range.offset.max(end);
        range.length = range_end.saturating_sub(range.offset);
        end = end.max(range_end);
        range.length > 0
    });
    ranges.truncate(LIMIT);
    ranges
}

/// Reason for leaving a part of the stream out. Displays as a sentence.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    thiserror::Error,
    Serialize,
    Deserialize,
)]
#[non_exhaustive]
pub enum LeftOutReason {
    /// The last frame, element or box is incomplete.
    #[error("The recording ends in the middle of a frame or element.")]
    Torn,
    /// The sender's own index, which ours replaces.
    #[error("The sender's index is replaced by a complete one.")]
    ReplacedIndex,
    /// A last cluster or fragment without a complete frame.
    #[error("The last cluster or fragment contains no complete frame.")]
    NoFrames,
    /// Bytes that are no valid element or box.
    #[error("The data is damaged and cannot be read.")]
    Damaged,
    /// Bytes behind the end of the recording that belong to no recording.
    #[error("The data behind the end of the recording is not part of a recording.")]
    TrailingData,
    /// Another recording in the same stream that cannot be joined with the first.
    #[error(
        "A further recording follows that cannot be joined with the first: its tracks differ, or its times cannot be changed."
    )]
    OtherRecording,
    /// Frames that the file's index cannot describe.
    #[error("The frames belong to no track that the recording describes.")]
    NoTrack,
}

impl LeftOutReason {
    /// All reasons, for descriptions of an API.
    pub const ALL: [Self; 7] = [
        Self::Torn,
        Self::ReplacedIndex,
        Self::NoFrames,
        Self::Damaged,
        Self::TrailingData,
        Self::OtherRecording,
        Self::NoTrack,
    ];

    /// Returns the stable name for APIs and JSON, in snake case.
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

    /// Width of the size of a Void that hides a part of a WebM for this reason. Muxers do not pad to these widths, so
    /// that a later scan recognises the reason.
    pub(crate) fn void_width(self) -> Option<usize> {
        match self {
            Self::OtherRecording => Some(5),
            Self::TrailingData => Some(6),
            Self::Damaged => Some(7),
            _ => None,
        }
    }

    /// Returns the reason for which a Void whose size is `width` bytes wide was written.
    pub(crate) fn of_void_width(width: u64) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|reason| reason.void_width().is_some_and(|own| own as u64 == width))
    }

    /// Whether the bytes are only metadata that another index replaces, so that nothing of the recording is lost.
    #[must_use]
    pub fn is_harmless(self) -> bool {
        matches!(self, Self::ReplacedIndex)
    }
}
