//! Markers: named points in time of a recording.

use serde::{Deserialize, Serialize};

/// Origin of a marker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MarkerKind {
    /// A note of a user or of the embedding platform.
    #[default]
    Note,
    /// The recording was paused here.
    Pause,
    /// Bytes or pictures are missing here.
    Gap,
    /// A further part begins here.
    Part,
    /// The encoder was restarted here.
    EncoderRestart,
}

/// A marker. `GET /api/recordings/{id}/markers` returns an array in the order of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Marker {
    /// Unique ID within the recording.
    pub id: String,
    /// Milliseconds from the start of the recording.
    pub time_ms: u64,
    /// Text; may be empty.
    pub text: String,
    /// Origin of the marker.
    pub kind: MarkerKind,
    /// Name of the user who set the marker; absent for automatic ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Creation time: RFC 3339, UTC.
    pub created_at: String,
}

/// Body of `POST /api/recordings/{id}/markers`. The response is the [`Marker`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewMarker {
    /// ID that the sender chooses: 1–64 letters, digits, `-` and `_`. A repetition with the same ID adds nothing and is
    /// answered with 200 and the marker, whose `id` contains it. With it, a time behind the end of a finished recording
    /// means the end, because a recorder may be ahead of its file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Milliseconds from the start of the recording.
    pub time_ms: u64,
    /// Text: up to 500 characters.
    #[serde(default)]
    pub text: String,
    /// Origin of the marker.
    #[serde(default)]
    pub kind: MarkerKind,
}

/// Body of `PATCH /api/recordings/{id}/markers/{marker}`. Absent fields stay unchanged. The response is the [`Marker`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MarkerUpdate {
    /// Milliseconds from the start of the recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_ms: Option<u64>,
    /// Text: up to 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}
