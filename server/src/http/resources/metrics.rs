//! Scrape of the Prometheus metrics: `/metrics`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use sortie_api::RecorderProblem;

use crate::http::routes::{Routes, routes};
use crate::http::{ApiError, ApiResult, HttpState};
use crate::metrics::Total;
use crate::storage::Disk;

/// Lifetime in ms of the cached database totals.
const TOTALS_LIFE_MS: i64 = 30_000;
const MEDIA_TYPE: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

pub(in crate::http) fn routes() -> Routes {
    routes! { GET "/metrics" => metrics }
}

async fn metrics(State(state): State<HttpState>) -> ApiResult<Response> {
    let totals = totals(&state).await?;
    let disk = Disk::of(state.config.storage.folder()).await.ok();
    let free = disk.map(|disk| disk.free_bytes);
    if let Some(appliance) = &state.appliance {
        let problem = appliance.state().problem_code.map(recorder_problem);
        let unforwarded = state.database.imported().unforwarded().await?;
        state.metrics.appliance(problem, unforwarded);
    }
    let index_memory = state.uploads.index_memory_bytes();
    state.metrics.index_memory(index_memory);
    if let Some(appliance) = &state.appliance {
        state
            .metrics
            .appliance_pictures(appliance.picture().encoded());
    }
    let text = state
        .metrics
        .text(&totals, free)
        .map_err(ApiError::internal)?;
    let headers = [
        (header::CONTENT_TYPE, MEDIA_TYPE),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, text).into_response())
}

/// Returns the code of a problem as it is in JSON.
fn recorder_problem(problem: RecorderProblem) -> String {
    let code = serde_json::to_value(problem).ok();
    let text = code.as_ref().and_then(serde_json::Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// Totals by status, cached for [`TOTALS_LIFE_MS`].
async fn totals(state: &HttpState) -> ApiResult<Arc<[Total]>> {
    let mut cached = state.caches.totals.lock().await;
    let now_ms = state.clock.now_ms();
    if let Some((at_ms, totals)) = cached.as_ref()
        && (0..TOTALS_LIFE_MS).contains(&(now_ms - at_ms))
    {
        return Ok(Arc::clone(totals));
    }
    let totals: Arc<[Total]> = state.database.statistics().by_status().await?.into();
    *cached = Some((now_ms, Arc::clone(&totals)));
    Ok(totals)
}
