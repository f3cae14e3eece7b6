//! Recordings of a session: start, stop, and single-request upload.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use sortie_api::{
    ProblemCode, RecordingStarted, RecordingStatus, RecordingStopped, StartRecording, StopRecording,
};
use sortie_tus::server::{self as tus, Append};
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::io::ReaderStream;

use super::access::{allowed, continued};
use super::form::{Field, FormError, UploadForm};
use super::new::{default_filename, new_row};
use crate::db::RecordingRow;
use crate::http::extract::caller::Caller;
use crate::http::extract::checked_body::{CheckedBody, Refusal, check_while_received};
use crate::http::extract::json::{JsonBody, OptionalJsonBody};
use crate::http::extract::multipart::{Event, Multipart, MultipartError};
use crate::http::file::plain_filename;
use crate::http::resources::{sessions, storage};
use crate::http::{ApiError, ApiResult, HttpState};
use crate::labels::Labels;
use crate::metrics::BodyMetrics;
use crate::storage::StorageError;
use crate::tags;
use crate::uploads::{Framing, UploadError};

/// Time limit for all fields but the file.
const FIELDS_TIME: Duration = Duration::from_secs(30);
/// Limit of the forms whose file is being written to a temporary file; each may be as large as a recording.
static SPOOLS: Semaphore = Semaphore::const_new(8);
/// Buffer size for reading a temporary file.
const SPOOL_READ: usize = 256 * 1024;

pub(super) async fn start(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
    OptionalJsonBody(body): OptionalJsonBody<StartRecording>,
) -> ApiResult<(StatusCode, Json<RecordingStarted>)> {
    let session = sessions::running(&state, &caller, &id).await?;
    let labels = Labels::new(body.external_id, body.metadata)?;
    let mut row = new_row(
        &state,
        &session.id,
        &session.user_id,
        None,
        None,
        String::new(),
    );
    row.library.source = tags::checked_source(body.source.unwrap_or_default())?;
    let title = body.title.as_deref().map(tags::checked_title).transpose()?;
    if let Some(continues) = body.continues.filter(|id| !id.is_empty()) {
        let first = continued(&state, &caller, &session, &continues).await?;
        row.part_of = Some(first);
    } else {
        row.labels = labels;
        row.library.title = title;
    }
    let protected = storage::protected_limit_of_part(&state, &caller, &row);
    state
        .uploads
        .create(&row, caller.creator(), protected, &caller.actor())
        .await?;
    tracing::info!(
        recording = row.id,
        session = session.id,
        user = caller.username,
        "recording started"
    );
    Ok((
        StatusCode::CREATED,
        Json(RecordingStarted {
            upload_url: state
                .config
                .public_path(&format!("/api/uploads/{}", row.id)),
            recording_id: row.id,
            status: RecordingStatus::Recording,
            max_size_bytes: state.config.max_size_bytes,
            silence_seconds: state.config.silence.as_secs(),
        }),
    ))
}

/// Returns a recording of a session; the caller may access both.
async fn recording_of(
    state: &HttpState,
    caller: &Caller,
    session_id: &str,
    recording_id: Option<&str>,
) -> ApiResult<RecordingRow> {
    let recording_id = recording_id.filter(|id| !id.is_empty()).ok_or_else(|| {
        ApiError::new(
            ProblemCode::BadRequest,
            "recording_id is missing. Name the recording.",
        )
    })?;
    sessions::allowed(state, caller, session_id).await?;
    let row = allowed(state, caller, recording_id).await?;
    if row.session_id != session_id {
        return Err(ApiError::not_found(
            "The recording does not exist in this session.",
        ));
    }
    Ok(row)
}

pub(super) async fn stop(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<StopRecording>,
) -> ApiResult<Json<RecordingStopped>> {
    let row = recording_of(&state, &caller, &id, body.recording_id.as_deref()).await?;
    let actor = caller.actor();
    let status = state.uploads.stop(&row.id, &actor).await?;
    // The recording was stopped by the user: auto-record starts no other one in this session.
    state
        .database
        .sessions()
        .decline_auto_record(&id, &actor, state.clock.now_ms())
        .await?;
    Ok(Json(RecordingStopped { status }))
}

