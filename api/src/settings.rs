//! Settings that an administrator changes while the server runs.

use std::collections::BTreeMap;

/// Answer to `GET /api/admin/settings` (all of them) and body of `PUT /api/admin/settings` (those to change).
pub type Settings = BTreeMap<String, String>;

/// The setting "Auto-record sessions": `true` or `false`.
pub const RECORDING_AUTO_RECORD: &str = "recording_auto_record";
