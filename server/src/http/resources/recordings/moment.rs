//! Times in a recording that senders name.

use sortie_api::RecordingStatus;

use crate::db::RecordingRow;

/// Latest time in a recording whose duration is not known yet: 30 days.
pub(super) const OPEN_MAX_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// Returns the latest time of a marker or a picture. While a recording is open its sender may be ahead of the received
/// bytes.
pub(super) fn latest_ms(row: &RecordingRow) -> u64 {
    match row.status.is_open() || row.status == RecordingStatus::Processing {
        true => OPEN_MAX_MS,
        false => row.duration_ms.unsigned_abs(),
    }
}