/// Single-request upload: `multipart/form-data` with `recording_id`, `file` and `duration` (ignored, as it is measured)
/// in any order.
pub(super) async fn upload(
    State(state): State<HttpState>,
    caller: Caller,
    Path(session_id): Path<String>,
    request: Request,
) -> ApiResult<Json<RecordingStopped>> {
    // Checked before the body is read.
    sessions::allowed(&state, &caller, &session_id).await?;
    let (refusal, reader) = FormReader::new(&state, &caller, request)?;
    let uploaded = receive_form(&state, &caller, &session_id, reader).await;
    match refusal.answer().await {
        Some(error) => Err(error),
        None => uploaded,
    }
}

async fn receive_form(
    state: &HttpState,
    caller: &Caller,
    session_id: &str,
    mut reader: FormReader,
) -> ApiResult<Json<RecordingStopped>> {
    let mut form = UploadForm::default();
    let mut spooled = None;
    let mut filename = None;
    let mut pending = reader.next().await?;
    loop {
        match pending {
            Event::Data(bytes) => form.bytes(&bytes)?,
            Event::End => break,
            Event::Part(part) => {
                if form.field(part.name.as_deref())? == Field::File {
                    filename = part.filename.as_deref().and_then(plain_filename);
                    if let Some(id) = form.recording_id()? {
                        let row = open_recording(state, caller, session_id, id).await?;
                        if is_empty(state, &row).await? {
                            return receive(state, caller, &row, filename, reader.file()).await;
                        }
                    }
                    let (file, next) = reader.spool(state).await?;
                    spooled = Some(file);
                    pending = next;
                    continue;
                }
            }
        }
        pending = reader.next().await?;
    }
    let row = open_recording(state, caller, session_id, form.finish()?).await?;
    let Some(file) = spooled else {
        return Err(FormError::NoFile.into());
    };
    // Replaces the bytes of an interrupted attempt: this file is complete.
    if !is_empty(state, &row).await? {
        state.uploads.start_over(&row.id).await?;
    }
    let file = ReaderStream::with_capacity(file, SPOOL_READ);
    let file = file.map(|read| read.map_err(axum::Error::new));
    receive(state, caller, &row, filename, file).await
}

/// Returns the recording of a form if it is open.
async fn open_recording(
    state: &HttpState,
    caller: &Caller,
    session_id: &str,
    id: &str,
) -> ApiResult<RecordingRow> {
    let row = recording_of(state, caller, session_id, Some(id)).await?;
    if row.status.is_open() {
        return Ok(row);
    }
    Err(ApiError::new(
        ProblemCode::Conflict,
        "This recording is already complete. Start a new one.",
    ))
}

