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
