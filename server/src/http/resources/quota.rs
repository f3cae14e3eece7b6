//! Quotas of one user: what is in use, and what is allowed.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use sortie_api::{ProblemCode, QuotaUsage};

use crate::config::{ProtectedQuota, StorageConfig};
use crate::db::{ProtectedLimit, RecordingRow};
use crate::http::error::mebibytes;
use crate::http::extract::caller::Caller;
use crate::http::routes::{Routes, routes};
use crate::http::{ApiError, ApiResult, AppState};
use crate::storage::Disk;

/// Part of the disk that one user may protect where nothing else is set: a quarter.
const SHARE_OF_DISK: u64 = 4;

pub(in crate::http) fn routes() -> Routes {
    routes! {
        GET "/api/storage/usage" => usage,
    }
}

/// The caller's usage beside the caller's quotas.
async fn usage(State(state): State<AppState>, caller: Caller) -> ApiResult<Response> {
    let limit = match caller.is_admin() {
        true => None,
        false => protected_limit(&state).await,
    };
    let usage = QuotaUsage {
        bytes: state.uploads.bytes_of(&caller.user_id).await?,
        protected_bytes: state.database.protected_bytes_of(&caller.user_id).await?,
        open_uploads: state
            .database
            .open_uploads(&caller.user_id, "")
            .await?
            .of_user,
        quota_bytes: state.config.quota_bytes,
        quota_protected_bytes: limit.map(|limit| limit.bytes),
        uploads_per_user: state.config.uploads_per_user,
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(usage)).into_response())
}

/// Most bytes that a user who is not an administrator may protect.
pub(in crate::http) async fn protected_limit(state: &AppState) -> Option<ProtectedLimit> {
    let bytes = match state.config.protected_quota {
        ProtectedQuota::Off => return None,
        ProtectedQuota::Bytes(bytes) => bytes,
        ProtectedQuota::ShareOfDisk => {
            state.retention.rule().high_percent?;
            let StorageConfig::Local(local) = &state.config.storage else {
                return None;
            };
            Disk::of(&local.path).await.ok()?.total_bytes() / SHARE_OF_DISK
        }
    };
    Some(ProtectedLimit {
        bytes,
        growing_bytes: state.config.max_size_bytes,
    })
}

/// Most bytes that the owner of a new upload may protect, if it continues a recording: it inherits the protection.
pub(in crate::http) async fn protected_limit_of_part(
    state: &AppState,
    caller: &Caller,
    row: &RecordingRow,
) -> Option<ProtectedLimit> {
    if row.part_of.is_none() || caller.is_admin() {
        return None;
    }
    protected_limit(state).await
}

/// The refusal of a protection, or of a further part of a protected recording, beyond `allowed` bytes.
pub(in crate::http) fn protected_exceeded(allowed: u64) -> ApiError {
    ApiError::new(
        ProblemCode::QuotaExceeded,
        format!(
            "Your protected recordings would exceed the quota of {} (SORTIE_QUOTA_PROTECTED_MB_PER_USER). A recording \
             that still grows counts with the largest size it may reach. Remove the protection of another recording, \
             or ask your administrator.",
            mebibytes(allowed)
        ),
    )
}