/// Whether no byte of a recording is stored, so that a body can be appended as the whole file.
async fn is_empty(state: &HttpState, row: &RecordingRow) -> ApiResult<bool> {
    match state.uploads.position(&row.id).await {
        Ok(position) => Ok(position.offset == 0),
        // An earlier `start_over` was interrupted.
        Err(UploadError::Storage(StorageError::Missing)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Appends the file to its empty recording and completes the recording.
async fn receive(
    state: &HttpState,
    caller: &Caller,
    row: &RecordingRow,
    filename: Option<String>,
    file: impl Stream<Item = Result<Bytes, axum::Error>> + Send + 'static,
) -> ApiResult<Json<RecordingStopped>> {
    let actor = caller.actor();
    if let Some(filename) = filename
        && row.filename == default_filename(row.created_ms)
    {
        let named = state
            .database
            .recordings()
            .set_filename(&row.id, &row.filename, &filename);
        named.await?;
    }
    state.uploads.stop(&row.id, &actor).await?;
    let append = Append {
        offset: 0,
        length: None,
        checksum: None,
    };
    let (metrics, file) = BodyMetrics::over(Arc::clone(&state.metrics), file);
    let framing = Framing::default();
    let appended = state
        .uploads
        .append(&row.id, append, framing, Box::pin(file), &actor);
    appended.await?;
    metrics.acknowledged();
    let status = state.uploads.complete(&row.id, &actor).await?;
    // The upload has succeeded; the list shows whether the recording is playable.
    let status = match status {
        RecordingStatus::Failed => RecordingStatus::Processing,
        status => status,
    };
    Ok(Json(RecordingStopped { status }))
}

/// Reader of a form in a request's body.
struct FormReader {
    multipart: Multipart,
    body: CheckedBody,
    /// Deadline of the fields besides the file.
    deadline: Instant,
}

impl FormReader {
    fn new(state: &HttpState, caller: &Caller, request: Request) -> ApiResult<(Refusal, Self)> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let multipart = Multipart::of_type(kind).ok_or_else(|| {
            ApiError::new(
                ProblemCode::BadRequest,
                "Send the file as multipart/form-data; Content-Type names its boundary.",
            )
        })?;
        let body = request.into_body().into_data_stream();
        // A form may be sent after the stop of its recording.
        let (refusal, body) = check_while_received(state, caller, None, body);
        let reader = Self {
            multipart,
            body,
            deadline: Instant::now() + FIELDS_TIME,
        };
        Ok((refusal, reader))
    }

    /// Waits for the next event without a deadline.
    async fn event(&mut self) -> ApiResult<Event> {
        loop {
            if let Some(event) = self.multipart.next()? {
                return Ok(event);
            }
            match self.body.next().await {
                Some(Ok(bytes)) => self.multipart.push(bytes),
                Some(Err(_)) | None => return Err(MultipartError::Incomplete.into()),
            }
        }
    }

    /// Waits for the next event of a field other than the file.
    async fn next(&mut self) -> ApiResult<Event> {
        let event = tokio::time::timeout_at(self.deadline, self.event()).await;
        event.unwrap_or_else(|_| {
            Err(ApiError::new(
                ProblemCode::RequestTimeout,
                "The fields besides the file took longer than 30 seconds.",
            ))
        })
    }

    /// Returns the bytes of the current file. A truncated form is an error at their end.
    fn file(self) -> impl Stream<Item = Result<Bytes, axum::Error>> + Send + 'static {
        futures_util::stream::try_unfold(self, |mut reader| async move {
            match reader.event().await {
                Ok(Event::Data(bytes)) => Ok(Some((bytes, reader))),
                Ok(_) => Ok(None),
                Err(_) => Err(axum::Error::new(MultipartError::Incomplete)),
            }
        })
    }

    /// Writes the current file to an unnamed temporary file, while its recording or its completeness is unknown.
    /// Returns it and the event after its bytes.
    async fn spool(&mut self, state: &HttpState) -> ApiResult<(tokio::fs::File, Event)> {
        let _permit = SPOOLS.try_acquire().map_err(|_| {
            ApiError::new(
                ProblemCode::Unavailable,
                "The server is receiving too many forms. Send recording_id before file, or try again later.",
            )
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("10"))
        })?;
        let folder = state.config.storage.folder().to_owned();
        let created = tokio::task::spawn_blocking(move || tempfile::tempfile_in(folder)).await;
        let created = created.map_err(ApiError::internal)?;
        let mut file = tokio::fs::File::from_std(created.map_err(StorageError::from)?);
        let (mut length, max_size) = (0, state.config.max_size_bytes);
        loop {
            let event = self.event().await?;
            let Event::Data(bytes) = event else {
                file.flush().await.map_err(StorageError::from)?;
                file.rewind().await.map_err(StorageError::from)?;
                self.deadline = Instant::now() + FIELDS_TIME;
                return Ok((file, event));
            };
            length += bytes.len() as u64;
            if length > max_size {
                return Err(UploadError::from(tus::Refusal::TooLarge { max_size }).into());
            }
            file.write_all(&bytes).await.map_err(StorageError::from)?;
        }
    }
}

impl From<FormError> for ApiError {
    fn from(error: FormError) -> Self {
        let code = match error {
            FormError::NoRecordingId
            | FormError::TooMuch
            | FormError::NoFile
            | FormError::TwoFiles => ProblemCode::BadRequest,
            FormError::LongRecordingId | FormError::NotText | FormError::Twice => {
                ProblemCode::InvalidField
            }
        };
        Self::new(code, error.to_string())
    }
}

impl From<MultipartError> for ApiError {
    fn from(error: MultipartError) -> Self {
        Self::new(ProblemCode::BadRequest, error.to_string())
    }
}
