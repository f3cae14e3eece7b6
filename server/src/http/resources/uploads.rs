//! tus 1.0 at `/api/uploads`: the core and every extension. See docs/tus.md.
//!
//! The decisions are [`sortie_tus::server`]'s and [`crate::uploads`]'s; this module translates.

mod concat;
mod refusal;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
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

use super::metrics::Watch;
use super::{quota, recordings, sessions};
use crate::clock::http_date;
use crate::db::{Actor, UploadKind};
use crate::http::extract::caller::Caller;
use crate::http::routes;
use crate::http::routes::{Routes, routes, row_of};
use crate::http::{ApiError, ApiResult, AppState, Routine};
use crate::uploads::{Framing, Position, drain};

/// Seconds without a request after which the server finishes an upload.
const SILENCE_SECONDS: &str = "sortie-silence-seconds";

pub(in crate::http) fn routes() -> Routes {
    let routes = routes! {
        POST "/api/uploads" => create,
        OPTIONS "/api/uploads" => announce,
        POST "/api/uploads/{id}" => overridden,
        PATCH "/api/uploads/{id}" => append,
        HEAD "/api/uploads/{id}" => position,
        DELETE "/api/uploads/{id}" => terminate,
        OPTIONS "/api/uploads/{id}" => announce,
    };
    routes
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn(tus_headers))
}

fn protocol(state: &AppState) -> Protocol {
    Protocol {
        max_size: state.config.max_size_bytes,
        extensions: Extensions::from_iter(Extension::ALL),
    }
}

/// Looks a header up as [`Protocol`] wants it: what is not text counts as wrong, not as missing.
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

/// Says until when an upload that is not complete is kept; nothing when it is complete.
fn insert_expires(headers: &mut HeaderMap, expires_ms: Option<i64>) {
    if let Some(date) = expires_ms.and_then(http_date) {
        insert(headers, tus::UPLOAD_EXPIRES, &date);
    }
}

/// Says how long the sender may be silent before the server finishes the upload.
fn insert_silence(headers: &mut HeaderMap, state: &AppState) {
    insert(
        headers,
        SILENCE_SECONDS,
        &state.config.silence.as_secs().to_string(),
    );
}

/// Tells the sender of an open upload that its recording was stopped. The next answer tells it, so no sender needs the
/// event stream for that.
fn insert_stopped(headers: &mut HeaderMap, is_stopped: bool) {
    if is_stopped {
        insert(headers, tus::SORTIE_STOPPED, "1");
    }
}

/// Every answer says which protocol it speaks, refusals too.
async fn tus_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    insert(response.headers_mut(), tus::TUS_RESUMABLE, tus::VERSION);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn announce(State(state): State<AppState>) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    for (name, value) in protocol(&state).announcement() {
        insert(response.headers_mut(), name, &value);
    }
    response
}

/// The name a recording gets from a sender: one line, no folders.
fn filename(metadata: &Metadata) -> Option<String> {
    let name = metadata
        .text("filename")
        .or_else(|| metadata.text("name"))?;
    plain_filename(name)
}

/// A sender's file name as one line without folders and invisible marks.
pub(in crate::http) fn plain_filename(name: &str) -> Option<String> {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name = name
        .chars()
        .filter(|c| !c.is_control() && !is_deceptive(*c));
    let name: String = name.take(200).collect();
    let name = name.trim_start_matches(|c: char| c == '.' || c.is_whitespace());
    let name = name.trim_end();
    has_visible(name).then(|| name.to_owned())
}

/// Whether a name has a character that can be seen.
pub(in crate::http) fn has_visible(name: &str) -> bool {
    // Joiners and variation selectors have no look of their own, but change that of others.
    let is_modifier = |c| {
        matches!(c, '\u{34F}' | '\u{180B}'..='\u{180F}' | '\u{200C}' | '\u{200D}' | '\u{FE00}'..='\u{FE0F}'
            | '\u{E0100}'..='\u{E01EF}')
    };
    name.chars()
        .any(|c| !c.is_whitespace() && !is_modifier(c) && !is_deceptive(c))
}

