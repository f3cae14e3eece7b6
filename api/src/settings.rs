//! Settings that an administrator can change at run time.

use std::collections::BTreeMap;

/// Response of `GET /api/admin/settings` (all settings) and body of `PUT /api/admin/settings` (settings to change).
pub type Settings = BTreeMap<String, String>;

/// Key of the setting "Auto-record sessions": `true` or `false`.
pub const RECORDING_AUTO_RECORD: &str = "recording_auto_record";

/// Key of the setting "Storage threshold" of an appliance: 1–99 percent, or 0 for none.
pub const STORAGE_THRESHOLD_PERCENT: &str = "storage_threshold_percent";

/// Subject in the audit log of `PUT /api/appliance/schedule`.
pub const RECORDING_SCHEDULE: &str = "recording_schedule";
