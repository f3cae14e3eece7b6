//! Activity of a recording over time.

use serde::{Deserialize, Serialize};

/// Response to `GET /api/recordings/{id}/activity`: how much the picture changes over time, from the sizes of the encoded
/// frames.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Activity {
    /// Length of a bucket in milliseconds: 1000 times a power of two.
    pub bucket_ms: u64,
    /// Activity of each bucket, from the start of the recording: 0 (nothing changes) to 255, on a logarithmic scale. At
    /// most 4096 buckets.
    pub levels: Vec<u8>,
    /// Spans of more than five seconds in which nothing happens, in order.
    pub idle: Vec<IdleSpan>,
    /// Duration of the recording without its idle spans, in milliseconds.
    pub active_ms: u64,
}

/// A span of a recording in which nothing happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct IdleSpan {
    /// Start in milliseconds from the start of the recording.
    pub start_ms: u64,
    /// End in milliseconds from the start of the recording.
    pub end_ms: u64,
}
