//! Findings of a scan, for inspection and repair.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::container::Container;
use crate::frame_stats::FrameStats;
use crate::track::Track;

/// Maximum number of listed damaged ranges.
const DAMAGE_LIMIT: usize = 64;

/// Findings of a scan; see [`Indexer::report`](crate::Indexer::report).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Container format, if known.
    pub container: Option<Container>,
    /// Tracks in the order of the file.
    pub tracks: Vec<Track>,
    /// Duration in milliseconds: the end of the last complete frame.
    pub duration_ms: u64,
    /// Frame statistics of the main track.
    pub frame_stats: FrameStats,
    /// Bytes in front of the first media data; `None` if there is none.
    pub front_matter_bytes: Option<u64>,
    /// Whether the file has an index and a duration. `false` for a live stream.
    pub indexed: bool,
    /// Whether data follows behind the declared end, where players may stop.
    pub data_behind_end: bool,
    /// Damage that was skipped.
    pub damage: Damage,
    /// Bytes at the end that belong to no complete frame or index.
    pub torn_bytes: u64,
    /// Bytes behind the end that the Segment's size declares.
    pub missing_bytes: u64,
}

/// Damaged parts of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Damage {
    /// Damaged ranges as stream offsets, in order: the first 64.
    pub ranges: Vec<Range<u64>>,
    /// Number of damaged ranges.
    pub count: u64,
    /// Total size of the damaged ranges.
    pub bytes: u64,
}

impl Report {
    /// Adds `start` to all offsets, so that they refer to a file whose stream begins at `start`.
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
