//! Everybody's recordings: `/api/admin/recordings`.

use axum::extract::State;
use axum::response::Response;
use sortie_api::RecordingQuery;

use super::access::{Routes, routes};
use super::caller::Admin;
use super::lists::{self, ListQuery};
use super::{ApiResult, AppState};

pub(super) fn routes() -> Routes {
    routes! {
        GET "/api/admin/recordings" => list,
    }
}

async fn list(
    State(state): State<AppState>,
    _: Admin,
    query: ListQuery<RecordingQuery>,
) -> ApiResult<Response> {
    lists::recordings(&state, &query, None).await
}
