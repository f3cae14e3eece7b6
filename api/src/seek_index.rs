//! Index of the keyframes of a recording.

use serde::{Deserialize, Serialize};

/// Response to `GET /api/recordings/{id}/index`: the keyframes that the file's own index lists. Both lists have the same
/// length, at most 4096.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SeekIndex {
    /// Duration of the file in milliseconds.
    pub duration_ms: u64,
    /// Times of the keyframes in milliseconds, in order.
    pub times_ms: Vec<u64>,
    /// Position in the file, in bytes, from which each keyframe is read: the cluster of a WebM, the frame of an MP4.
    pub positions: Vec<u64>,
}
