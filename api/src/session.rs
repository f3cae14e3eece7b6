//! Sessions of watched applications.

use serde::{Deserialize, Serialize};

use crate::Metadata;
use crate::labels::{present, required};

/// Body of `POST /api/sessions`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NewSession {
    /// Watched application, as named by the embedding platform; `record` for the bundled Record page.
    pub app_id: String,
    /// Owner of the session, if an administrator creates it for another user; default: the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// Initial status, default `running`. A platform that is still starting a container sends `creating`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<SessionStatus>,
    /// Whether to record the session automatically; default: the setting `recording_auto_record`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_record: Option<bool>,
    /// Whether the session must be recorded while it is running; default `optional`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<RecordingRequirement>,
    /// ID of the session at the embedding platform: 1–200 characters, unique among the sessions of its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Data of the embedding platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
}

/// Whether a session must be recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RecordingRequirement {
    /// A missing recording is not reported.
    #[default]
    Optional,
    /// A running session without live bytes for `SORTIE_RECORDING_MISSING_SECONDS` is reported.
    Required,
}

/// Response to `POST /api/sessions/{id}/token`.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RecordingToken {
    /// Token for `Authorization: Bearer …`, valid until the session ends.
    pub token: String,
    /// Seconds until the token expires; another request creates another token.
    pub expires_in: u64,
}

/// State of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SessionStatus {
    /// Being set up; cannot be recorded yet.
    Creating,
    /// Can be recorded until it ends.
    Running,
    /// Ended on request.
    Stopped,
    /// Ended by a time limit.
    Expired,
    /// Ended by an error.
    Failed,
}

impl SessionStatus {
    /// Whether the session has ended. An ended session never runs again.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Stopped | Self::Expired | Self::Failed)
    }
}

/// A session of a watched application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Session {
    /// Unique ID, never reused.
    pub id: String,
    /// ID of the owner.
    pub user_id: String,
    /// User name of the owner, in lists that span several users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The application that is watched.
    pub app_id: String,
    /// State of the session.
    pub status: SessionStatus,
    /// `"auto"` while auto-record is on for this session, else `""`.
    pub recording_policy: String,
    /// Whether the session should be recorded automatically: auto-record is on, the session is running, and its user
    /// has not stopped a recording in it.
    #[serde(default)]
    pub auto_record: bool,
    /// Whether auto-record is on or off for this session regardless of the setting; absent: the setting decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_record_override: Option<bool>,
    /// Whether the session must be recorded while it is running.
    #[serde(default)]
    pub recording: RecordingRequirement,
    /// Time since which the required recording of this running session is missing: RFC 3339, UTC; absent while it is
    /// recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording_missing_since: Option<String>,
    /// ID at the embedding platform, if set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Data of the embedding platform; empty if not set.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// Creation time: RFC 3339, UTC.
    pub created_at: String,
    /// Time at which it stopped, expired or failed: RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
}

/// Body of `PATCH /api/sessions/{id}`, sent by the embedding platform: at least one field. Absent fields stay unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SessionUpdate {
    /// New status: `running`, `stopped`, `expired` or `failed`. Ending a session stops and finishes its recordings.
    /// Any other status for an ended session is a 409.
    #[serde(
        default,
        deserialize_with = "required",
        skip_serializing_if = "Option::is_none"
    )]
    pub status: Option<SessionStatus>,
    /// Whether to record the session automatically; `null` returns to the setting.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub auto_record: Option<Option<bool>>,
    /// Whether the session must be recorded. Only an administrator may change `required` to `optional`.
    #[serde(
        default,
        deserialize_with = "required",
        skip_serializing_if = "Option::is_none"
    )]
    pub recording: Option<RecordingRequirement>,
    /// ID at the embedding platform; `null` removes it.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub external_id: Option<Option<String>>,
    /// Data of the embedding platform, replaced as a whole; `null` removes it.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub metadata: Option<Option<Metadata>>,
}
