//! Live view of an open recording.

use std::io;

use axum::body::Body;
use axum::extract::{OriginalUri, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use serde::Deserialize;
use sortie_api::ProblemCode;

use super::access::allowed;
use super::growing;
use super::serve::audit_view;
use crate::db::RecordingRow;
use crate::http::extract::caller::Caller;
use crate::http::extract::checked_stream::checked;
use crate::http::{ApiError, ApiResult, HttpState, UNBUFFERED};
use crate::uploads::{LiveStream, ViewError};

/// Seconds after which a client tries again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

#[derive(Deserialize)]
pub(super) struct LiveQuery {
    from_ms: Option<u64>,
}

/// Streams a growing recording and writes an audit row as for a view of a finished one.
pub(super) async fn watch(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<LiveQuery>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let watched = match growing::find(&state, &caller, &id).await? {
        Some(growing) => growing::watch(&state, growing).await?,
        None => {
            let row = allowed(&state, &caller, &id).await?;
            check_open(&row)?;
            match state.uploads.live(&id).await {
                Err(ViewError::Elsewhere) => return elsewhere(&state, &id, &uri, &headers).await,
                watched => watched?,
            }
        }
    };
    let media_type = HeaderValue::from_str(watched.media_type()).map_err(ApiError::internal)?;
    let body = match method {
        Method::HEAD => Body::empty(),
        _ => {
            let bytes = watched.watch(&caller.user_id, query.from_ms).await?;
            audit_view(&state, &caller, &id).await?;
            Body::from_stream(checked_bytes(bytes, state, caller))
        }
    };
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        UNBUFFERED,
    ];
    Ok((headers, body).into_response())
}

/// Passes the request on to the server that receives the recording.
#[cfg(all(feature = "postgres", feature = "s3"))]
async fn elsewhere(
    state: &HttpState,
    id: &str,
    uri: &Uri,
    headers: &HeaderMap,
) -> ApiResult<Response> {
    let leases = state.database.upload_leases(&state.config.replica_url);
    if let Some(address) = leases.holder(id).await?
        && let Some(answer) = state
            .caches
            .replicas
            .pass_on(&address, uri, headers)
            .await?
    {
        return Ok(answer);
    }
    Err(ViewError::Elsewhere.into())
}

/// There are no other servers.
#[cfg(not(all(feature = "postgres", feature = "s3")))]
#[expect(
    clippy::unused_async,
    reason = "the same signature as with other servers"
)]
async fn elsewhere(_: &HttpState, _: &str, _: &Uri, _: &HeaderMap) -> ApiResult<Response> {
    Err(ViewError::Elsewhere.into())
}

fn check_open(row: &RecordingRow) -> ApiResult<()> {
    let detail = match (row.deleting, row.status.is_open()) {
        (true, _) => "This recording is being deleted.",
        (false, false) => "This recording has ended. Play the finished recording.",
        (false, true) => return Ok(()),
    };
    Err(ApiError::new(ProblemCode::NotReady, detail))
}

/// Ends with an error once the caller's credential is no longer valid.
fn checked_bytes(
    bytes: LiveStream,
    state: HttpState,
    caller: Caller,
) -> impl Stream<Item = io::Result<Bytes>> {
    let bytes = stream::try_unfold(bytes, async |mut bytes| {
        let next = bytes.next().await?;
        Ok(next.map(|next| (next, bytes)))
    });
    checked(Box::pin(bytes), state, caller).map(|bytes| bytes?)
}

impl From<ViewError> for ApiError {
    fn from(error: ViewError) -> Self {
        match error {
            ViewError::NothingYet => Self::new(
                ProblemCode::NotReady,
                "Nothing of this recording can be played yet. Try again in a moment.",
            )
            .with_header(header::RETRY_AFTER, RETRY_AFTER),
            ViewError::NotStreamable => Self::new(
                ProblemCode::Conflict,
                "This recording cannot be played before it ends, because its MP4 has no self-contained fragments. Play it \
                 when it is complete.",
            ),
            ViewError::Elsewhere => Self::new(
                ProblemCode::Unavailable,
                "Another server of this installation receives this recording, and this one cannot reach it. Try again, or play it \
                 when it is complete.",
            )
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("5")),
            ViewError::TooManyOfUser => Self::new(
                ProblemCode::TooManyRequests,
                "You watch too many recordings live. Close some pages and try again.",
            )
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("5")),
            ViewError::TooMany => Self::new(
                ProblemCode::TooManyRequests,
                "Too many viewers watch this recording, or this server. Try again later, or play the recording when it is \
                 complete.",
            )
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("10")),
            ViewError::Storage(error) => error.into(),
        }
    }
}
