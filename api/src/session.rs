//! Sessions: what is being watched.

use serde::{Deserialize, Serialize};

/// Body of `POST /api/sessions`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NewSession {
    /// What is being watched, in the embedding platform's words; our Record page says `record`.
    pub app_id: String,
    /// Whose session it is, when an administrator creates it for somebody; else the caller's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// `running` when absent. A platform that is still starting a container says `creating`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<SessionStatus>,
}

/// Answer to `POST /api/sessions/{id}/token`.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RecordingToken {
    /// Goes into `Authorization: Bearer …`. Ends with the session.
    pub token: String,
    /// Seconds until the token expires; another request makes another token.
    pub expires_in: u64,
}

/// Where a session is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SessionStatus {
    /// Being set up; cannot be recorded yet.
    Creating,
    /// Can be recorded.
    Running,
    /// Ended by somebody.
    Stopped,
    /// Ended by a time limit.
    Expired,
    /// Ended by an error.
    Failed,
}

impl SessionStatus {
    /// Whether it is over; then it stays so.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Stopped | Self::Expired | Self::Failed)
    }
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Session {
    /// Unique and never reused.
    pub id: String,
    /// The owner's id.
    pub user_id: String,
    /// What is being watched.
    pub app_id: String,
    /// Where it is in its life.
    pub status: SessionStatus,
    /// `"auto"` while auto-record is on, else `""`.
    pub recording_policy: String,
    /// Whether it is to be recorded without being asked: auto-record is on, the session runs, and its user
    /// has not stopped a recording in it.
    #[serde(default)]
    pub auto_record: bool,
    /// RFC 3339, UTC.
    pub created_at: String,
    /// RFC 3339, UTC; when it was stopped, expired or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
}

/// Body of `PATCH /api/sessions/{id}`: what the embedding platform has to report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SessionUpdate {
    /// `running`, `stopped`, `expired` or `failed`. What has ended stays so: anything else is a 409. With the
    /// session its recordings are stopped and finished.
    pub status: SessionStatus,
}
