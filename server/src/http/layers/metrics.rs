//! Counts answers and errors for the metrics.

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::response::Response;
use sortie_api::ProblemCode;
use tokio::time::Instant;

use crate::metrics::Metrics;

/// Request that is counted once it is answered.
pub(super) struct Count {
    begun: Instant,
    method: &'static str,
    route: Option<MatchedPath>,
}

impl Count {
    pub(super) fn begin(request: &Request) -> Self {
        Self {
            begun: Instant::now(),
            method: method(request.method()),
            route: request.extensions().get().cloned(),
        }
    }

    pub(super) fn end(self, metrics: &Metrics, response: &Response) {
        // One label for all paths without a route: unknown paths must not create series.
        let route = self.route.as_ref().map_or("(page)", MatchedPath::as_str);
        let status = response.status().as_u16();
        metrics.answered(self.method, route, status, self.begun.elapsed());
        if let Some(code) = response.extensions().get::<ProblemCode>() {
            metrics.refused(code.wire_name());
        }
    }
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
