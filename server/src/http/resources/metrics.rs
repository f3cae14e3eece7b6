//! `/metrics`, and the layer that counts answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt as _};
use sortie_api::ProblemCode;
use tokio::time::Instant;

use crate::http::routes::{Routes, routes};
use crate::http::{ApiError, ApiResult, AppState};
use crate::metrics::{Metrics, Total};
use crate::storage::Disk;

/// How long the database's part of a scrape is good for.
const KEPT_MS: i64 = 30_000;
const MEDIA_TYPE: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// What the last scrape asked the database for, and when.
pub(in crate::http) type Kept = tokio::sync::Mutex<Option<(i64, Arc<[Total]>)>>;

pub(in crate::http) fn routes() -> Routes {
    routes! { GET "/metrics" => metrics }
}

async fn metrics(State(state): State<AppState>) -> ApiResult<Response> {
    let totals = totals(&state).await?;
    let disk = Disk::of(state.config.storage.folder()).await.ok();
    let free = disk.map(|disk| disk.free_bytes);
    let index_memory = state.uploads.index_memory_bytes();
    state.metrics.index_memory(index_memory);
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

/// Of several scrapes at once, one asks the database.
async fn totals(state: &AppState) -> ApiResult<Arc<[Total]>> {
    let mut kept = state.totals.lock().await;
    let now_ms = state.clock.now_ms();
    if let Some((at_ms, totals)) = kept.as_ref()
        && (0..KEPT_MS).contains(&(now_ms - at_ms))
    {
        return Ok(Arc::clone(totals));
    }
    let totals: Arc<[Total]> = state.database.totals().await?.into();
    *kept = Some((now_ms, Arc::clone(&totals)));
    Ok(totals)
}

/// The layer.
pub(in crate::http) async fn count(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let method = method(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    // Whatever no route matches is one route, so that made-up paths make no series.
    let route = route.as_ref().map_or("(page)", MatchedPath::as_str);
    let status = response.status().as_u16();
    state
        .metrics
        .answered(method, route, status, begun.elapsed());
    if let Some(code) = response.extensions().get::<ProblemCode>() {
        state.metrics.refused(code.wire_name());
    }
    response
}

/// One of a few words: a method can be made up, too.
fn method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// Watches one body on its way to the storage.
pub(in crate::http) struct Watch {
    metrics: Arc<Metrics>,
    begun: Instant,
    /// Microseconds from `begun` to the last bytes.
    last: Arc<AtomicU64>,
}

impl Watch {
    /// Counts the bytes that pass.
    pub(in crate::http) fn over<E>(
        metrics: Arc<Metrics>,
        body: impl Stream<Item = Result<Bytes, E>>,
    ) -> (Self, impl Stream<Item = Result<Bytes, E>>) {
        let watch = Self {
            metrics: Arc::clone(&metrics),
            begun: Instant::now(),
            last: Arc::default(),
        };
        let (begun, last) = (watch.begun, Arc::clone(&watch.last));
        let body = body.inspect(move |item| {
            if let Ok(bytes) = item {
                metrics.received(bytes.len() as u64);
                let passed = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
                last.store(passed, Ordering::Relaxed);
            }
        });
        (watch, body)
    }

    /// What came is durable now.
    pub(in crate::http) fn acknowledged(self) {
        let last = Duration::from_micros(self.last.load(Ordering::Relaxed));
        self.metrics
            .acknowledged(self.begun.elapsed().saturating_sub(last));
    }
}
