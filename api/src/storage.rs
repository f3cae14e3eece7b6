//! What the recordings take up.

use serde::{Deserialize, Serialize};

use crate::{ClockHold, RecordingStatus};

/// Answer to `GET /api/admin/storage`. Bytes are those of the recordings; what is deleted is not in it any more.
/// It may be some seconds old.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StorageReport {
    /// `local` or `s3`.
    pub backend: String,
    /// The folder, or the bucket and its prefix.
    pub path: String,
    /// Bytes of all recordings.
    pub used_bytes: u64,
    /// Bytes that the disk still takes; absent when nobody can tell, as with a bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_bytes: Option<u64>,
    /// Bytes of the whole disk; absent when nobody can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<u64>,
    /// How many recordings there are.
    pub recordings: u64,
    /// By status; one without recordings is left out.
    pub by_status: Vec<StatusUsage>,
    /// By owner: the 50 who take up the most, the largest first.
    pub by_user: Vec<UserUsage>,
    /// By the day they were created, over the last 90 days, oldest first; a day without any is left out.
    pub growth: Vec<DayUsage>,
    /// What is deleted by itself.
    pub retention: RetentionRule,
}

/// Answer to `GET /api/storage/usage`: the caller's usage beside the caller's quotas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct QuotaUsage {
    /// Bytes of the caller's recordings, growing ones included.
    pub bytes: u64,
    /// Bytes of the recordings that the caller has protected from automatic deletion.
    pub protected_bytes: u64,
    /// Uploads that are not complete.
    pub open_uploads: u64,
    /// Most bytes of one user's recordings; absent: no quota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_bytes: Option<u64>,
    /// Most bytes that the caller may protect; absent: no quota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_protected_bytes: Option<u64>,
    /// Most uploads that one user may have open.
    pub uploads_per_user: u32,
}

/// What the recordings of one status take up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StatusUsage {
    /// The status.
    pub status: RecordingStatus,
    /// How many there are.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What one person's recordings take up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UserUsage {
    /// The owner's id.
    pub user_id: String,
    /// The owner's name, if there is still such a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Their bytes.
    pub bytes: u64,
    /// How many there are.
    pub recordings: u64,
}

/// What the recordings created on one day take up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DayUsage {
    /// `2026-11-21`, UTC.
    pub day: String,
    /// Their bytes.
    pub bytes: u64,
    /// How many there are.
    pub recordings: u64,
}

/// What is deleted by itself, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RetentionRule {
    /// Recordings are deleted when they are older than this many days; 0 keeps them for ever.
    pub days: u32,
    /// The oldest are deleted when the disk is fuller than this many percent; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high_percent: Option<u8>,
    /// … until it is no fuller than this many percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_percent: Option<u8>,
    /// RFC 3339, UTC: when that is looked at next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_at: Option<String>,
    /// Why nothing is deleted automatically now; absent while the clock is trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<ClockHold>,
}
