//! Everything around the handlers: client addresses, security headers, compression, metrics, logs and traces.

pub(super) mod compression;
pub(super) mod edge;
pub(super) mod metrics;
pub(super) mod request_log;
pub(super) mod security_headers;
#[cfg(feature = "otel")]
pub(super) mod trace;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::HttpState;
use super::error::ProblemBody;
use compression::Compression;
use metrics::Count;
use security_headers::SecurityPolicy;

/// State of [`surround`].
#[derive(Clone)]
pub(super) struct Surroundings {
    state: HttpState,
    security: Arc<SecurityPolicy>,
}

impl Surroundings {
    pub(super) fn new(state: HttpState) -> Self {
        let security = SecurityPolicy::of(&state.config);
        Self { state, security }
    }
}

/// Middleware around every handler. Its steps are one layer: each layer costs a copy of the inner services and another
/// allocated future for every request, and another call for each piece of a body.
pub(super) async fn surround(
    State(surroundings): State<Surroundings>,
    request: Request,
    next: Next,
) -> Response {
    let Surroundings { state, security } = &surroundings;
    let count = Count::begin(&request);
    let secured = security.begin(request.headers());
    let compression = Compression::of(&request);
    let problem = ProblemBody::of(&request);
    let answered = security
        .preflight(&request)
        .or_else(|| edge::invalid_host(&request));
    let response = match answered {
        Some(response) => response,
        None => next.run(request).await,
    };
    let response = problem.write(response).await;
    let mut response = compression.apply(response).await;
    security.add(&secured, response.headers_mut());
    count.end(&state.metrics, &response);
    response
}
