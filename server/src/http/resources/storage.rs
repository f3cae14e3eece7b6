//! Storage usage and quotas: `/api/admin/storage` and `/api/storage/usage`.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use sortie_api::{DayUsage, QuotaUsage, StatusUsage, StorageReport, UserUsage};

use crate::clock::rfc3339;
use crate::config::{ProtectedQuota, StorageConfig};
use crate::db::{Amount, ProtectedLimit, RecordingRow, Usage};
use crate::http::extract::caller::{Admin, Caller};
use crate::http::routes::{Routes, routes};
use crate::http::{ApiResult, HttpState};
use crate::storage::Disk;

/// Number of users in the report, those with the most bytes first.
const OWNERS: u32 = 50;
/// Number of days in the report.
const DAYS: i64 = 90;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Divisor of the disk's size for the default protection quota of a user.
const SHARE_OF_DISK: u64 = 4;
/// Lifetime in ms of the cached usage. The query scans whole indexes.
const USAGE_LIFE_MS: i64 = 15_000;

pub(in crate::http) fn routes() -> Routes {
    routes! {
        GET "/api/admin/storage" => report,
        GET "/api/storage/usage" => usage,
    }
}

async fn report(State(state): State<HttpState>, _: Admin) -> ApiResult<Response> {
    let now_ms = state.clock.now_ms();
    let mut last = state.caches.usage.lock().await;
    let usage = match &*last {
        Some((at_ms, usage)) if (0..USAGE_LIFE_MS).contains(&(now_ms - at_ms)) => usage.clone(),
        _ => {
            // Whole days, including today.
            let from_ms = (now_ms / DAY_MS - DAYS + 1) * DAY_MS;
            let usage = state.database.statistics().usage(OWNERS, from_ms).await?;
            *last = Some((now_ms, usage.clone()));
            usage
        }
    };
    drop(last);
    let disk = match &state.config.storage {
        StorageConfig::Local(_) => state.disk.last(),
        #[cfg(feature = "s3")]
        StorageConfig::S3(_) | StorageConfig::Azure(_) | StorageConfig::Gcs(_) => None,
    };
    let report = view(&state, usage, disk);
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(report)).into_response())
}

fn view(state: &HttpState, usage: Usage, disk: Option<Disk>) -> StorageReport {
    let all = usage.by_status.iter().map(|(_, amount)| amount);
    let used_bytes = all.clone().map(|amount| amount.bytes.unsigned_abs()).sum();
    let recordings = all.map(|amount| amount.count.unsigned_abs()).sum();
    let of = |Amount { count, bytes }| (count.unsigned_abs(), bytes.unsigned_abs());
    StorageReport {
        backend: state.storage.name().to_owned(),
        path: state.config.storage.place(),
        used_bytes,
        free_bytes: disk.map(|disk| disk.free_bytes),
        total_bytes: disk.map(Disk::total_bytes),
        recordings,
        by_status: usage
            .by_status
            .into_iter()
            .map(|(status, amount)| {
                let (count, bytes) = of(amount);
                StatusUsage {
                    status,
                    count,
                    bytes,
                }
            })
            .collect(),
        by_user: usage
            .by_owner
            .into_iter()
            .map(|owner| {
                let (recordings, bytes) = of(owner.amount);
                UserUsage {
                    user_id: owner.user_id,
                    username: owner.username,
                    bytes,
                    recordings,
                }
            })
            .collect(),
        growth: usage
            .by_day
            .into_iter()
            .map(|(day_ms, amount)| {
                let (recordings, bytes) = of(amount);
                DayUsage {
                    day: rfc3339(day_ms).chars().take(10).collect(),
                    bytes,
                    recordings,
                }
            })
            .collect(),
        retention: state.retention.rule(),
    }
}

/// Returns the caller's usage and quotas.
async fn usage(State(state): State<HttpState>, caller: Caller) -> ApiResult<Response> {
    let limit = match caller.is_admin() {
        true => None,
        false => protected_limit(&state),
    };
    let usage = QuotaUsage {
        bytes: state.uploads.bytes_of(&caller.user_id).await?,
        protected_bytes: state
            .database
            .owners()
            .protected_bytes(&caller.user_id)
            .await?,
        open_uploads: state
            .database
            .owners()
            .open_uploads(&caller.user_id, "")
            .await?
            .of_user,
        quota_bytes: state.config.quota_bytes,
        quota_protected_bytes: limit.map(|limit| limit.bytes),
        uploads_per_user: state.config.uploads_per_user,
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(usage)).into_response())
}

/// Limit of the bytes that a user other than an administrator may protect.
pub(in crate::http) fn protected_limit(state: &HttpState) -> Option<ProtectedLimit> {
    let bytes = match state.config.protected_quota {
        ProtectedQuota::Off => return None,
        ProtectedQuota::Bytes(bytes) => bytes,
        ProtectedQuota::ShareOfDisk => {
            state.retention.rule().high_percent?;
            state.config.storage.local()?;
            state.disk.last()?.total_bytes() / SHARE_OF_DISK
        }
    };
    Some(ProtectedLimit {
        bytes,
        growing_bytes: state.config.max_size_bytes,
    })
}

/// Protection limit of the owner of a new upload that continues a recording, whose protection it inherits.
pub(in crate::http) fn protected_limit_of_part(
    state: &HttpState,
    caller: &Caller,
    row: &RecordingRow,
) -> Option<ProtectedLimit> {
    if row.part_of.is_none() || caller.is_admin() {
        return None;
    }
    protected_limit(state)
}
