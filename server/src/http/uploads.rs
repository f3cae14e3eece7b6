//! tus 1.0 at `/api/uploads`: core, creation, creation-defer-length, creation-with-upload, termination.
//!
//! The decisions are [`sortie_tus::server`]'s and [`crate::ingest`]'s; this module translates.

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::StreamExt;
use sortie_api::ProblemCode;
use sortie_tus::header as tus;
use sortie_tus::metadata::Metadata;
use sortie_tus::server::{
    Append, Extension, Extensions, Protocol, Refusal, UploadLength, effective_method,
};

use super::caller::Caller;
use super::{ApiError, ApiResult, AppState, recordings, sessions};
use crate::ingest::{Position, drain};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/uploads", post(create).options(announce))
        .route(
            "/api/uploads/{id}",
            post(overridden)
                .patch(append)
                .head(position)
                .delete(terminate)
                .options(announce),
        )
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn(tus_headers))
}

fn protocol(state: &AppState) -> Protocol {
    let extensions = [
        Extension::Creation,
        Extension::CreationDeferLength,
        Extension::CreationWithUpload,
        Extension::Termination,
    ];
    Protocol {
        max_size: state.config.max_size_bytes,
        extensions: Extensions::from_iter(extensions),
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

/// Every answer says which protocol it speaks, refusals too.
async fn tus_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    insert(response.headers_mut(), tus::TUS_RESUMABLE, tus::VERSION);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::Version => ProblemCode::UnsupportedTusVersion,
            Refusal::Header(_)
            | Refusal::Metadata(_)
            | Refusal::Missing { .. }
            | Refusal::Contradiction { .. }
            | Refusal::Unsupported { .. }
            | Refusal::LengthChanged { .. }
            | Refusal::LengthBelowOffset { .. } => ProblemCode::BadRequest,
            Refusal::ContentType => ProblemCode::UnsupportedMediaType,
            Refusal::TooLarge { .. } | Refusal::BeyondLength { .. } => ProblemCode::TooLarge,
            Refusal::WrongOffset { .. } => ProblemCode::OffsetMismatch,
            Refusal::ChecksumMismatch => ProblemCode::ChecksumMismatch,
        };
        let mut error = Self::new(code, refusal.to_string());
        if refusal == Refusal::Version {
            error = error.with_header(
                HeaderName::from_static(tus::TUS_VERSION),
                HeaderValue::from_static(tus::VERSION),
            );
        }
        error
    }
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
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control()).take(200).collect();
    let name = name.trim().trim_start_matches('.');
    (!name.is_empty()).then(|| name.to_owned())
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
                match written(&state, &id, first, &parts.headers, body).await {
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
            response
        }
        Err(error) => {
            drain(body.into_data_stream().boxed()).await;
            error.into_response()
        }
    }
}

async fn created(
    state: &AppState,
    caller: &Caller,
    headers: &HeaderMap,
) -> ApiResult<(String, Option<Append>)> {
    let creation = protocol(state).creation(lookup(headers))?;
    let session = match creation
        .metadata
        .text("session_id")
        .filter(|id| !id.is_empty())
    {
        Some(id) => sessions::running(state, caller, id).await?,
        None => sessions::open(state, &caller.user_id, "upload").await?,
    };
    let row = recordings::new_row(
        state,
        &session,
        filename(&creation.metadata),
        creation.length.known(),
        creation.metadata.to_string(),
    );
    state.ingest.create(&row, &caller.user_id).await?;
    tracing::info!(
        recording = row.id,
        session = session.id,
        user = caller.username,
        "upload created"
    );
    Ok((row.id, creation.first_append()))
}

/// Whether the caller may have this upload; an upload is a recording.
async fn allowed(
    state: &AppState,
    caller: &Caller,
    id: &str,
) -> ApiResult<crate::catalog::RecordingRow> {
    recordings::allowed(state, caller, id).await
}

async fn position(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    protocol(&state).version_check(lookup(&headers))?;
    let row = allowed(&state, &caller, &id).await?;
    let Position { offset, length } = state.ingest.position(&id).await?;
    let mut response = StatusCode::OK.into_response();
    let answer = response.headers_mut();
    insert(answer, tus::UPLOAD_OFFSET, &offset.to_string());
    match length {
        UploadLength::Known(length) => insert(answer, tus::UPLOAD_LENGTH, &length.to_string()),
        UploadLength::Deferred => insert(answer, tus::UPLOAD_DEFER_LENGTH, "1"),
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
        allowed(&state, &caller, &id).await?;
        ApiResult::Ok(append)
    };
    let append = match admitted.await {
        Ok(append) => append,
        Err(error) => {
            drain(body.into_data_stream().boxed()).await;
            return error.into_response();
        }
    };
    match written(&state, &id, append, &parts.headers, body).await {
        Ok(position) => {
            let mut response = StatusCode::NO_CONTENT.into_response();
            insert(
                response.headers_mut(),
                tus::UPLOAD_OFFSET,
                &position.offset.to_string(),
            );
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
) -> ApiResult<Position> {
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse().ok());
    Ok(state
        .ingest
        .append(id, append, length, body.into_data_stream().boxed())
        .await?)
}

async fn terminate(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> ApiResult<StatusCode> {
    protocol(&state).version_check(lookup(&headers))?;
    let row = allowed(&state, &caller, &id).await?;
    state.ingest.delete(&row.id, &caller.user_id).await?;
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
        "DELETE" => terminate(State(state), caller, Path(id), headers).await.into_response(),
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
    use crate::http::error;

    #[test]
    fn every_refusal_gets_the_status_that_the_protocol_gives_it() {
        let refusals = [
            Refusal::Version,
            Refusal::Missing {
                header: "Upload-Offset",
            },
            Refusal::Contradiction {
                first: "a",
                second: "b",
            },
            Refusal::Unsupported {
                header: "Upload-Concat",
            },
            Refusal::ContentType,
            Refusal::TooLarge { max_size: 1 },
            Refusal::BeyondLength { length: 1 },
            Refusal::WrongOffset {
                requested: 1,
                current: 2,
            },
            Refusal::LengthChanged {
                known: 1,
                declared: 2,
            },
            Refusal::LengthBelowOffset {
                current: 2,
                declared: 1,
            },
            Refusal::ChecksumMismatch,
        ];
        for refusal in refusals {
            let expected = refusal.status();
            let response = ApiError::from(refusal.clone()).into_response();
            assert_eq!(response.status().as_u16(), expected, "{refusal}");
        }
        assert_eq!(error::status(ProblemCode::ChecksumMismatch).as_u16(), 460);
    }

    #[test]
    fn a_name_from_outside_names_no_folder() {
        for (given, expected) in [
            ("talk.webm", Some("talk.webm")),
            ("../../etc/passwd", Some("passwd")),
            ("C:\\videos\\talk.webm", Some("talk.webm")),
            ("a\nb\u{0}.webm", Some("ab.webm")),
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
