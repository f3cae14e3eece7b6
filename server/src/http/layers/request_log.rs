//! Request IDs and the log line of each request.

use std::time::Duration;

use axum::http::{HeaderValue, Request};
use axum::response::Response;
use tower_http::request_id::{MakeRequestId, RequestId};
use tracing::Span;

/// Generator of request IDs.
#[derive(Clone, Copy)]
pub(in crate::http) struct NewRequestId;

impl MakeRequestId for NewRequestId {
    fn make_request_id<B>(&mut self, _: &Request<B>) -> Option<RequestId> {
        HeaderValue::from_str(&uuid::Uuid::now_v7().simple().to_string())
            .ok()
            .map(RequestId::new)
    }
}

/// Extension of an answer that is logged at the level debug: each recording sends a PATCH a second.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Routine;

/// Span of a request. Its path is logged without the query, which may hold secrets.
pub(in crate::http) fn span<B>(request: &Request<B>) -> Span {
    let id = request
        .headers()
        .get("x-request-id")
        .and_then(|id| id.to_str().ok());
    tracing::info_span!(
        "request",
        id = id.unwrap_or_default(),
        method = %request.method(),
        path = request.uri().path(),
    )
}

pub(in crate::http) fn log_response(response: &Response, latency: Duration, _: &Span) {
    let status = response.status().as_u16();
    let ms = latency.as_millis();
    if response.extensions().get::<Routine>().is_some() {
        tracing::debug!(status, ms, "answered {status} in {ms} ms");
    } else {
        tracing::info!(status, ms, "answered {status} in {ms} ms");
    }
}
