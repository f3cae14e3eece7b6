//! API form of recordings.

use std::collections::{HashMap, HashSet};

use sortie_api::{Recording, RecordingPart, RecordingStatus};

use super::access::no_such_recording;
use crate::clock::rfc3339;
use crate::db::{DatabaseError, RecordingRow};
use crate::http::extract::caller::Caller;
use crate::http::{ApiResult, HttpState};
use crate::left_out::Accounts;

#[expect(clippy::cast_precision_loss, reason = "exact below 285,000 years")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

/// Adds to recordings whether the caller has watched them.
pub(super) async fn mark_viewed(
    state: &HttpState,
    caller: &Caller,
    recordings: &mut [Recording],
) -> Result<(), DatabaseError> {
    let ids: Vec<_> = recordings.iter().map(|it| it.id.as_str()).collect();
    let viewed = state.database.views().of(&caller.user_id, &ids).await?;
    let viewed: HashSet<_> = viewed.into_iter().collect();
    for recording in recordings {
        recording.viewed = Some(viewed.contains(&recording.id));
    }
    Ok(())
}

/// Returns the API form of a row, with the progress of an open recording.
fn recording(state: &HttpState, row: RecordingRow) -> Recording {
    let mut size_bytes = row.size_bytes.unsigned_abs();
    let mut duration_ms = row.duration_ms.unsigned_abs();
    let mut format = row.format;
    let (mut status, mut failure) = (row.status, row.failure);
    if row.deleting {
        status = RecordingStatus::Failed;
        failure = Some(
            "The recording is being deleted. The storage did not respond; the server retries."
                .to_owned(),
        );
    }
    if row.status.is_open()
        && let Some(progress) = state.uploads.progress(&row.id)
        // The row has more bytes if another server receives the recording.
        && progress.size_bytes >= size_bytes
    {
        size_bytes = progress.size_bytes;
        duration_ms = progress.duration_ms;
        format = progress.format.to_owned();
    }
    let library = row.library;
    let text = |text: String| Some(text).filter(|text| !text.is_empty());
    let size = |pixels: i64| u32::try_from(pixels).ok().filter(|&pixels| pixels > 0);
    Recording {
        id: row.id,
        session_id: row.session_id,
        user_id: row.user_id,
        username: row.username,
        filename: row.filename,
        size_bytes,
        duration_seconds: seconds(duration_ms),
        format,
        storage_backend: row.storage_backend,
        storage_path: row.storage_path,
        status,
        failure,
        interrupted: row.interrupted,
        protected: row.protected,
        deleting: row.deleting,
        forward_pending: row.forward_pending,
        created_at: rfc3339(row.created_ms),
        completed_at: row.completed_ms.map(rfc3339),
        trashed_at: library.trashed_ms.map(rfc3339),
        expires_at: library.expires_ms.map(rfc3339),
        note: Accounts::from_text(row.left_out.as_deref()).note(),
        received_bytes: None,
        left_out: Vec::new(),
        hidden: Vec::new(),
        part_of: row.part_of,
        part: u32::try_from(row.part).unwrap_or(1),
        parts: Vec::new(),
        metadata: row.labels.metadata(),
        external_id: row.labels.external_id,
        title: library.title,
        app_id: library.app_id,
        source: text(library.source),
        width: size(library.width),
        height: size(library.height),
        has_audio: library.active_ms.map(|_| !library.audio_codec.is_empty()),
        video_codec: text(library.video_codec),
        audio_codec: text(library.audio_codec),
        active_seconds: library.active_ms.map(seconds),
        ended_because: library.ended_because,
        tags: library.tags,
        viewed: None,
        pictures: u32::try_from(library.pictures).unwrap_or_default(),
    }
}

fn part_of(recording: &Recording) -> RecordingPart {
    RecordingPart {
        id: recording.id.clone(),
        part: recording.part,
        status: recording.status,
        size_bytes: recording.size_bytes,
        duration_seconds: recording.duration_seconds,
    }
}

/// Returns the API form of rows, with the list of parts in each first part.
pub(in crate::http) async fn with_parts(
    state: &HttpState,
    rows: Vec<RecordingRow>,
) -> Result<Vec<Recording>, DatabaseError> {
    let first: Vec<&str> = rows
        .iter()
        .filter(|row| row.part_of.is_none())
        .map(|row| row.id.as_str())
        .collect();
    let further = state.database.parts().of(&first).await?;
    Ok(join_parts(state, rows, further))
}

/// Returns the API form of rows whose further parts are known.
pub(super) fn join_parts(
    state: &HttpState,
    rows: Vec<RecordingRow>,
    further: Vec<RecordingRow>,
) -> Vec<Recording> {
    let mut parts: HashMap<String, Vec<RecordingPart>> = HashMap::new();
    for row in further {
        let Some(first) = row.part_of.clone() else {
            continue;
        };
        let part = part_of(&recording(state, row));
        parts.entry(first).or_default().push(part);
    }
    rows.into_iter()
        .map(|row| {
            let mut recording = recording(state, row);
            if let Some(parts) = parts.remove(&recording.id) {
                recording.parts.push(part_of(&recording));
                recording.parts.extend(parts);
            }
            recording
        })
        .collect()
}

/// Returns the API form of one row, with its parts and the report of missing data.
pub(super) async fn in_full(
    state: &HttpState,
    caller: &Caller,
    row: RecordingRow,
) -> ApiResult<Recording> {
    let accounts = Accounts::from_text(row.left_out.as_deref());
    let received = (row.completed_ms.and(row.upload_length)).map(i64::unsigned_abs);
    let mut shown = with_parts(state, vec![row]).await?;
    mark_viewed(state, caller, &mut shown).await?;
    let mut shown = shown.pop().ok_or_else(no_such_recording)?;
    shown.received_bytes = received;
    shown.left_out = accounts.left_out;
    shown.hidden = accounts.hidden;
    Ok(shown)
}
