//! The file in progress of an appliance's recorder as a recording. It has an ID, which the finished recording keeps, but
//! no row in the database: the recorder works without one.

use std::sync::Arc;

use sortie_api::{ProblemCode, Recording, RecordingStatus};

use super::access::no_such_recording;
use crate::appliance::GrowingRecording;
use crate::clock::rfc3339;
use crate::db::Action;
use crate::http::extract::caller::Caller;
use crate::http::{ApiError, ApiResult, HttpState};
use crate::uploads::{FileProgress, ViewError, WatchedRecording};

/// Returns the file in progress if it has this ID and the caller may access it. It belongs to the first administrator,
/// as the finished recording will.
pub(super) async fn find(
    state: &HttpState,
    caller: &Caller,
    id: &str,
) -> ApiResult<Option<GrowingRecording>> {
    let growing = state.appliance.as_ref().and_then(|it| it.growing());
    let Some(growing) = growing.filter(|growing| growing.id == id) else {
        return Ok(None);
    };
    // Between its import and the next report of the recorder, the row is newer.
    if state.database.recordings().get(id).await?.is_some() {
        return Ok(None);
    }
    if !growing.is_growing && !exists(state, &growing).await {
        return Ok(None);
    }
    let owner = owner(state).await?;
    if !caller.may_access(&owner)
        || !caller.reaches_session(&growing.session)
        || !caller.reaches_recording(id)
    {
        state
            .audit_denial(&caller.actor(), Action::Access, id, "")
            .await;
        return Err(ApiError::forbidden(
            "This recording belongs to another user.",
        ));
    }
    Ok(Some(growing))
}

/// Whether the file was not removed: one that ended without a durable frame is.
async fn exists(state: &HttpState, growing: &GrowingRecording) -> bool {
    for name in [&growing.growing_name, &growing.name] {
        let path = state.config.storage.folder().join(name);
        if matches!(tokio::fs::try_exists(path).await, Ok(true)) {
            return true;
        }
    }
    false
}

async fn owner(state: &HttpState) -> ApiResult<String> {
    let owner = state.database.users().first_administrator().await?;
    owner.ok_or_else(no_such_recording)
}

/// Answer to requests that need the row of a recording.
pub(super) fn in_progress() -> ApiError {
    ApiError::new(
        ProblemCode::NotReady,
        "This recording is still in progress. Stop it, or wait until it ends, and try again.",
    )
}

/// Returns the file in progress as a viewer watches it.
pub(super) async fn watch(
    state: &HttpState,
    growing: GrowingRecording,
) -> Result<WatchedRecording, ViewError> {
    let Some(appliance) = state.appliance.as_ref().map(Arc::clone) else {
        return Err(ViewError::NothingYet);
    };
    let progress = move || {
        let now = appliance.growing()?;
        (now.id == growing.id && now.is_growing).then_some(FileProgress {
            growing_path: now.growing_name,
            finished_path: now.name,
            size_bytes: now.size_bytes,
        })
    };
    state.uploads.live_file(progress).await
}

/// Returns the API form of the file in progress.
pub(super) async fn present(state: &HttpState, growing: GrowingRecording) -> ApiResult<Recording> {
    #[expect(clippy::cast_precision_loss, reason = "exact below 285,000 years")]
    let duration_seconds = growing.duration_ms as f64 / 1000.0;
    Ok(Recording {
        id: growing.id,
        session_id: growing.session,
        user_id: owner(state).await?,
        username: None,
        filename: growing.name.clone(),
        size_bytes: growing.size_bytes,
        duration_seconds,
        format: "mp4".to_owned(),
        storage_backend: "local".to_owned(),
        storage_path: growing.name,
        status: match growing.is_growing {
            true => RecordingStatus::Recording,
            false => RecordingStatus::Processing,
        },
        failure: None,
        interrupted: false,
        protected: false,
        deleting: false,
        forward_pending: false,
        created_at: rfc3339(growing.created_ms),
        completed_at: None,
        trashed_at: None,
        expires_at: None,
        note: None,
        received_bytes: None,
        left_out: Vec::new(),
        hidden: Vec::new(),
        part_of: None,
        part: 1,
        parts: Vec::new(),
        external_id: None,
        metadata: sortie_api::Metadata::default(),
        title: None,
        app_id: "capture".to_owned(),
        source: Some("hdmi".to_owned()),
        width: None,
        height: None,
        video_codec: None,
        audio_codec: None,
        has_audio: Some(false),
        active_seconds: None,
        ended_because: None,
        tags: Vec::new(),
        viewed: None,
        pictures: 0,
    })
}
