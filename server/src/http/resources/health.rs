//! Health checks and server information: `/healthz`, `/readyz`, `/api/info`.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use sortie_api::{ProblemCode, Readiness, Ready, ServerInfo};
use tokio::time::Instant;

use crate::http::routes::{Routes, routes};
use crate::http::state::ReadinessCheck;
use crate::http::{ApiError, ApiResult, HttpState};

/// Time limit of each check of `/readyz`.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);
/// Lifetime of the cached outcome, so that frequent requests cause no load.
const CHECK_LIFE: Duration = Duration::from_secs(1);

pub(in crate::http) fn routes() -> Routes {
    routes! {
        GET "/api/info" => info,
        GET "/healthz" => healthz,
        GET "/readyz" => readyz,
    }
}

pub(in crate::http) async fn info(State(state): State<HttpState>) -> Json<ServerInfo> {
    Json(ServerInfo {
        recording_enabled: state.config.recording_enabled,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        max_size_bytes: state.config.max_size_bytes,
        appliance: state.appliance.is_some(),
        sharing: state.config.sharing_enabled,
        trash_days: state.trash_days(),
    })
}

pub(in crate::http) async fn healthz() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// Checks the database and the storage.
pub(in crate::http) async fn readyz(State(state): State<HttpState>) -> ApiResult<Json<Readiness>> {
    let mut last = state.caches.readiness.lock().await;
    let checked = match last.as_ref() {
        Some((at, checked)) if at.elapsed() < CHECK_LIFE => checked.clone(),
        _ => {
            let checked = checked(&state).await;
            last.insert((Instant::now(), checked)).1.clone()
        }
    };
    drop(last);
    match checked {
        Ok(()) => Ok(Json(Readiness {
            database: Ready::Ok,
            storage: Ready::Ok,
        })),
        Err((code, reasons)) => Err(ApiError::new(code, reasons)),
    }
}

async fn checked(state: &HttpState) -> ReadinessCheck {
    let database = async { Ok(state.database.ping().await?) };
    let storage = async { Ok(state.storage.check().await?) };
    let (database, storage) =
        futures_util::future::join(with_timeout(database), with_timeout(storage)).await;
    let failed = match (&database, &storage) {
        (Ok(()), Ok(())) => return Ok(()),
        (Err(error), Ok(())) => (error.code(), format!("Database: {}", error.detail())),
        (Ok(()), Err(error)) => (error.code(), format!("Storage: {}", error.detail())),
        (Err(one), Err(other)) => (
            one.code(),
            format!("Database: {} Storage: {}", one.detail(), other.detail()),
        ),
    };
    // The causes are in the log.
    for error in [database, storage].into_iter().filter_map(Result::err) {
        error.log();
    }
    Err(failed)
}

/// Limits a check to [`CHECK_TIMEOUT`].
async fn with_timeout(check: impl Future<Output = ApiResult<()>>) -> ApiResult<()> {
    let unavailable = |detail| ApiError::new(ProblemCode::Unavailable, detail);
    match tokio::time::timeout(CHECK_TIMEOUT, check).await {
        Ok(Err(error)) => Err(match error.code() {
            ProblemCode::Unavailable | ProblemCode::InsufficientStorage => error,
            // Other codes, like 410 for a missing folder, describe one recording and not the storage.
            _ => {
                error.log();
                unavailable("Not usable. The server log has the cause.")
            }
        }),
        Ok(Ok(())) => Ok(()),
        Err(_) => Err(unavailable("No answer within 3 seconds.")),
    }
}
