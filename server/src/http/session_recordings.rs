//! A session's recordings: start, stop, and the whole-file way in.

use std::sync::Arc;

use axum::Json;
use axum::extract::multipart::Field;
use axum::extract::{DefaultBodyLimit, Multipart, Path, State};
use axum::http::StatusCode;
use bytes::Bytes;
use sortie_api::{
    ProblemCode, RecordingStarted, RecordingStatus, RecordingStopped, StartRecording, StopRecording,
};
use sortie_tus::server::Append;

use super::access::{Routes, routes};
use super::caller::Caller;
use super::json::{JsonBody, OptionalJsonBody};
use super::metrics::Watch;
use super::upload_form::{self, FormError, UploadForm};
use super::{ApiError, ApiResult, AppState, recordings, sessions};
use crate::catalog::{Actor, RecordingRow};

pub(super) fn routes() -> Routes {
    routes! { POST "/api/sessions/{id}/recording/upload" => upload }
        .layer(DefaultBodyLimit::disable())
        .merge(routes! {
            POST "/api/sessions/{id}/recording/start" => start,
            POST "/api/sessions/{id}/recording/stop" => stop,
        })
}

async fn start(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    OptionalJsonBody(body): OptionalJsonBody<StartRecording>,
) -> ApiResult<(StatusCode, Json<RecordingStarted>)> {
    let session = sessions::running(&state, &caller, &id).await?;
    let mut row = recordings::new_row(
        &state,
        &session.id,
        &session.user_id,
        None,
        None,
        String::new(),
    );
    if let Some(continues) = body.continues.filter(|id| !id.is_empty()) {
        let first = recordings::continued(&state, &caller, &session, &continues).await?;
        row.part_of = Some(first);
    }
    state.ingest.create(&row, &caller.actor()).await?;
    tracing::info!(
        recording = row.id,
        session = session.id,
        user = caller.username,
        "recording started"
    );
    Ok((
        StatusCode::CREATED,
        Json(RecordingStarted {
            upload_url: format!("/api/uploads/{}", row.id),
            recording_id: row.id,
            status: RecordingStatus::Recording,
            max_size_bytes: state.config.max_size_bytes,
            silence_seconds: state.config.silence.as_secs(),
        }),
    ))
}

/// The recording of this session, if the caller may have both.
async fn recording_of(
    state: &AppState,
    caller: &Caller,
    session_id: &str,
    recording_id: Option<&str>,
) -> ApiResult<RecordingRow> {
    let recording_id = recording_id.filter(|id| !id.is_empty()).ok_or_else(|| {
        ApiError::new(
            ProblemCode::BadRequest,
            "recording_id is missing: say which recording is meant.",
        )
    })?;
    sessions::allowed(state, caller, session_id).await?;
    let row = recordings::allowed(state, caller, recording_id).await?;
    if row.session_id != session_id {
        return Err(ApiError::not_found("This session has no such recording."));
    }
    Ok(row)
}

async fn stop(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<StopRecording>,
) -> ApiResult<Json<RecordingStopped>> {
    let row = recording_of(&state, &caller, &id, body.recording_id.as_deref()).await?;
    let actor = caller.actor();
    let status = state.ingest.stop(&row.id, &actor).await?;
    // By hand, so it sticks: none starts by itself any more in this session.
    state
        .catalog
        .decline_auto_record(&id, &actor, state.clock.now_ms())
        .await?;
    Ok(Json(RecordingStopped { status }))
}

/// The whole-file way in: `multipart/form-data` with `recording_id`, `duration` (ignored: it is measured)
/// and `file`, in this order.
async fn upload(
    State(state): State<AppState>,
    caller: Caller,
    Path(session_id): Path<String>,
    form: Result<Multipart, axum::extract::multipart::MultipartRejection>,
) -> ApiResult<Json<RecordingStopped>> {
    let mut form = form.map_err(|error| {
        ApiError::new(
            ProblemCode::BadRequest,
            format!(
                "Send the file as multipart/form-data. {}.",
                error.body_text()
            ),
        )
    })?;
    let unreadable = |error: axum::extract::multipart::MultipartError| {
        ApiError::new(
            ProblemCode::BadRequest,
            format!("The form cannot be read: {}.", error.body_text()),
        )
    };
    let mut fields = UploadForm::default();
    while let Some(mut field) = form.next_field().await.map_err(unreadable)? {
        match fields.field(field.name())? {
            upload_form::Field::Before => {
                while let Some(bytes) = field.chunk().await.map_err(unreadable)? {
                    fields.bytes(&bytes)?;
                }
            }
            upload_form::Field::File { recording_id } => {
                let row = recording_of(&state, &caller, &session_id, Some(&recording_id)).await?;
                if !row.status.is_open() {
                    return Err(ApiError::new(
                        ProblemCode::Conflict,
                        "This recording is complete already; start a new one.",
                    ));
                }
                let actor = caller.actor();
                state.ingest.stop(&row.id, &actor).await?;
                write_field(&state, &row.id, field, &actor).await?;
                let status = state.ingest.complete(&row.id, &actor).await?;
                // Whether it can be played is seen in the list; the upload itself has succeeded.
                let status = match status {
                    RecordingStatus::Failed => RecordingStatus::Processing,
                    status => status,
                };
                return Ok(Json(RecordingStopped { status }));
            }
        }
    }
    Err(FormError::NoFile.into())
}

impl From<FormError> for ApiError {
    fn from(error: FormError) -> Self {
        let code = match error {
            FormError::NoRecordingId | FormError::TooMuch | FormError::NoFile => {
                ProblemCode::BadRequest
            }
            FormError::LongRecordingId | FormError::NotText | FormError::Twice => {
                ProblemCode::InvalidField
            }
        };
        Self::new(code, error.to_string())
    }
}

/// Writes a field's bytes as the whole stream of a recording.
async fn write_field(
    state: &AppState,
    id: &str,
    mut field: Field<'_>,
    actor: &Actor,
) -> ApiResult<()> {
    // A field cannot outlive its form, so its bytes go to the writing task through a channel.
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, axum::Error>>(4);
    let body = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|item| (item, receiver))
    });
    let append = Append {
        offset: 0,
        length: None,
        checksum: None,
    };
    let (watch, body) = Watch::over(Arc::clone(&state.metrics), body);
    let writing = state.ingest.append(id, append, None, Box::pin(body), actor);
    let reading = async {
        loop {
            match field.chunk().await {
                // Once it is refused nobody receives any more; what still comes is read away
                // by the form, as long as the sender keeps sending.
                Ok(Some(bytes)) => {
                    let _ = sender.send(Ok(bytes)).await;
                }
                Ok(None) => break,
                Err(error) => {
                    let _ = sender.send(Err(axum::Error::new(error))).await;
                    break;
                }
            }
        }
        drop(sender);
    };
    let (written, ()) = futures_util::future::join(writing, reading).await;
    written?;
    watch.acknowledged();
    Ok(())
}
