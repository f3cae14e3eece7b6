//! What anybody may ask.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use sortie_api::{ProblemCode, Readiness, Ready, ServerInfo};

use super::access::{Routes, routes};
use super::{ApiError, ApiResult, AppState};

/// For each check of `/readyz`.
const PATIENCE: Duration = Duration::from_secs(3);

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
        appliance: state.appliance.is_some(),
    })
}

/// The process answers.
pub(super) async fn healthz() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// The database and the storage answer too; if not, which of them, in words that anybody may read.
pub(super) async fn readyz(State(state): State<AppState>) -> ApiResult<Json<Readiness>> {
    let database = async { Ok(state.catalog.ping().await?) };
    let storage = async { Ok(state.storage.check().await?) };
    let (database, storage) = futures_util::future::join(in_time(database), in_time(storage)).await;
    let (code, reasons) = match (&database, &storage) {
        (Ok(()), Ok(())) => {
            return Ok(Json(Readiness {
                database: Ready::Ok,
                storage: Ready::Ok,
            }));
        }
        (Err(error), Ok(())) => (error.code(), format!("Database: {}", error.detail())),
        (Ok(()), Err(error)) => (error.code(), format!("Storage: {}", error.detail())),
        (Err(one), Err(other)) => (
            one.code(),
            format!("Database: {} Storage: {}", one.detail(), other.detail()),
        ),
    };
    // Both go to the log, where the sources are.
    for error in [database, storage].into_iter().filter_map(Result::err) {
        error.log();
    }
    Err(ApiError::new(code, reasons))
}

/// Whoever asks gives up soon, and so does this.
async fn in_time(check: impl Future<Output = ApiResult<()>>) -> ApiResult<()> {
    let unavailable = |detail| ApiError::new(ProblemCode::Unavailable, detail);
    match tokio::time::timeout(PATIENCE, check).await {
        Ok(Err(error)) => Err(match error.code() {
            ProblemCode::Unavailable | ProblemCode::InsufficientStorage => error,
            // Such as 410 for a folder that is gone: right for a recording, wrong for all of them.
            _ => {
                error.log();
                unavailable("It cannot be used; the log says why.")
            }
        }),
        Ok(Ok(())) => Ok(()),
        Err(_) => Err(unavailable("No answer within 3 seconds.")),
    }
}
