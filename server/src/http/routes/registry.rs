//! Registered routes. Every handler runs behind [`authorise`], which decides by the route's row and leaves the
//! [`Caller`] in the request's extensions. A handler of a [`Who::Owner`] route checks [`Caller::may_access`] for the
//! resource that it finds.

use std::future::Future;
use std::pin::Pin;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, Route};
use sortie_api::{ProblemCode, Role, TokenScope};
use sortie_tus::header as tus;
use tower::{Layer, Service};

use super::row::{Parameter, Row, Scopes, Who, names};
use crate::http::extract::caller;
use crate::http::extract::caller::{Caller, Via};
use crate::http::{ApiError, ApiResult, HttpState};

/// Registers routes by method, path and handler: `routes! { GET "/api/things" => list, … }`.
macro_rules! routes {
    ($($method:ident $path:literal => $handler:expr),+ $(,)?) => {
        $crate::http::routes::Routes::new()
            $(.on(const { $crate::http::routes::row_of(stringify!($method), $path) }, $handler))+
    };
}
pub(crate) use routes;

/// Handlers with their rows; see [`routes!`].
pub(crate) struct Routes {
    router: Router<HttpState>,
    rows: Vec<&'static Row>,
}

impl Routes {
    pub(crate) fn new() -> Self {
        Self {
            router: Router::new(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn on<T: 'static>(
        mut self,
        row: &'static Row,
        handler: impl Handler<T, HttpState>,
    ) -> Self {
        self.rows.push(row);
        let guarded = MethodRouter::new().on(filter(row.method), Guarded { row, handler });
        let router = self.router.route(row.path, guarded);
        Self { router, ..self }
    }

    pub(crate) fn merge(mut self, others: Self) -> Self {
        self.rows.extend(others.rows);
        let router = self.router.merge(others.router);
        Self { router, ..self }
    }

    /// Adds a layer outside the authorisation check of the routes added so far.
    pub(crate) fn layer<L>(self, layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Error: Into<std::convert::Infallible> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        let router = self.router.layer(layer);
        Self { router, ..self }
    }

    pub(in crate::http) fn rows(&self) -> &[&'static Row] {
        &self.rows
    }

    pub(in crate::http) fn into_router(self) -> Router<HttpState> {
        self.router
    }
}

/// Panics at start-up for a method that axum does not route, as axum does for a malformed path.
fn filter(method: &str) -> MethodFilter {
    match method {
        "GET" => MethodFilter::GET,
        "HEAD" => MethodFilter::HEAD,
        "POST" => MethodFilter::POST,
        "PUT" => MethodFilter::PUT,
        "PATCH" => MethodFilter::PATCH,
        "DELETE" => MethodFilter::DELETE,
        "OPTIONS" => MethodFilter::OPTIONS,
        other => panic!("the route table has the unknown method {other}"),
    }
}

/// Handler behind the checks of its row.
#[derive(Clone)]
struct Guarded<H> {
    row: &'static Row,
    handler: H,
}

impl<T: 'static, H: Handler<T, HttpState>> Handler<T, HttpState> for Guarded<H> {
    type Future = Pin<Box<dyn Future<Output = Response> + Send>>;

    fn call(self, request: Request, state: HttpState) -> Self::Future {
        Box::pin(async move {
            let admitted = authorise(self.row, request, &state)
                .await
                .and_then(|request| {
                    check_query(self.row, request.uri().query())?;
                    Ok(request)
                });
            let mut response = match admitted {
                Ok(request) => self.handler.call(request, state).await,
                Err(error) => error.into_response(),
            };
            if self.row.tus {
                add_tus_headers(response.headers_mut());
            }
            response
        })
    }
}

/// Adds the protocol version, which every answer has, errors included.
fn add_tus_headers(response: &mut HeaderMap) {
    let version = HeaderValue::from_static(tus::VERSION);
    response.insert(HeaderName::from_static(tus::TUS_RESUMABLE), version);
    response.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// Adds the [`Caller`] to a request, or rejects it.
async fn authorise(row: &Row, request: Request, state: &HttpState) -> ApiResult<Request> {
    if row.who == Who::Public || (row.who == Who::Scraper && state.config.metrics_public) {
        return Ok(request);
    }
    let (mut parts, body) = request.into_parts();
    let caller = caller::identify(&parts, state, row.accepts_playback()).await?;
    check(row, &caller)?;
    parts.extensions.insert(caller);
    Ok(Request::from_parts(parts, body))
}

/// Routes for a user who must choose a password first.
const BEFORE_PASSWORD_CHANGE: [&str; 2] = ["/api/auth/me", "/api/auth/password"];

/// Checks a caller against the access rule of a row.
pub(in crate::http) fn check(row: &Row, caller: &Caller) -> ApiResult<()> {
    if caller.must_change_password && !BEFORE_PASSWORD_CHANGE.contains(&row.path) {
        return Err(ApiError::new(
            ProblemCode::PasswordChangeRequired,
            "Choose your own password first: the generated one is in the log of this device. Change it on the page \
             Change password, or with POST /api/auth/password.",
        ));
    }
    if caller.session.is_some() && !matches!(row.scopes, Scopes::Recorder) {
        return Err(ApiError::forbidden(
            "A recording token can only start, upload and stop recordings of its session.",
        ));
    }
    let needs_one_of = |sufficient: &[TokenScope]| {
        if let Some(scopes) = &caller.scopes
            && !caller.is_admin()
            && !scopes.iter().any(|scope| sufficient.contains(scope))
        {
            return Err(ApiError::forbidden(format!(
                "This API token lacks the required scope: {}.",
                names(sufficient)
            )));
        }
        Ok(())
    };
    match row.scopes {
        Scopes::SignInOnly if matches!(caller.via, Via::Token | Via::Jwt) => {
            return Err(ApiError::forbidden(
                "This route does not accept tokens. Sign in first.",
            ));
        }
        Scopes::AnyScope | Scopes::SignInOnly => {}
        Scopes::Recorder => needs_one_of(&[TokenScope::Record])?,
        Scopes::Only(scopes) => needs_one_of(scopes)?,
    }
    if matches!(row.who, Who::Admin | Who::Scraper) && !caller.roles.contains(&Role::Admin) {
        return Err(ApiError::forbidden("Only administrators may do this."));
    }
    Ok(())
}

/// Rejects a query parameter that the row does not describe: a misspelt filter would otherwise select everything.
fn check_query(row: &Row, query: Option<&str>) -> ApiResult<()> {
    let Some(query) = query.filter(|_| !row.open_query) else {
        return Ok(());
    };
    let known = |name: &str| row.query.iter().any(|known| known.name == name);
    for (name, _) in form_urlencoded::parse(query.as_bytes()) {
        if !name.is_empty() && !known(&name) {
            return Err(ApiError::invalid(unknown_parameter(&name, row.query)));
        }
    }
    Ok(())
}

/// Characters of an unknown name that the error repeats.
const SHOWN_NAME_MAX: usize = 40;

fn unknown_parameter(name: &str, known: &[Parameter]) -> String {
    let shown: String = name
        .chars()
        .filter(|letter| !letter.is_control())
        .take(SHOWN_NAME_MAX)
        .collect();
    let names: Vec<_> = known.iter().map(|known| known.name).collect();
    if names.is_empty() {
        format!("This route takes no query parameter, but \"{shown}\" was sent.")
    } else {
        format!(
            "This route has no query parameter \"{shown}\"; it takes {}.",
            names.join(", ")
        )
    }
}
