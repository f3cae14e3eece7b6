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
    /// Media type with codecs, such as `video/webm; codecs="vp9,opus"`, for Media Source Extensions. Absent for files
    /// whose bytes cannot be appended as they are: MP4 with an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Size of the file in bytes.
    #[serde(default)]
    pub size_bytes: u64,
}
