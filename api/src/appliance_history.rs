//! Last 24 hours of an appliance.

use serde::{Deserialize, Serialize};

/// Response of `GET /api/appliance/history`: signal, dropped frames and recordings of the last 24 hours. All times are
/// RFC 3339, in order, and follow the present clock of the appliance: a clock that was set shifts earlier ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ApplianceHistory {
    /// Begin of the 24 hours.
    pub from: String,
    /// Time of the response.
    pub to: String,
    /// Signal, to the minute. Times without a span are unknown, for example before a restart.
    pub signal: Vec<SignalSpan>,
    /// Minutes in which frames were dropped.
    pub dropped: Vec<DroppedSpan>,
    /// Playable recordings, and the growing one.
    pub recordings: Vec<RecordedSpan>,
}

/// Time with or without a signal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SignalSpan {
    /// Begin of the span (RFC 3339).
    pub from: String,
    /// End of the span (RFC 3339).
    pub to: String,
    /// `false` if the signal was missing at any time of each minute.
    pub has_signal: bool,
}

/// Time in which frames were dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DroppedSpan {
    /// Begin of the span (RFC 3339).
    pub from: String,
    /// End of the span (RFC 3339).
    pub to: String,
    /// Number of dropped frames.
    pub frames: u64,
}

/// Time that a recording shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RecordedSpan {
    /// ID of the recording.
    pub id: String,
    /// Begin of the recording, which may be before the 24 hours.
    pub from: String,
    /// End of the recording.
    pub to: String,
    /// Whether it is still growing.
    #[serde(default)]
    pub growing: bool,
}
