//! Counts answers and errors for the metrics.

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use sortie_api::ProblemCode;
use tokio::time::Instant;

use crate::http::HttpState;

pub(in crate::http) async fn count(
    State(state): State<HttpState>,
    request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let method = method(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    // One label for all paths without a route: unknown paths must not create series.
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

/// Label of a method. Unknown methods share one: they must not create series.
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
