//! Row of a new recording.

use sortie_api::RecordingStatus;

use crate::clock::rfc3339;
use crate::db::{LibraryColumns, RecordingRow, UploadKind};
use crate::http::HttpState;

/// Returns the row of a recording that starts now.
pub(in crate::http) fn new_row(
    state: &HttpState,
    session_id: &str,
    user_id: &str,
    filename: Option<String>,
    upload_length: Option<u64>,
    upload_metadata: String,
) -> RecordingRow {
    let id = uuid::Uuid::now_v7().to_string();
    let created_ms = state.clock.now_ms();
    RecordingRow {
        storage_path: state.storage.growing_path(&id),
        storage_backend: state.storage.name().to_owned(),
        session_id: session_id.to_owned(),
        user_id: user_id.to_owned(),
        username: None,
        filename: filename.unwrap_or_else(|| default_filename(created_ms)),
        size_bytes: 0,
        duration_ms: 0,
        format: String::new(),
        status: RecordingStatus::Recording,
        failure: None,
        interrupted: false,
        upload_length: upload_length.and_then(|length| i64::try_from(length).ok()),
        upload_metadata,
        idempotency_key: None,
        kind: UploadKind::Recording,
        upload_concat: String::new(),
        final_id: None,
        protected: false,
        deleting: false,
        forward_pending: false,
        created_ms,
        completed_ms: None,
        part_of: None,
        part: 1,
        left_out: None,
        labels: crate::labels::Labels::default(),
        library: LibraryColumns::default(),
        id,
    }
}

/// Default file name, in UTC: `recording_2026-11-21_09-30-00.webm`.
pub(in crate::http) fn default_filename(created_ms: i64) -> String {
    let stamp: String = rfc3339(created_ms).chars().take(19).collect();
    format!(
        "recording_{}.webm",
        stamp.replace('T', "_").replace(':', "-")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_filename_has_the_time() {
        assert_eq!(
            default_filename(1_795_253_400_250),
            "recording_2026-11-21_09-30-00.webm"
        );
    }
}
