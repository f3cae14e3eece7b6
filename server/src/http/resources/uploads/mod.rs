//! tus 1.0 with all extensions: `/api/uploads`. See docs/tus.md.
//!
//! [`sortie_tus::server`] and [`crate::uploads`] decide; this module translates between them and HTTP.

mod concat;
mod target;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use sha2::{Digest as _, Sha256};
use sortie_api::{ProblemCode, RecordingStatus};
use sortie_tus::header::{self as tus, Concat};
use sortie_tus::metadata::Metadata;
use sortie_tus::server::{
    Append, Creation, Extension, Extensions, Protocol, UploadLength, effective_method,
};

use super::{recordings, storage};
use crate::clock::http_date;
use crate::db::UploadKind;
use crate::http::extract::caller::Caller;
use crate::http::extract::checked_body::check_while_received;
use crate::http::layers::request_log::Routine;
use crate::http::routes;
use crate::http::routes::{Routes, routes, row_of};
use crate::http::{ApiError, ApiResult, HttpState};
use crate::metrics::BodyMetrics;
use crate::uploads::{Framing, Position, drain};
use target::{continues, filename, labels, named_session, session};

/// Header with the seconds of silence after which the server finishes an upload.
const SILENCE_SECONDS: &str = "sortie-silence-seconds";

pub(in crate::http) fn routes() -> Routes {
    routes! {
        POST "/api/uploads" => create,
        OPTIONS "/api/uploads" => announce,
        POST "/api/uploads/{id}" => overridden,
        PATCH "/api/uploads/{id}" => append,
        HEAD "/api/uploads/{id}" => position,
        DELETE "/api/uploads/{id}" => terminate,
        OPTIONS "/api/uploads/{id}" => announce,
    }
}

fn protocol(state: &HttpState) -> Protocol {
    Protocol {
        max_size: state.config.max_size_bytes,
        extensions: Extensions::from_iter(Extension::ALL),
    }
}

/// Looks up headers for [`Protocol`]. A value that is not text becomes empty, and is thus treated as malformed, not as
/// missing.
fn lookup<'h>(headers: &'h HeaderMap) -> impl Fn(&str) -> Option<&'h str> {
    |name| {
        headers
            .get(name)
            .map(|value| value.to_str().unwrap_or_default())
    }
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// Inserts the expiry of an incomplete upload.
fn insert_expires(headers: &mut HeaderMap, expires_ms: Option<i64>) {
    if let Some(date) = expires_ms.and_then(http_date) {
        insert(headers, tus::UPLOAD_EXPIRES, &date);
    }
}

/// Inserts the time of silence after which the server finishes the upload.
fn insert_silence(headers: &mut HeaderMap, state: &HttpState) {
    insert(
        headers,
        SILENCE_SECONDS,
        &state.config.silence.as_secs().to_string(),
    );
}

/// Tells the sender of an open upload that its recording was stopped, so that senders need no event stream.
fn insert_stopped(headers: &mut HeaderMap, is_stopped: bool) {
    if is_stopped {
        insert(headers, tus::SORTIE_STOPPED, "1");
    }
}

async fn announce(State(state): State<HttpState>) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    for (name, value) in protocol(&state).announcement() {
        insert(response.headers_mut(), name, &value);
    }
    response
}

async fn create(State(state): State<HttpState>, caller: Caller, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    match create_upload(&state, &caller, &parts.headers).await {
        Ok((id, first)) => {
            let mut response = StatusCode::CREATED.into_response();
            insert(
                response.headers_mut(),
                "location",
                &format!("/api/uploads/{id}"),
            );
            if let Some(first) = first {
                let framing = framing(&parts.headers);
                drop(parts);
                match append_body(&state, &id, first, framing, body, &caller).await {
                    Ok(position) => {
                        insert(
                            response.headers_mut(),
                            tus::UPLOAD_OFFSET,
                            &position.offset.to_string(),
                        );
                    }
                    // The upload exists: the sender requests the offset and resumes.
                    Err(error) => {
                        response = error.into_response();
                        insert(
                            response.headers_mut(),
                            "location",
                            &format!("/api/uploads/{id}"),
                        );
                    }
                }
            }
            insert_expires(response.headers_mut(), state.uploads.expires_ms(&id));
            insert_silence(response.headers_mut(), &state);
            response
        }
        Err(error) => {
            drain_unless_expected(&parts.headers, body).await;
            error.into_response()
        }
    }
}

