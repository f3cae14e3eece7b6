//! What anybody may ask.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use sortie_api::{ProblemCode, Readiness, Ready, ServerInfo};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::http::routes::{Routes, routes};
use crate::http::{ApiError, ApiResult, AppState};

/// For each check of `/readyz`.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long the outcome of a check counts.
const FRESH: Duration = Duration::from_secs(1);

pub(in crate::http) fn routes() -> Routes {
    routes! {
        GET "/api/info" => info,
        GET "/healthz" => healthz,
        GET "/readyz" => readyz,
    }
}

pub(in crate::http) async fn info(State(state): State<AppState>) -> Json<ServerInfo> {
    Json(ServerInfo {
        recording_enabled: state.config.recording_enabled,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        max_size_bytes: state.config.max_size_bytes,
        appliance: state.appliance.is_some(),
    })
}

/// The process answers.
pub(in crate::http) async fn healthz() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// The last check of `/readyz`. One runs at a time, and its outcome counts for [`FRESH`]: callers cannot disturb one
/// another, nor make work for the database and the storage by asking often.
#[derive(Debug, Default)]
pub(crate) struct LastCheck(Mutex<Option<(Instant, Checked)>>);

/// Outcome of a check: the failed parts, in words that every caller may read.
type Checked = Result<(), (ProblemCode, String)>;

/// Whether the database and the storage answer too.
pub(in crate::http) async fn readyz(State(state): State<AppState>) -> ApiResult<Json<Readiness>> {
    let mut last = state.readiness.0.lock().await;
    let checked = match last.as_ref() {
        Some((at, checked)) if at.elapsed() < FRESH => checked.clone(),
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

async fn checked(state: &AppState) -> Checked {
    let database = async { Ok(state.database.ping().await?) };
    let storage = async { Ok(state.storage.check().await?) };
    let (database, storage) = futures_util::future::join(in_time(database), in_time(storage)).await;
    let failed = match (&database, &storage) {
        (Ok(()), Ok(())) => return Ok(()),
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
    Err(failed)
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
