//! The router: every route of the server, behind its layers.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use sortie_api::ProblemCode;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{
    MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer,
};
use tower_http::trace::{DefaultOnFailure, TraceLayer};
use tracing::Level;

use super::layers::security_headers::{self, SecurityPolicy};
use super::{ApiError, AppState, error, layers, openapi, resources};
use crate::assets::Pages;

/// The largest body of a route that takes JSON.
const JSON_LIMIT: usize = 64 * 1024;

/// Request ids of ours: short, unique, and never taken from a stranger.
#[derive(Clone, Copy)]
struct NewRequestId;

impl MakeRequestId for NewRequestId {
    fn make_request_id<B>(&mut self, _: &Request<B>) -> Option<RequestId> {
        HeaderValue::from_str(&uuid::Uuid::now_v7().simple().to_string())
            .ok()
            .map(RequestId::new)
    }
}

/// Marks an answer that is not worth a line in the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Routine;

/// Every route of the server.
pub(crate) fn router(state: AppState) -> Router {
    let mut api = resources::health::routes()
        .merge(resources::metrics::routes())
        .merge(resources::auth::routes())
        .merge(resources::users::routes())
        .merge(resources::sign_ins::routes())
        .merge(resources::tokens::routes())
        .merge(resources::sessions::routes())
        .merge(resources::settings::routes())
        .merge(resources::events::routes())
        .merge(resources::audit::routes());
    #[cfg(feature = "sso")]
    {
        api = api.merge(resources::oidc::routes());
    }
    // Off means absent: not one of these routes exists then.
    if state.config.recording_enabled {
        api = api
            .merge(resources::session_recordings::routes())
            .merge(resources::recordings::routes())
            .merge(resources::retention::routes())
            .merge(resources::admin_recordings::routes())
            .merge(resources::storage::routes())
            .merge(resources::quota::routes())
            .merge(resources::uploads::routes());
    }
    if state.appliance.is_some() {
        api = api.merge(resources::appliance::routes());
    }
    let description = openapi::Description::default();
    api = api.merge(description.routes());
    description.describe(api.rows());
    let request_id = HeaderName::from_static("x-request-id");
    let trace = TraceLayer::new_for_http()
        .make_span_with(|request: &Request<_>| {
            let id = request
                .headers()
                .get("x-request-id")
                .and_then(|id| id.to_str().ok());
            // The path without the query: a query may hold what does not belong into a log.
            tracing::info_span!(
                "request",
                id = id.unwrap_or_default(),
                method = %request.method(),
                path = request.uri().path(),
            )
        })
        .on_request(())
        .on_response(
            |response: &Response, latency: std::time::Duration, _: &tracing::Span| {
                let status = response.status().as_u16();
                let ms = latency.as_millis();
                // Every recording sends a chunk a second: said aloud, nothing else could be heard.
                if response.extensions().get::<Routine>().is_some() {
                    tracing::debug!(status, ms, "answered {status} in {ms} ms");
                } else {
                    tracing::info!(status, ms, "answered {status} in {ms} ms");
                }
            },
        )
        .on_failure(DefaultOnFailure::new().level(Level::DEBUG));
    let pages = Pages::below(&state.config.public_path(""));
    let pages = move |method: Method, uri: Uri, headers: HeaderMap| async move {
        pages.respond(&method, uri.path(), &headers)
    };
    let router = api
        .into_router()
        .layer(DefaultBodyLimit::max(JSON_LIMIT))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(pages)
        .layer(
            ServiceBuilder::new()
                .layer(SetRequestIdLayer::new(request_id.clone(), NewRequestId))
                .layer(PropagateRequestIdLayer::new(request_id))
                .layer(trace)
                .layer(middleware::from_fn_with_state(
                    state.clone(),
                    resources::metrics::count,
                ))
                .layer(middleware::from_fn_with_state(
                    SecurityPolicy::of(&state.config),
                    security_headers::protect,
                ))
                .layer(middleware::from_fn(layers::compression::compress))
                .layer(middleware::from_fn(error::problem_body))
                .layer(CatchPanicLayer::custom(|_| {
                    ApiError::internal(anyhow::anyhow!("a handler panicked")).into_response()
                })),
        );
    #[cfg(feature = "otel")]
    let router = match state.config.telemetry {
        Some(_) => router.layer(middleware::from_fn(layers::trace::trace)),
        None => router,
    };
    let config = state.config.clone();
    layers::edge::in_front_of(router.with_state(state), &config)
}

async fn method_not_allowed() -> ApiError {
    ApiError::new(
        ProblemCode::MethodNotAllowed,
        "This route does not have that method; see the header Allow.",
    )
}

/// The answer for a path below `/api` that nobody serves.
pub(crate) fn no_such_route() -> ApiError {
    ApiError::not_found("There is no such route.")
}
