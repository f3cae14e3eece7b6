//! The HTTP face: routes, and nothing that decides anything.

mod access;
mod admin_recordings;
mod admin_storage;
mod admin_users;
mod appliance;
mod audit;
mod auth;
mod caller;
mod compression;
mod denied;
mod download;
mod edge;
mod error;
mod events;
mod info;
mod json;
mod lists;
mod metrics;
mod multipart;
#[cfg(feature = "sso")]
mod oidc;
mod openapi;
mod query;
mod quota;
mod recordings;
mod retention;
mod security;
mod session_recordings;
mod sessions;
mod settings;
mod sign_ins;
mod tokens;
#[cfg(feature = "otel")]
mod traced;
mod upload_form;
mod uploads;
mod views;

use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, Request};
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

use crate::accounts::Accounts;
use crate::appliance::Appliance;
use crate::assets;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::Config;
use crate::events::Events;
use crate::ingest::Ingest;
use crate::metrics::Metrics;
use crate::policy::{ClockWatch, Retention};
use crate::storage::Storage;

pub(crate) use appliance::shown as shown_appliance;
pub(crate) use error::{ApiError, ApiResult};
pub(crate) use recordings::shown_with_parts;
use security::SecurityPolicy;
pub(crate) use sessions::shown as shown_session;

/// The largest body of a route that takes JSON.
const JSON_LIMIT: usize = 64 * 1024;

/// What every handler can reach. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AppState(Arc<Parts>);

/// See [`AppState`].
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) catalog: Catalog,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) ingest: Ingest,
    pub(crate) accounts: Accounts,
    pub(crate) metrics: Arc<Metrics>,
    totals: metrics::Kept,
    pub(crate) events: Events,
    pub(crate) retention: Retention,
    /// The recorder on board, if there is one.
    pub(crate) appliance: Option<Arc<dyn Appliance>>,
    denials: denied::Denials,
    views: views::Views,
    readiness: info::LastCheck,
    digests: download::Digests,
    pub(crate) usage: admin_storage::LastUsage,
}

impl Deref for AppState {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl AppState {
    #[expect(
        clippy::too_many_arguments,
        reason = "called once, with every part of the server"
    )]
    pub(crate) fn new(
        config: Config,
        clock: Arc<dyn Clock>,
        catalog: Catalog,
        storage: Arc<dyn Storage>,
        ingest: Ingest,
        accounts: Accounts,
        watch: Arc<ClockWatch>,
        appliance: Option<Arc<dyn Appliance>>,
    ) -> Self {
        let metrics = Metrics::new();
        Self(Arc::new(Parts {
            events: Events::new(),
            retention: Retention::new(
                catalog.clone(),
                ingest.clone(),
                Arc::clone(&clock),
                &config,
                watch,
                metrics.retention_deletions(),
            ),
            appliance,
            denials: denied::Denials::default(),
            views: views::Views::default(),
            readiness: info::LastCheck::default(),
            digests: download::Digests::default(),
            config,
            clock,
            catalog,
            storage,
            ingest,
            accounts,
            metrics: Arc::new(metrics),
            totals: metrics::Kept::default(),
            usage: admin_storage::LastUsage::default(),
        }))
    }
}

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
struct Routine;

/// Every route of the server.
pub(crate) fn router(state: AppState) -> Router {
    let mut api = info::routes()
        .merge(metrics::routes())
        .merge(auth::routes())
        .merge(admin_users::routes())
        .merge(sign_ins::routes())
        .merge(tokens::routes())
        .merge(sessions::routes())
        .merge(settings::routes())
        .merge(events::routes())
        .merge(audit::routes());
    #[cfg(feature = "sso")]
    {
        api = api.merge(oidc::routes());
    }
    // Off means absent: not one of these routes exists then.
    if state.config.recording_enabled {
        api = api
            .merge(session_recordings::routes())
            .merge(recordings::routes())
            .merge(retention::routes())
            .merge(admin_recordings::routes())
            .merge(admin_storage::routes())
            .merge(quota::routes())
            .merge(uploads::routes());
    }
    if state.appliance.is_some() {
        api = api.merge(appliance::routes());
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
    let router = api
        .into_router()
        .layer(DefaultBodyLimit::max(JSON_LIMIT))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(assets::fallback)
        .layer(
            ServiceBuilder::new()
                .layer(SetRequestIdLayer::new(request_id.clone(), NewRequestId))
                .layer(PropagateRequestIdLayer::new(request_id))
                .layer(trace)
                .layer(middleware::from_fn_with_state(
                    state.clone(),
                    metrics::count,
                ))
                .layer(middleware::from_fn_with_state(
                    SecurityPolicy::of(&state.config),
                    security::protect,
                ))
                .layer(middleware::from_fn(compression::compress))
                .layer(middleware::from_fn(error::problem_body))
                .layer(CatchPanicLayer::custom(|_| {
                    ApiError::internal(anyhow::anyhow!("a handler panicked")).into_response()
                })),
        );
    #[cfg(feature = "otel")]
    let router = match state.config.telemetry {
        Some(_) => router.layer(middleware::from_fn(traced::trace)),
        None => router,
    };
    let config = state.config.clone();
    edge::in_front_of(router.with_state(state), &config)
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
