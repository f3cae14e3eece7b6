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
use super::routes::Routes;
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

/// Routes of a server. Recording and the appliance are absent if turned off.
fn routes(recording: bool, appliance: bool) -> Routes {
    let mut routes = resources::health::routes()
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
        routes = routes.merge(resources::oidc::routes());
    }
    if recording {
        routes = routes
            .merge(resources::session_recordings::routes())
            .merge(resources::recordings::routes())
            .merge(resources::retention::routes())
            .merge(resources::admin_recordings::routes())
            .merge(resources::storage::routes())
            .merge(resources::quota::routes())
            .merge(resources::uploads::routes());
    }
    if appliance {
        routes = routes.merge(resources::appliance::routes());
    }
    routes
}

/// Builds the router with its layers.
pub(crate) fn router(state: AppState) -> Router {
    let description = openapi::Description::default();
    let api = routes(state.config.recording_enabled, state.appliance.is_some())
        .merge(description.routes());
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::routes::{Row, rows};

    #[test]
    fn every_row_has_a_registered_route() {
        let key = |row: &&'static Row| (row.method, row.path);
        let registered = routes(true, true).merge(openapi::Description::default().routes());
        let registered: BTreeSet<_> = registered.rows().iter().map(key).collect();
        let unregistered = rows()
            .map(|row| key(&row))
            .filter(|row| !registered.contains(row));
        let unregistered: Vec<_> = unregistered
            // Without the feature `sso` these routes are not compiled.
            .filter(|(_, path)| cfg!(feature = "sso") || !path.starts_with("/api/auth/oidc/"))
            .collect();
        assert!(
            unregistered.is_empty(),
            "rows without a route: {unregistered:?}"
        );
    }
}
