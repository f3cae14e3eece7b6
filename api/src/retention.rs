//! What goes by itself: recordings older than the days set, and the oldest when the disk is full.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Recording;

/// Why a recording goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum DeletionReason {
    /// It is older than the days set.
    Age,
    /// The disk is fuller than it may be, and this is among the oldest.
    Room,
}

/// The rule by which a recording went. The audit log's `detail` of such a deletion is its text, and nothing else is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeletionRule {
    /// It was older than so many days.
    Age(u32),
    /// The disk was fuller than so many percent.
    Room(u8),
}

impl DeletionRule {
    /// Reads it out of a row's `detail`; `None` when it went by no rule.
    #[must_use]
    pub fn read(detail: &str) -> Option<Self> {
        let between = |before, after| detail.strip_prefix(before)?.strip_suffix(after);
        let age = between(AGE.0, AGE.1).and_then(|days| days.parse().ok());
        let room = || between(ROOM.0, ROOM.1).and_then(|percent| percent.parse().ok());
        age.map(Self::Age).or_else(|| room().map(Self::Room))
    }
}

impl fmt::Display for DeletionRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Age(days) => write!(f, "{}{days}{}", AGE.0, AGE.1),
            Self::Room(percent) => write!(f, "{}{percent}{}", ROOM.0, ROOM.1),
        }
    }
}

const AGE: (&str, &str) = ("older than ", " days");
const ROOM: (&str, &str) = ("the disk was more than ", " % full");

/// How many recordings, and how much room they take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Amount {
    /// How many.
    pub count: u64,
    /// Bytes.
    pub bytes: u64,
}

/// One recording that is to go, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlannedDeletion {
    /// The recording's id.
    pub id: String,
    /// Why it goes.
    pub reason: DeletionReason,
}

/// Answer to `GET /api/admin/retention`: what a run would do now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RetentionPreview {
    /// `SORTIE_RECORDING_RETENTION_DAYS`; 0: forever.
    pub days: u32,
    /// `SORTIE_RECORDING_DISK_HIGH_PERCENT`, if set: above it the oldest go …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high_percent: Option<u8>,
    /// … until the disk is no fuller than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_percent: Option<u8>,
    /// All that would go now.
    pub due: Amount,
    /// `due` is not all: there is more than was counted.
    #[serde(default)]
    pub more: bool,
    /// The first of them, up to 100, oldest first.
    pub next: Vec<Recording>,
    /// Why each of `next` goes, in the same order.
    pub reasons: Vec<PlannedDeletion>,
    /// Deleted already, but the storage has not done it yet; tried again by itself.
    #[serde(default)]
    pub retrying: u64,
    /// RFC 3339, UTC: when it runs by itself; absent when there is nothing to run for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_at: Option<String>,
    /// Why nothing is deleted automatically now; absent while the clock is trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<ClockHold>,
    /// Recordings whose creation time cannot be right (before 2020 or in the future). They are kept until an
    /// administrator confirms that they may be deleted.
    #[serde(default)]
    pub undated: u64,
}

/// How the server's clock disagrees with the time it should show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ClockDoubt {
    /// It shows a later time.
    Ahead,
    /// It shows an earlier time.
    Behind,
}

/// A doubt about the server's clock that holds automatic deletion back, until the clock agrees again or an administrator
/// confirms it (`POST /api/admin/retention/confirm-clock`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ClockHold {
    /// Direction of the difference.
    pub doubt: ClockDoubt,
    /// The difference in seconds.
    pub seconds: u64,
    /// RFC 3339, UTC: the time that the clock shows now.
    pub now: String,
    /// The same in a sentence, with what to do.
    pub message: String,
}

/// Optional body of `POST /api/admin/retention/confirm-clock`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ConfirmClock {
    /// Whether recordings whose creation time cannot be right may be deleted, too.
    #[serde(default)]
    pub undated: bool,
}

/// Answer to `POST /api/admin/retention/run`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RetentionRun {
    /// How many are gone.
    pub deleted: u64,
    /// The bytes they took.
    pub bytes: u64,
    /// Those that could not be deleted yet (the first 100); that is tried again by itself.
    pub failed: Vec<FailedDeletion>,
    /// One answer has its limits: there is more to delete. Run it again, or leave it to the hourly run.
    #[serde(default)]
    pub more: bool,
}

/// A recording that could not be deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FailedDeletion {
    /// Its id.
    pub id: String,
    /// Why, in a sentence.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_read_as_it_is_written_down() {
        for (rule, text) in [
            (DeletionRule::Age(30), "older than 30 days"),
            (DeletionRule::Room(80), "the disk was more than 80 % full"),
        ] {
            assert_eq!(rule.to_string(), text);
            assert_eq!(DeletionRule::read(text), Some(rule));
        }
        for other in ["", "older than  days", "the central server has it"] {
            assert_eq!(DeletionRule::read(other), None, "{other}");
        }
    }
}
