//! OpenTelemetry span of each request, following the semantic conventions for HTTP servers.

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::field::Empty;
use tracing::{Instrument, trace_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::request_log::loggable_path;
use crate::telemetry::SPANS;

/// Paths that are polled, and not traced.
const POLLED: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Traces a request as a child of the client's span (W3C Trace Context, `traceparent`).
pub(in crate::http) async fn trace(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if POLLED.contains(&path) {
        return next.run(request).await;
    }
    let method = request.method().as_str();
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map(MatchedPath::as_str);
    let name = route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"));
    let span = trace_span!(
        target: SPANS,
        "request",
        otel.name = name,
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
        url.path = &*loggable_path(path),
        sortie.request_id = Empty,
    );
    let caller = TraceContextPropagator::new().extract(&HeaderExtractor(request.headers()));
    // Fails if the span is not sampled or the layer is not installed.
    let _ = span.set_parent(caller);
    let response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    span.record("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    let id = response.headers().get("x-request-id");
    if let Some(id) = id.and_then(|id| id.to_str().ok()) {
        span.record("sortie.request_id", id);
    }
    response
}
