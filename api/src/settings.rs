//! Settings that an administrator changes while the server runs.

use std::collections::BTreeMap;

/// Answer to `GET /api/admin/settings` (all of them) and body of `PUT /api/admin/settings` (those to change).
pub type Settings = BTreeMap<String, String>;

/// The setting "Auto-record sessions": `true` or `false`.
pub const RECORDING_AUTO_RECORD: &str = "recording_auto_record";

/// The setting "Storage threshold" of an appliance: 1 to 99, or 0 for none.
pub const STORAGE_THRESHOLD_PERCENT: &str = "storage_threshold_percent";
