//! Everybody's recordings: `/api/admin/recordings`.

use axum::extract::State;
use axum::response::Response;
use sortie_api::RecordingQuery;

use crate::http::extract::caller::Admin;
use crate::http::extract::paging;
use crate::http::extract::paging::ListQuery;
use crate::http::routes::{Routes, routes};
use crate::http::{ApiResult, AppState};

pub(in crate::http) fn routes() -> Routes {
    routes! {
        GET "/api/admin/recordings" => list,
    }
}

async fn list(
    State(state): State<AppState>,
    _: Admin,
    query: ListQuery<RecordingQuery>,
) -> ApiResult<Response> {
    paging::recordings(&state, &query, None).await
}
