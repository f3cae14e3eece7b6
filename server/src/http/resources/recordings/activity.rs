//! Activity of a recording over time.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use sortie_api::{Activity, IdleSpan, ProblemCode};

use super::access::allowed;
use crate::http::extract::caller::Caller;
use crate::http::{ApiError, ApiResult, HttpState};

/// Returns the activity of a recording; that of an open recording covers the bytes received so far.
pub(super) async fn show(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Response> {
    let row = allowed(&state, &caller, &id).await?;
    if row.deleting {
        let detail = "This recording is being deleted.";
        return Err(ApiError::new(ProblemCode::NotReady, detail));
    }
    let summary = state.uploads.activity(&row).await?.summary();
    let activity = Activity {
        bucket_ms: summary.bucket_ms,
        levels: summary.levels,
        idle: (summary.idle_ms.into_iter())
            .map(|(start_ms, end_ms)| IdleSpan { start_ms, end_ms })
            .collect(),
        active_ms: summary.active_ms,
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(activity)).into_response())
}
