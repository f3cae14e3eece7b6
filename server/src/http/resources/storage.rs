//! What the recordings take up: `/api/admin/storage`.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use sortie_api::{DayUsage, StatusUsage, StorageReport, UserUsage};

use crate::clock::rfc3339;
use crate::config::StorageConfig;
use crate::db::{Amount, Usage};
use crate::http::extract::caller::Admin;
use crate::http::routes::{Routes, routes};
use crate::http::{ApiResult, AppState};
use crate::storage::Disk;

/// So many owners are named.
const OWNERS: u32 = 50;
/// So far back goes the growth.
const DAYS: i64 = 90;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Counting reads all of some indexes, so whoever asks again before this gets what was counted.
const FRESH_MS: i64 = 15_000;

/// What was counted last, and when; whoever comes while it is counted waits for that.
#[derive(Default)]
pub(crate) struct LastUsage(tokio::sync::Mutex<Option<(i64, Usage)>>);

pub(in crate::http) fn routes() -> Routes {
    routes! {
        GET "/api/admin/storage" => report,
    }
}

async fn report(State(state): State<AppState>, _: Admin) -> ApiResult<Response> {
    let now_ms = state.clock.now_ms();
    let mut last = state.usage.0.lock().await;
    let usage = match &*last {
        Some((at_ms, usage)) if (0..FRESH_MS).contains(&(now_ms - at_ms)) => usage.clone(),
        _ => {
            // Whole days, today among them.
            let from_ms = (now_ms / DAY_MS - DAYS + 1) * DAY_MS;
            let usage = state.database.usage(OWNERS, from_ms).await?;
            *last = Some((now_ms, usage.clone()));
            usage
        }
    };
    drop(last);
    let disk = match &state.config.storage {
        StorageConfig::Local(local) => Disk::of(&local.path).await.ok(),
        #[cfg(feature = "s3")]
        StorageConfig::S3(_) | StorageConfig::Azure(_) | StorageConfig::Gcs(_) => None,
    };
    let report = shown(&state, usage, disk);
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(report)).into_response())
}

fn shown(state: &AppState, usage: Usage, disk: Option<Disk>) -> StorageReport {
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
