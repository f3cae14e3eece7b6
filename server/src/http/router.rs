//! Router: all routes of the server and the layers around them.

use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::http::HeaderName;
use axum::middleware;
use axum::response::IntoResponse;
use sortie_api::ProblemCode;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::trace::{DefaultOnFailure, TraceLayer};
use tracing::Level;

use super::layers::Surroundings;
use super::layers::edge::App;
use super::layers::request_log::{self, NewRequestId};
use super::routes::Routes;
use super::{ApiError, HttpState, layers, openapi, resources};

/// Limit of the bytes of a JSON body.
const JSON_MAX: usize = 64 * 1024;

/// Routes of a server. Those of recording, sharing and the appliance are omitted if turned off. Pages of share links
/// exist always: viewers of a link that does not work see a page.
fn routes(recording: bool, sharing: bool, appliance: bool) -> Routes {
    let mut routes = resources::health::routes()
        .merge(resources::metrics::routes())
        .merge(resources::auth::routes())
        .merge(resources::users::routes())
        .merge(resources::sign_ins::routes())
        .merge(resources::tokens::routes())
        .merge(resources::sessions::routes())
        .merge(resources::settings::routes())
        .merge(resources::events::routes())
        .merge(resources::shares::pages())
        .merge(resources::audit::routes());
    #[cfg(feature = "sso")]
    {
        routes = routes.merge(resources::oidc::routes());
    }
    #[cfg(feature = "webhooks")]
    {
        routes = routes.merge(resources::webhooks::routes());
    }
    if recording {
        routes = routes
            .merge(resources::recordings::routes())
            .merge(resources::retention::routes())
            .merge(resources::storage::routes())
            .merge(resources::uploads::routes());
    }
    if recording && sharing {
        routes = routes.merge(resources::shares::routes());
    }
    if appliance {
        routes = routes.merge(resources::appliance::routes());
    }
    routes
}

/// Builds the router with its layers. `pages` answers paths without a route.
pub(crate) fn router<T: 'static>(state: HttpState, pages: impl Handler<T, HttpState>) -> App {
    let description = openapi::Description::default();
    let config = &state.config;
    let (recording, sharing) = (config.recording_enabled, config.sharing_enabled);
    let api = routes(recording, sharing, state.appliance.is_some()).merge(description.routes());
    description.describe(api.rows());
    let request_id = HeaderName::from_static("x-request-id");
    let log = TraceLayer::new_for_http()
        .make_span_with(request_log::span)
        .on_request(())
        .on_response(request_log::log_response)
        .on_failure(DefaultOnFailure::new().level(Level::DEBUG));
    let router = api
        .into_router()
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(pages)
        .layer(
            ServiceBuilder::new()
                .layer(SetRequestIdLayer::new(request_id.clone(), NewRequestId))
                .layer(PropagateRequestIdLayer::new(request_id))
                .layer(log)
                .layer(middleware::from_fn_with_state(
                    Surroundings::new(state.clone()),
                    layers::surround,
                ))
                .layer(DefaultBodyLimit::max(JSON_MAX))
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
    App::new(router.with_state(state), &config)
}

async fn method_not_allowed() -> ApiError {
    ApiError::new(
        ProblemCode::MethodNotAllowed,
        "This route does not support the method. The header Allow lists the supported ones.",
    )
}

/// Error of a path below `/api` without a route.
pub(crate) fn no_such_route() -> ApiError {
    ApiError::not_found("This route does not exist.")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::routes::{Row, rows};

    #[test]
    fn every_row_has_a_registered_route() {
        let key = |row: &&'static Row| (row.method, row.path);
        let registered = routes(true, true, true).merge(openapi::Description::default().routes());
        let registered: BTreeSet<_> = registered.rows().iter().map(key).collect();
        let unregistered = rows()
            .map(|row| key(&row))
            .filter(|row| !registered.contains(row));
        let unregistered: Vec<_> = unregistered
            // Without the feature `sso` these routes are not compiled.
            .filter(|(_, path)| cfg!(feature = "sso") || !path.starts_with("/api/auth/oidc/"))
            // As for `sso`.
            .filter(|(_, path)| {
                cfg!(feature = "webhooks") || !path.starts_with("/api/admin/webhooks")
            })
            .collect();
        assert!(
            unregistered.is_empty(),
            "rows without a route: {unregistered:?}"
        );
    }
}
