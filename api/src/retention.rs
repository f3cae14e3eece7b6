//! Automatic deletion: recordings beyond the retention period, and the oldest ones when the disk is full.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Recording;

/// Reason for an automatic deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum DeletionReason {
    /// The recording is older than the retention period.
    Age,
    /// The disk is too full, and the recording is among the oldest.
    #[serde(rename = "room")]
    DiskFull,
    /// Its time in the trash is over.
    Trash,
}

/// Rule by which a recording was deleted, as stored in the `detail` field of the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeletionRule {
    /// Older than this many days.
    Age(u32),
    /// Disk usage above this percentage.
    DiskFull(u8),
    /// Its time in the trash is over.
    Trash,
}

impl DeletionRule {
    /// Parses the `detail` field of an audit entry; `None` if no rule caused the deletion.
    #[must_use]
    pub fn parse(detail: &str) -> Option<Self> {
        let between = |before, after| detail.strip_prefix(before)?.strip_suffix(after);
        let age = between(AGE.0, AGE.1).and_then(|days| days.parse().ok());
        let disk_full =
            || between(DISK_FULL.0, DISK_FULL.1).and_then(|percent| percent.parse().ok());
        age.map(Self::Age)
            .or_else(|| disk_full().map(Self::DiskFull))
            .or_else(|| (detail == TRASH).then_some(Self::Trash))
    }
}

impl fmt::Display for DeletionRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Age(days) => write!(f, "{}{days}{}", AGE.0, AGE.1),
            Self::DiskFull(percent) => write!(f, "{}{percent}{}", DISK_FULL.0, DISK_FULL.1),
            Self::Trash => f.write_str(TRASH),
        }
    }
}

const AGE: (&str, &str) = ("older than ", " days");
const TRASH: &str = "its time in the trash was over";
const DISK_FULL: (&str, &str) = ("the disk was more than ", " % full");

/// Number and total size of recordings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Amount {
    /// Number of recordings.
    pub count: u64,
    /// Total size in bytes.
    pub bytes: u64,
}

/// A recording that a retention run would delete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlannedDeletion {
    /// ID of the recording.
    pub id: String,
    /// Reason for the deletion.
    pub reason: DeletionReason,
}

/// Response of `GET /api/admin/retention`: the deletions that a run would make now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RetentionPreview {
    /// `SORTIE_RECORDING_RETENTION_DAYS`; 0 disables deletion by age.
    pub days: u32,
    /// `SORTIE_RECORDING_DISK_HIGH_PERCENT`, if set: disk usage above which the oldest recordings are deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high_percent: Option<u8>,
    /// Disk usage in percent at which this deletion stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_percent: Option<u8>,
    /// All recordings that would be deleted now.
    pub due: Amount,
    /// Whether more recordings would be deleted than `due` counts.
    #[serde(default)]
    pub more: bool,
    /// The first of these recordings, up to 100, oldest first.
    pub next: Vec<Recording>,
    /// Reason for the deletion of each recording in `next`, in the same order.
    pub reasons: Vec<PlannedDeletion>,
    /// Number of deleted recordings whose bytes are still in the storage; the server retries.
    #[serde(default)]
    pub retrying: u64,
    /// Next scheduled run: RFC 3339, UTC; absent if no rule is active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_at: Option<String>,
    /// Reason for suspending automatic deletion; absent while the clock is trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<ClockHold>,
    /// Number of recordings with an implausible creation time (before 2020 or in the future). They are kept until an
    /// administrator confirms that they may be deleted.
    #[serde(default)]
    pub undated: u64,
    /// On an appliance that forwards recordings: those that would be deleted now, but are kept until the central server has
    /// confirmed them.
    #[serde(default)]
    pub unforwarded: Amount,
    /// On an appliance: files in the folder for recordings that are no recordings. A clean-up never deletes them.
    #[serde(default)]
    pub other_files: OtherFiles,
}

/// Files in an appliance's folder for recordings that are not in its list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OtherFiles {
    /// Number and size of all of them. The content of subfolders does not count.
    pub total: Amount,
    /// The first 100 of them by name.
    pub files: Vec<OtherFile>,
}

/// File in an appliance's folder for recordings that is not in its list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OtherFile {
    /// Name in the folder. Characters that are not UTF-8 are replaced.
    pub name: String,
    /// Size in bytes; 0 for a folder.
    pub bytes: u64,
    /// Whether it will be listed, and if not, the kind of obstacle.
    pub kind: OtherFileKind,
    /// Reason why it is not in the list, in a sentence, with what to do.
    pub reason: String,
}

/// Kind of a file that is not in an appliance's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OtherFileKind {
    /// An MP4 file that will be listed, or whose copying has not ended.
    Pending,
    /// A video whose name or container is not listed.
    Ignored,
    /// A file of another program.
    Foreign,
    /// A folder, a link, a FIFO or a device.
    NotAFile,
}

/// Deviation of the server's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ClockDoubt {
    /// The clock is ahead.
    Ahead,
    /// The clock is behind.
    Behind,
}

/// Doubt about the server's clock that suspends automatic deletion, until the clock agrees again or an administrator
/// confirms it (`POST /api/admin/retention/confirm-clock`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ClockHold {
    /// Direction of the deviation.
    pub doubt: ClockDoubt,
    /// Deviation of the clock in seconds.
    pub seconds: u64,
    /// Current time of the clock: RFC 3339, UTC.
    pub now: String,
    /// Explanation in a sentence, with what to do.
    pub message: String,
}

/// Optional body of `POST /api/admin/retention/confirm-clock`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ConfirmClock {
    /// Whether recordings with an implausible creation time may be deleted, too.
    #[serde(default)]
    pub undated: bool,
}

/// Response to `POST /api/admin/retention/run`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RetentionRun {
    /// Number of deleted recordings.
    pub deleted: u64,
    /// Total size of the deleted recordings in bytes.
    pub bytes: u64,
    /// Recordings that could not be deleted yet, the first 100; the server retries.
    pub failed: Vec<FailedDeletion>,
    /// Whether more recordings are to be deleted than one request handles. Run it again, or wait for the hourly run.
    #[serde(default)]
    pub more: bool,
    /// On an appliance that forwards recordings: those that were due, but are kept until the central server has confirmed
    /// them.
    #[serde(default)]
    pub unforwarded: Amount,
}

/// A recording that could not be deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FailedDeletion {
    /// ID of the recording.
    pub id: String,
    /// Reason in a sentence.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_round_trips_through_audit_detail() {
        for (rule, text) in [
            (DeletionRule::Age(30), "older than 30 days"),
            (
                DeletionRule::DiskFull(80),
                "the disk was more than 80 % full",
            ),
            (DeletionRule::Trash, "its time in the trash was over"),
        ] {
            assert_eq!(rule.to_string(), text);
            assert_eq!(DeletionRule::parse(text), Some(rule));
        }
        for other in ["", "older than  days", "the central server has it"] {
            assert_eq!(DeletionRule::parse(other), None, "{other}");
        }
    }

    #[test]
    fn reasons_keep_their_names_in_json() {
        let json = |reason| serde_json::to_string(&reason).unwrap();
        assert_eq!(json(DeletionReason::Age), r#""age""#);
        assert_eq!(json(DeletionReason::DiskFull), r#""room""#);
    }
}
