//! Access to one recording without a sign-in: share links for people, playback URLs for programs.

use serde::{Deserialize, Serialize};

/// Body of `POST /api/recordings/{id}/playback-url`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewPlaybackUrl {
    /// Lifetime in seconds: 60–86,400; 3,600 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u32>,
}

/// Response to `POST /api/recordings/{id}/playback-url`.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlaybackUrl {
    /// Address of the file for `<video src>`. A secret: it works without a sign-in.
    pub url: String,
    /// Expiry: RFC 3339, UTC.
    pub expires_at: String,
}

/// Body of `POST /api/recordings/{id}/shares`.
#[derive(Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewShare {
    /// Lifetime in seconds: 60–31,536,000 (a year); 604,800 (a week) if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u32>,
    /// Password that viewers must enter: 8–256 characters; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Description for the list, not shown to viewers: up to 100 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// Start of the shared range in milliseconds, in the part of the address. Together with `end_ms`; absent: the whole
    /// recording with all of its parts is shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_ms: Option<u64>,
    /// End of the shared range in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_ms: Option<u64>,
}

/// A share link in lists, without its address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Share {
    /// Unique ID, never reused. Not a secret.
    pub id: String,
    /// ID of the recording, of its first part.
    pub recording_id: String,
    /// Description by the creator; absent if empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// Number of the part of which a range is shared; absent: the whole recording is shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<u32>,
    /// Start of the shared range in milliseconds: that of a keyframe, at or before the requested one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_ms: Option<u64>,
    /// End of the shared range in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_ms: Option<u64>,
    /// User name of the creator. The link ends when this user loses access to the recording.
    pub created_by: String,
    /// Creation time: RFC 3339, UTC.
    pub created_at: String,
    /// Expiry: RFC 3339, UTC.
    pub expires_at: String,
    /// Whether viewers must enter a password.
    pub has_password: bool,
    /// Number of views; further requests from the same address (or IPv6 /64) within an hour are the same view.
    pub views: u64,
    /// Last view: RFC 3339, UTC; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_viewed_at: Option<String>,
}

/// Response to `POST /api/recordings/{id}/shares`.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CreatedShare {
    /// The link as in lists.
    #[serde(flatten)]
    pub info: Share,
    /// Address of the page for viewers. Returned only once.
    pub url: String,
}