/// Whether a character hides a part of a name: controls of the direction of writing, separators of lines, and blank
/// characters that no language needs in a name.
pub(in crate::http) fn is_deceptive(character: char) -> bool {
    matches!(
        character,
        '\u{AD}'
            | '\u{61C}'
            | '\u{115F}'
            | '\u{1160}'
            | '\u{17B4}'
            | '\u{17B5}'
            | '\u{200B}'
            | '\u{200E}'
            | '\u{200F}'
            | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{FEFF}'
            | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFFB}'
            | '\u{E0000}'..='\u{E00FF}'
    )
}

async fn create(State(state): State<AppState>, caller: Caller, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    match created(&state, &caller, &parts.headers).await {
        Ok((id, first)) => {
            let mut response = StatusCode::CREATED.into_response();
            insert(
                response.headers_mut(),
                "location",
                &format!("/api/uploads/{id}"),
            );
            if let Some(first) = first {
                match written(&state, &id, first, &parts.headers, body, &caller.actor()).await {
                    Ok(position) => {
                        insert(
                            response.headers_mut(),
                            tus::UPLOAD_OFFSET,
                            &position.offset.to_string(),
                        );
                    }
                    // The upload exists; its sender asks for the offset and goes on.
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
            drain_unless_held_back(&parts.headers, body).await;
            error.into_response()
        }
    }
}

/// Reads on for a while after a refusal, so that its sender sees that; unless the sender waits for a word before it sends
/// the body (`Expect: 100-continue`), which reading would give.
async fn drain_unless_held_back(headers: &HeaderMap, body: Body) {
    if !is_held_back(headers) {
        drain(body.into_data_stream().boxed()).await;
    }
}

/// Whether the sender sends the body only when it is told to (RFC 9110, section 10.1.1).
fn is_held_back(headers: &HeaderMap) -> bool {
    let expect = headers.get(header::EXPECT);
    expect.is_some_and(|expect| expect.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Whoever does not know whether their upload was made says the same under this key of the metadata again, and gets
/// the same upload while it is open.
fn idempotency_key(metadata: &Metadata) -> Option<String> {
    let key = metadata.text("idempotency_key")?;
    Some(STANDARD.encode(Sha256::digest(key)))
}

async fn created(
    state: &AppState,
    caller: &Caller,
    headers: &HeaderMap,
) -> ApiResult<(String, Option<Append>)> {
    let creation = protocol(state).creation(lookup(headers))?;
    if creation.concat.is_some() && caller.session.is_some() {
        return Err(ApiError::forbidden(
            "A recording token cannot make partial uploads: they belong to no session.",
        ));
    }
    if creation.concat.is_some() && continues(&creation.metadata).is_some() {
        return Err(ApiError::invalid(
            "The metadata continues cannot be used together with Upload-Concat. Send the next part as one upload.",
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
            Made::New(id) => id,
            Made::Known(id) => return Ok((id, None)),
        },
    };
    tracing::info!(recording = id, user = caller.username, "upload created");
    Ok((id, creation.first_append()))
}

/// The upload that a creation names.
enum Made {
    New(String),
    /// One of an earlier creation with the same key.
    Known(String),
}

async fn recording(state: &AppState, caller: &Caller, creation: &Creation) -> ApiResult<Made> {
    let metadata = &creation.metadata;
    let key = idempotency_key(metadata);
    let known = state.database.upload_with(&caller.user_id, key.as_deref());
    if let Some(id) = known.await? {
        // Keys are unique per user, so this may be an upload of another session.
        recordings::owned(state, caller, &id).await?;
        return Ok(Made::Known(id));
    }
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
    let actor = caller.actor();
    let protected = quota::protected_limit_of_part(state, caller, &row).await;
    let made = match state
        .uploads
        .create(&row, caller.creator(), protected, &actor)
        .await
    {
        Ok(id) if id == row.id => return Ok(Made::New(id)),
        Ok(id) => Ok(Made::Known(id)),
        Err(error) => Err(error.into()),
    };
    // Opened for this upload, which there is not.
    if continues.is_none() && named_session(caller, metadata) != Some(&session.id) {
        let now_ms = state.clock.now_ms();
        let deleted = state.database.delete_session(&session, &actor, now_ms);
        deleted.await?;
    }
    made
}

/// Id of the session that a creation names; a recording token names its own.
fn named_session<'a>(caller: &'a Caller, metadata: &'a Metadata) -> Option<&'a str> {
    let named = metadata.text("session_id").filter(|id| !id.is_empty());
    named.or(caller.session.as_deref())
}

/// The recording that an upload is a further part of.
fn continues(metadata: &Metadata) -> Option<&str> {
    metadata.text("continues").filter(|id| !id.is_empty())
}

/// The session that an upload belongs to: the one it names, else that of the recording it continues, else one of its
/// own.
async fn session(
    state: &AppState,
    caller: &Caller,
    metadata: &Metadata,
) -> ApiResult<crate::db::SessionRow> {
    match named_session(caller, metadata) {
        Some(id) => sessions::running(state, caller, id).await,
        None => match continues(metadata) {
            Some(id) => {
                let row = recordings::allowed(state, caller, id).await?;
                sessions::running(state, caller, &row.session_id).await
            }
            None => sessions::open(state, caller, "upload").await,
        },
    }
}

async fn position(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    protocol(&state).version_check(lookup(&headers))?;
    let row = recordings::owned(&state, &caller, &id).await?;
    let mut response = StatusCode::OK.into_response();
    let answer = response.headers_mut();
    if row.kind == UploadKind::Final && row.status.is_open() {
        // Its length is known, but it has no offset before it is joined (*Concatenation*).
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
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let admitted = async {
        let append = protocol(&state).append(lookup(&parts.headers))?;
        // Whose it is does not change while it grows: no query for every chunk.
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
            drain_unless_held_back(&parts.headers, body).await;
            return error.into_response();
        }
    };
    match written(&state, &id, append, &parts.headers, body, &caller.actor()).await {
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

async fn written(
    state: &AppState,
    id: &str,
    append: Append,
    headers: &HeaderMap,
    body: Body,
    actor: &Actor,
) -> ApiResult<Position> {
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse().ok());
    let framing = Framing {
        length,
        held_back: is_held_back(headers),
    };
    let (watch, body) = Watch::over(Arc::clone(&state.metrics), body.into_data_stream());
    let position = state
        .uploads
        .append(id, append, framing, body.boxed(), actor)
        .await?;
    watch.acknowledged();
    Ok(position)
}

async fn terminate(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> ApiResult<StatusCode> {
    protocol(&state).version_check(lookup(&headers))?;
    let row = recordings::owned(&state, &caller, &id).await?;
    recordings::check_forwarded(&row)?;
    state.uploads.delete(&row.id, &caller.actor()).await?;
    tracing::info!(recording = id, user = caller.username, "upload terminated");
    Ok(StatusCode::NO_CONTENT)
}

/// `X-HTTP-Method-Override`, for senders behind something that only lets `POST` through.
async fn overridden(
    State(state): State<AppState>,
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
            "An upload takes HEAD, PATCH and DELETE, by name or in the header X-HTTP-Method-Override.",
        )
        .with_header(header::ALLOW, HeaderValue::from_static("HEAD, PATCH, DELETE, OPTIONS"))
        .into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_from_outside_names_no_folder() {
        for (given, expected) in [
            ("talk.webm", Some("talk.webm")),
            ("../../etc/passwd", Some("passwd")),
            ("C:\\videos\\talk.webm", Some("talk.webm")),
            ("a\nb\u{0}.webm", Some("ab.webm")),
            ("gpj\u{202E}mbew.exe", Some("gpjmbew.exe")),
            ("..", None),
            ("", None),
        ] {
            let mut metadata = Metadata::new();
            assert!(
                metadata
                    .insert("filename", given.as_bytes().to_vec())
                    .is_ok()
            );
            assert_eq!(filename(&metadata).as_deref(), expected, "{given:?}");
        }
    }
}
