//! What anybody may ask.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use sortie_api::ServerInfo;

use super::access::{Routes, routes};
use super::{ApiResult, AppState};

pub(super) fn routes() -> Routes {
    routes! {
        GET "/api/info" => info,
        GET "/healthz" => healthz,
        GET "/readyz" => readyz,
    }
}

pub(super) async fn info(State(state): State<AppState>) -> Json<ServerInfo> {
    Json(ServerInfo {
        recording_enabled: state.config.recording_enabled,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        max_size_bytes: state.config.max_size_bytes,
    })
}

/// The process answers.
pub(super) async fn healthz() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// The database and the storage answer too.
pub(super) async fn readyz(State(state): State<AppState>) -> ApiResult<StatusCode> {
    state.catalog.ping().await?;
    state.storage.check().await?;
    Ok(StatusCode::NO_CONTENT)
}
