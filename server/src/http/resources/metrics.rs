//! Scrape of the Prometheus metrics: `/metrics`.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use sortie_api::{Amount, RecorderProblem};

use super::appliance::view;
use crate::http::routes::{Routes, routes};
use crate::http::state::Totals;
use crate::http::{ApiError, ApiResult, HttpState};

/// Lifetime in ms of the cached database totals.
const TOTALS_LIFE_MS: i64 = 30_000;
const MEDIA_TYPE: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

pub(in crate::http) fn routes() -> Routes {
    routes! { GET "/metrics" => metrics }
}

async fn metrics(State(state): State<HttpState>) -> ApiResult<Response> {
    let totals = totals(&state).await?;
    let free = state.disk.last().map(|disk| disk.free_bytes);
    if let (Some(appliance), Some(shown)) = (&state.appliance, view(&state)) {
        state.metrics.capture(&shown, &appliance.measurements());
        let problem = shown.problem_code.map(recorder_problem);
        let pictures = appliance.picture().encoded();
        let unforwarded = totals.unforwarded;
        state.metrics.appliance(problem, unforwarded, pictures);
    }
    let index_memory = state.uploads.index_memory_bytes();
    state.metrics.index_memory(index_memory);
    let text = state
        .metrics
        .text(&totals.by_status, free)
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

/// Totals, cached for [`TOTALS_LIFE_MS`].
async fn totals(state: &HttpState) -> ApiResult<Totals> {
    let mut cached = state.caches.totals.lock().await;
    let now_ms = state.clock.now_ms();
    if let Some((at_ms, totals)) = cached.as_ref()
        && (0..TOTALS_LIFE_MS).contains(&(now_ms - at_ms))
    {
        return Ok(totals.clone());
    }
    let totals = Totals {
        by_status: state.database.statistics().by_status().await?.into(),
        unforwarded: match state.appliance {
            Some(_) => state.database.imported().unforwarded().await?,
            None => Amount::default(),
        },
    };
    *cached = Some((now_ms, totals.clone()));
    Ok(totals)
}