/// Reads the body for a while after an error, so that the sender receives the answer. Does nothing if the sender waits
/// for `100 Continue`, which reading would send.
async fn drain_unless_expected(headers: &HeaderMap, body: Body) {
    if !is_held_back(headers) {
        drain(body.into_data_stream().boxed()).await;
    }
}

/// Whether the sender waits for `100 Continue` (RFC 9110, section 10.1.1).
fn is_held_back(headers: &HeaderMap) -> bool {
    let expect = headers.get(header::EXPECT);
    expect.is_some_and(|expect| expect.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Hash of the metadata `idempotency_key`: a repeated creation with the same key returns the same open upload.
fn idempotency_key(metadata: &Metadata) -> Option<String> {
    let key = metadata.text("idempotency_key")?;
    Some(STANDARD.encode(Sha256::digest(key)))
}

async fn create_upload(
    state: &HttpState,
    caller: &Caller,
    headers: &HeaderMap,
) -> ApiResult<(String, Option<Append>)> {
    let creation = protocol(state).creation(lookup(headers))?;
    if creation.concat.is_some() && caller.session.is_some() {
        return Err(ApiError::forbidden(
            "A recording token cannot create partial uploads, which belong to no session.",
        ));
    }
    if creation.concat.is_some() && continues(&creation.metadata).is_some() {
        return Err(ApiError::invalid(
            "The metadata continues cannot be combined with Upload-Concat. Send the next part as one upload.",
        ));
    }
    let id = match &creation.concat {
        Some(Concat::Final(parts)) => {
            let id = concat::create(state, caller, headers, &creation.metadata, parts).await?;
            return Ok((id, None));
        }
        Some(Concat::Partial) => {
            let row = concat::partial(state, caller, &creation);
            state
                .uploads
                .create(&row, caller.creator(), None, &caller.actor())
                .await?
        }
        None => match recording(state, caller, &creation).await? {
            Created::New(id) => id,
            Created::Known(id) => return Ok((id, None)),
        },
    };
    tracing::info!(recording = id, user = caller.username, "upload created");
    Ok((id, creation.first_append()))
}

/// Upload of a creation.
enum Created {
    New(String),
    /// Upload of an earlier creation with the same key.
    Known(String),
}

async fn recording(state: &HttpState, caller: &Caller, creation: &Creation) -> ApiResult<Created> {
    let metadata = &creation.metadata;
    let key = idempotency_key(metadata);
    let known = state
        .database
        .recordings()
        .upload_with(&caller.user_id, key.as_deref());
    if let Some(id) = known.await? {
        // Keys are unique per user, so this may be an upload of another session.
        recordings::owned(state, caller, &id).await?;
        return Ok(Created::Known(id));
    }
    // Checked first: the session may be created for this upload.
    let labels = labels(metadata)?;
    let session = session(state, caller, metadata).await?;
    let continues = continues(metadata);
    let part_of = match continues {
        Some(id) => Some(recordings::continued(state, caller, &session, id).await?),
        None => None,
    };
    let mut row = recordings::new_row(
        state,
        &session.id,
        &session.user_id,
        filename(metadata),
        creation.length.known(),
        metadata.to_string(),
    );
    row.idempotency_key = key;
    row.part_of = part_of;
    row.labels = labels;
    let actor = caller.actor();
    let protected = storage::protected_limit_of_part(state, caller, &row);
    let made = match state
        .uploads
        .create(&row, caller.creator(), protected, &actor)
        .await
    {
        Ok(id) if id == row.id => return Ok(Created::New(id)),
        Ok(id) => Ok(Created::Known(id)),
        Err(error) => Err(error.into()),
    };
    // The session was created for this upload, which was not created.
    if continues.is_none() && named_session(caller, metadata) != Some(&session.id) {
        let now_ms = state.clock.now_ms();
        let deleted = state.database.sessions().delete(&session, &actor, now_ms);
        deleted.await?;
    }
    made
}

async fn position(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    protocol(&state).version_check(lookup(&headers))?;
    let row = recordings::owned(&state, &caller, &id).await?;
    let mut response = StatusCode::OK.into_response();
    let answer = response.headers_mut();
    if row.kind == UploadKind::Final && row.status.is_open() {
        // A final upload has a length, but no offset before its parts are joined (*Concatenation*).
        let length = row.upload_length.unwrap_or_default();
        insert(answer, tus::UPLOAD_LENGTH, &length.to_string());
    } else {
        let Position { offset, length } = state.uploads.position(&id).await?;
        insert(answer, tus::UPLOAD_OFFSET, &offset.to_string());
        match length {
            UploadLength::Known(length) => insert(answer, tus::UPLOAD_LENGTH, &length.to_string()),
            UploadLength::Deferred => insert(answer, tus::UPLOAD_DEFER_LENGTH, "1"),
        }
        insert_silence(answer, &state);
        let expires_ms = state.uploads.expires_ms(&id);
        insert_expires(
            answer,
            expires_ms.or_else(|| state.uploads.part_expires_ms(&row)),
        );
    }
    insert_stopped(answer, row.status == RecordingStatus::Uploading);
    if !row.upload_concat.is_empty() {
        insert(answer, tus::UPLOAD_CONCAT, &row.upload_concat);
    }
    if !row.upload_metadata.is_empty() {
        insert(answer, tus::UPLOAD_METADATA, &row.upload_metadata);
    }
    Ok(response)
}

async fn append(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let admitted = async {
        let append = protocol(&state).append(lookup(&parts.headers))?;
        // The owner of an open upload does not change: this avoids a query for each chunk.
        let session = caller.session.as_deref();
        let mut is_stopped = false;
        if !state.uploads.is_growing_for(&id, &caller.user_id, session) {
            let row = recordings::owned(&state, &caller, &id).await?;
            is_stopped = row.status == RecordingStatus::Uploading;
        }
        ApiResult::Ok((append, is_stopped))
    };
    let (append, is_stopped) = match admitted.await {
        Ok(admitted) => admitted,
        Err(error) => {
            drain_unless_expected(&parts.headers, body).await;
            return error.into_response();
        }
    };
    let framing = framing(&parts.headers);
    drop(parts);
    match append_body(&state, &id, append, framing, body, &caller).await {
        Ok(position) => {
            let mut response = StatusCode::NO_CONTENT.into_response();
            response.extensions_mut().insert(Routine);
            insert(
                response.headers_mut(),
                tus::UPLOAD_OFFSET,
                &position.offset.to_string(),
            );
            let is_stopped = is_stopped || state.uploads.is_stopped(&id);
            insert_stopped(response.headers_mut(), is_stopped);
            insert_expires(response.headers_mut(), state.uploads.expires_ms(&id));
            response
        }
        Err(error) => error.into_response(),
    }
}

fn framing(headers: &HeaderMap) -> Framing {
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse().ok());
    Framing {
        length,
        held_back: is_held_back(headers),
    }
}

/// Appends a body. The head of its request should be dropped before: it is part of the connection's read buffer, which
/// is only then reused for the body.
async fn append_body(
    state: &HttpState,
    id: &str,
    append: Append,
    framing: Framing,
    body: Body,
    caller: &Caller,
) -> ApiResult<Position> {
    let live = framing.length.is_none().then_some(id);
    let (refusal, body) = check_while_received(state, caller, live, body.into_data_stream());
    let (metrics, body) = BodyMetrics::over(Arc::clone(&state.metrics), body);
    let appended = state
        .uploads
        .append(id, append, framing, body.boxed(), &caller.actor())
        .await;
    if let Some(error) = refusal.answer().await {
        return Err(error);
    }
    let position = appended?;
    metrics.acknowledged();
    Ok(position)
}

async fn terminate(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> ApiResult<StatusCode> {
    protocol(&state).version_check(lookup(&headers))?;
    let row = recordings::owned(&state, &caller, &id).await?;
    recordings::check_forwarded(&state, &row.id).await?;
    state.uploads.delete(&row.id, &caller.actor(), "").await?;
    tracing::info!(recording = id, user = caller.username, "upload deleted");
    Ok(StatusCode::NO_CONTENT)
}

/// `X-HTTP-Method-Override`, for clients behind proxies that allow `POST` only.
async fn overridden(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let method = effective_method("POST", lookup(request.headers())).to_ascii_uppercase();
    let headers = request.headers().clone();
    match method.as_str() {
        "PATCH" => append(State(state), caller, Path(id), request).await,
        "HEAD" => position(State(state), caller, Path(id), headers).await.into_response(),
        "DELETE" => match routes::check(row_of("DELETE", "/api/uploads/{id}"), &caller) {
            Ok(()) => terminate(State(state), caller, Path(id), headers).await.into_response(),
            Err(error) => error.into_response(),
        },
        _ => ApiError::new(
            ProblemCode::MethodNotAllowed,
            "An upload supports HEAD, PATCH and DELETE, as method or in the header X-HTTP-Method-Override.",
        )
        .with_header(header::ALLOW, HeaderValue::from_static("HEAD, PATCH, DELETE, OPTIONS"))
        .into_response(),
    }
}
