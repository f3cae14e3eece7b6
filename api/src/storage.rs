//! Storage usage, quotas and their breakdowns.

use serde::{Deserialize, Serialize};

use crate::{ClockHold, RecordingStatus};

/// Response of `GET /api/admin/storage`. Counts recordings that are not deleted. May be some seconds old.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StorageReport {
    /// Storage backend: `local` or `s3`.
    pub backend: String,
    /// Path of the folder, or bucket and prefix.
    pub path: String,
    /// Total size of all recordings in bytes.
    pub used_bytes: u64,
    /// Free disk space in bytes; absent if unknown, as for a bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_bytes: Option<u64>,
    /// Disk size in bytes; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<u64>,
    /// Number of all recordings.
    pub recordings: u64,
    /// Usage by status, for statuses with recordings.
    pub by_status: Vec<StatusUsage>,
    /// Usage by owner: the 50 largest, in descending order.
    pub by_user: Vec<UserUsage>,
    /// Usage by creation day over the last 90 days, oldest first, for days with recordings.
    pub growth: Vec<DayUsage>,
    /// Rules for automatic deletion.
    pub retention: RetentionRule,
}

/// Response of `GET /api/storage/usage`: usage and quotas of the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct QuotaUsage {
    /// Size of the caller's recordings in bytes, growing ones included.
    pub bytes: u64,
    /// Size of the caller's protected recordings in bytes.
    pub protected_bytes: u64,
    /// Number of incomplete uploads.
    pub open_uploads: u64,
    /// Quota for the recordings of one user in bytes; absent if unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_bytes: Option<u64>,
    /// Quota for the protected recordings of one user in bytes; absent if unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_protected_bytes: Option<u64>,
    /// Limit of open uploads per user.
    pub uploads_per_user: u32,
}

/// Usage of the recordings with one status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StatusUsage {
    /// Status of the recordings.
    pub status: RecordingStatus,
    /// Number of recordings with this status.
    pub count: u64,
    /// Total size in bytes.
    pub bytes: u64,
}

/// Usage of one user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UserUsage {
    /// ID of the owner.
    pub user_id: String,
    /// User name of the owner; absent if the account was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Total size in bytes.
    pub bytes: u64,
    /// Number of the owner's recordings.
    pub recordings: u64,
}

/// Usage of the recordings created on one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DayUsage {
    /// Day in UTC, such as `2026-11-21`.
    pub day: String,
    /// Total size in bytes.
    pub bytes: u64,
    /// Number of recordings created that day.
    pub recordings: u64,
}

/// Rules for automatic deletion.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RetentionRule {
    /// Retention period in days; 0 keeps recordings forever.
    pub days: u32,
    /// Disk usage in percent above which the oldest recordings are deleted; absent if disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high_percent: Option<u8>,
    /// Disk usage in percent at which this deletion stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_percent: Option<u8>,
    /// Time of the next run: RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_at: Option<String>,
    /// Reason for suspending automatic deletion; absent while the clock is trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<ClockHold>,
}
