//! Who may do what: one table for every route, and the only way to add one.
//!
//! [`routes!`] takes a route only if [`TABLE`] has a row for it, else the crate does not build. Every handler
//! runs behind [`authorise`], which decides by the row and leaves the [`Caller`] for the handler to take. What
//! remains for a handler of a [`Who::Owner`] route is to ask [`Caller::may_have`] about the thing it found.
//!
//! `docs/access.md` is this table for readers; a unit test keeps it so, and `tests/access.rs` walks all of it
//! against a real server.

use std::future::Future;
use std::pin::Pin;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, Route};
use sortie_api::{Role, TokenScope};
use tower::{Layer, Service};

use super::extract::caller;
use super::extract::caller::{Caller, Via};
use super::{ApiError, ApiResult, AppState, openapi};
use Scopes::{AnyScope, Only, Recorder, SignInOnly};
use TokenScope::{Admin as AdminScope, Read, Record};
use Who::{Admin, Anybody, Owner, Scraper, User};

/// Every route. A token of an administrator with the scope `admin` may use what any scope may.
#[rustfmt::skip]
static TABLE: &[Row] = &[
    // The server itself.
    row("GET",     "/healthz",                              Anybody, AnyScope),
    row("GET",     "/readyz",                               Anybody, AnyScope),
    row("GET",     "/metrics",                              Scraper, Only(&[AdminScope])),
    row("GET",     "/api/info",                             Anybody, AnyScope),
    row("GET",     "/api/openapi.json",                     Anybody, AnyScope),
    row("GET",     "/api/docs",                             Anybody, AnyScope),
    row("GET",     "/api/docs.css",                         Anybody, AnyScope),

    // Signing in and out. These look at what they are given themselves.
    row("POST",    "/api/auth/login",                       Anybody, AnyScope),
    row("POST",    "/api/auth/refresh",                     Anybody, AnyScope),
    row("POST",    "/api/auth/logout",                      Anybody, AnyScope),
    row("GET",     "/api/auth/methods",                     Anybody, AnyScope),
    row("GET",     "/api/auth/oidc/login",                  Anybody, AnyScope),
    row("GET",     "/api/auth/oidc/callback",               Anybody, AnyScope),
    row("POST",    "/api/auth/oidc/backchannel-logout",     Anybody, AnyScope),
    row("GET",     "/api/auth/me",                          User,    AnyScope),
    row("POST",    "/api/auth/password",                    User,    SignInOnly),

    row("GET",     "/api/auth/sign-ins",                    User,    SignInOnly),
    row("DELETE",  "/api/auth/sign-ins",                    User,    SignInOnly),
    row("DELETE",  "/api/auth/sign-ins/{id}",               Owner,   SignInOnly),

    // API tokens. They neither make nor see nor revoke one another.
    row("GET",     "/api/tokens",                           User,    SignInOnly),
    row("POST",    "/api/tokens",                           User,    SignInOnly),
    row("DELETE",  "/api/tokens/{id}",                      Owner,   SignInOnly),

    // Sessions.
    row("GET",     "/api/sessions",                         User,    Only(&[Record, Read])),
    row("POST",    "/api/sessions",                         User,    Only(&[Record])),
    row("GET",     "/api/sessions/{id}",                    Owner,   Only(&[Record, Read])),
    row("PATCH",   "/api/sessions/{id}",                    Owner,   Only(&[Record])),
    row("DELETE",  "/api/sessions/{id}",                    Owner,   Only(&[AdminScope])),
    row("POST",    "/api/sessions/{id}/stop",               Owner,   Only(&[Record])),
    row("POST",    "/api/sessions/{id}/token",              Owner,   Only(&[Record])),
    row("POST",    "/api/sessions/{id}/recording/start",    Owner,   Recorder),
    row("POST",    "/api/sessions/{id}/recording/stop",     Owner,   Recorder),
    row("POST",    "/api/sessions/{id}/recording/upload",   Owner,   Recorder),

    // Recordings.
    row("GET",     "/api/recordings",                       User,    Only(&[Read])),
    row("POST",    "/api/recordings/delete",                User,    Only(&[AdminScope])),
    row("GET",     "/api/recordings/{id}",                  Owner,   Only(&[Record, Read])),
    row("PATCH",   "/api/recordings/{id}",                  Owner,   Only(&[AdminScope])),
    row("DELETE",  "/api/recordings/{id}",                  Owner,   Only(&[AdminScope])),
    row("GET",     "/api/recordings/{id}/download",         Owner,   Only(&[Read])),
    row("GET",     "/api/recordings/{id}/stream",           Owner,   Only(&[Read])),
    row("GET",     "/api/recordings/{id}/raw",              Owner,   Only(&[Read])),

    row("GET",     "/api/storage/usage",                    User,    Only(&[Record, Read])),

    // The recorder on board.
    row("GET",     "/api/appliance",                        Admin,   Only(&[AdminScope])),
    row("POST",    "/api/appliance/recording/start",        Admin,   Only(&[AdminScope])),
    row("POST",    "/api/appliance/recording/stop",         Admin,   Only(&[AdminScope])),
    row("POST",    "/api/appliance/test-signal",            Admin,   Only(&[AdminScope])),

    // What changes, as it changes.
    row("GET",     "/api/events",                           User,    Only(&[Record, Read])),

    // Uploads: tus.
    row("OPTIONS", "/api/uploads",                          Anybody, AnyScope),
    row("POST",    "/api/uploads",                          User,    Recorder),
    row("OPTIONS", "/api/uploads/{id}",                     Anybody, AnyScope),
    row("HEAD",    "/api/uploads/{id}",                     Owner,   Recorder),
    row("PATCH",   "/api/uploads/{id}",                     Owner,   Recorder),
    row("POST",    "/api/uploads/{id}",                     Owner,   Recorder),
    row("DELETE",  "/api/uploads/{id}",                     Owner,   Only(&[AdminScope])),

    // Administration.
    row("GET",     "/api/admin/tokens",                     Admin,   Only(&[AdminScope])),
    row("GET",     "/api/admin/recordings",                 Admin,   Only(&[AdminScope])),
    row("GET",     "/api/admin/storage",                    Admin,   Only(&[AdminScope])),
    row("GET",     "/api/admin/users",                      Admin,   Only(&[AdminScope])),
    row("POST",    "/api/admin/users",                      Admin,   Only(&[AdminScope])),
    row("GET",     "/api/admin/users/{id}",                 Admin,   Only(&[AdminScope])),
    row("PATCH",   "/api/admin/users/{id}",                 Admin,   Only(&[AdminScope])),
    row("DELETE",  "/api/admin/users/{id}",                 Admin,   Only(&[AdminScope])),
    row("GET",     "/api/admin/users/{id}/sign-ins",        Admin,   Only(&[AdminScope])),
    row("DELETE",  "/api/admin/users/{id}/sign-ins",        Admin,   Only(&[AdminScope])),
    row("GET",     "/api/admin/settings",                   Admin,   Only(&[AdminScope])),
    row("PUT",     "/api/admin/settings",                   Admin,   Only(&[AdminScope])),
    row("GET",     "/api/admin/retention",                  Admin,   Only(&[AdminScope])),
    row("POST",    "/api/admin/retention/run",              Admin,   Only(&[AdminScope])),
    row("POST",    "/api/admin/retention/confirm-clock",    Admin,   Only(&[AdminScope])),
    row("GET",     "/api/admin/audit",                      Admin,   Only(&[AdminScope])),
    row("GET",     "/api/admin/audit/export",               Admin,   Only(&[AdminScope])),
    row("GET",     "/api/admin/audit/verify",               Admin,   Only(&[AdminScope])),
];

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// Whoever asks; who it is is not even looked at.
    Anybody,
    /// Whoever is signed in; what comes back or comes to be is theirs.
    User,
    /// Whoever has what the path names, and administrators.
    Owner,
    /// Administrators.
    Admin,
    /// Administrators; with `SORTIE_METRICS_PUBLIC=true` anybody.
    Scraper,
}

/// What an API token needs for a route.
#[derive(Clone, Copy, Debug)]
enum Scopes {
    /// Any token will do.
    AnyScope,
    /// One of these.
    Only(&'static [TokenScope]),
    /// The scope `record`; a recording token of the session will do as well, here and nowhere else.
    Recorder,
    /// No token will do, nor a platform's: what lasts longer than they do is changed by somebody who has
    /// signed in.
    SignInOnly,
}

/// A line of the table.
pub(crate) struct Row {
    method: &'static str,
    path: &'static str,
    who: Who,
    scopes: Scopes,
}

const fn row(method: &'static str, path: &'static str, who: Who, scopes: Scopes) -> Row {
    Row {
        method,
        path,
        who,
        scopes,
    }
}

/// The row of a route. Meant for constants: without a row it does not build.
pub(crate) const fn row_of(method: &str, path: &str) -> &'static Row {
    let mut at = 0;
    while at < TABLE.len() {
        if same(TABLE[at].method, method) && same(TABLE[at].path, path) {
            return &TABLE[at];
        }
        at += 1;
    }
    panic!(
        "this route has no row in the table of server/src/http/routes.rs: say there who may use it"
    )
}

/// `==` of text cannot be used in constants yet.
const fn same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// Routes that have a row each: `routes! { GET "/api/things" => list, … }`.
macro_rules! routes {
    ($($method:ident $path:literal => $handler:expr),+ $(,)?) => {
        $crate::http::routes::Routes::new()
            $(.on(const { $crate::http::routes::row_of(stringify!($method), $path) }, $handler))+
    };
}
pub(crate) use routes;

/// What [`routes!`] makes.
pub(crate) struct Routes(Router<AppState>, Vec<&'static Row>);

impl Routes {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self(Router::new(), Vec::new())
    }

    /// Adds a route; see [`routes!`].
    pub(crate) fn on<T: 'static>(
        mut self,
        row: &'static Row,
        handler: impl Handler<T, AppState>,
    ) -> Self {
        self.1.push(row);
        let guarded = MethodRouter::new().on(row.filter(), Guarded { row, handler });
        Self(self.0.route(row.path, guarded), self.1)
    }

    /// Adds others.
    pub(crate) fn merge(mut self, others: Self) -> Self {
        self.1.extend(others.1);
        Self(self.0.merge(others.0), self.1)
    }

    /// Wraps those there are so far, and what decides about them.
    pub(crate) fn layer<L>(self, layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Error: Into<std::convert::Infallible> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        Self(self.0.layer(layer), self.1)
    }

    /// Their rows.
    pub(in crate::http) fn rows(&self) -> &[&'static Row] {
        &self.1
    }

    /// All of them.
    pub(in crate::http) fn into_router(self) -> Router<AppState> {
        self.0
    }
}

impl Row {
    pub(in crate::http) fn method(&self) -> &'static str {
        self.method
    }

    pub(in crate::http) fn path(&self) -> &'static str {
        self.path
    }

    /// Whether anybody may use it without saying who they are.
    pub(in crate::http) fn is_open(&self) -> bool {
        self.who == Anybody
    }

    /// Who may use it, for readers.
    pub(in crate::http) fn rule(&self) -> String {
        let who = match self.who {
            Anybody => return "For anybody.".to_owned(),
            User => "For whoever is signed in.",
            Owner => "For its owner and administrators.",
            Admin => "For administrators.",
            Scraper => "For administrators; with SORTIE_METRICS_PUBLIC=true for anybody.",
        };
        match self.scopes {
            AnyScope => who.to_owned(),
            SignInOnly => format!("{who} Not with a token."),
            Recorder => format!(
                "{who} An API token needs the scope record; a recording token of the session will do."
            ),
            Only(scopes) => format!("{who} An API token needs the scope {}.", names(scopes)),
        }
    }

    /// Panics at start-up for a method that axum does not route, as axum does for a path.
    fn filter(&self) -> MethodFilter {
        match self.method {
            "GET" => MethodFilter::GET,
            "HEAD" => MethodFilter::HEAD,
            "POST" => MethodFilter::POST,
            "PUT" => MethodFilter::PUT,
            "PATCH" => MethodFilter::PATCH,
            "DELETE" => MethodFilter::DELETE,
            "OPTIONS" => MethodFilter::OPTIONS,
            other => panic!("{other} is no method of this table"),
        }
    }
}

/// A handler behind its row.
#[derive(Clone)]
struct Guarded<H> {
    row: &'static Row,
    handler: H,
}

impl<T: 'static, H: Handler<T, AppState>> Handler<T, AppState> for Guarded<H> {
    type Future = Pin<Box<dyn Future<Output = Response> + Send>>;

    fn call(self, request: Request, state: AppState) -> Self::Future {
        Box::pin(async move {
            let admitted = authorise(self.row, request, &state)
                .await
                .and_then(|request| {
                    openapi::check_query(self.row, request.uri().query())?;
                    Ok(request)
                });
            match admitted {
                Ok(request) => self.handler.call(request, state).await,
                Err(error) => error.into_response(),
            }
        })
    }
}

/// Lets a request pass with its [`Caller`], or refuses it.
async fn authorise(row: &Row, request: Request, state: &AppState) -> ApiResult<Request> {
    if row.who == Anybody || (row.who == Scraper && state.config.metrics_public) {
        return Ok(request);
    }
    let (mut parts, body) = request.into_parts();
    let caller = caller::identify(&parts, state).await?;
    check(row, &caller)?;
    parts.extensions.insert(caller);
    Ok(Request::from_parts(parts, body))
}

/// The decision, for somebody who is signed in.
pub(in crate::http) fn check(row: &Row, caller: &Caller) -> ApiResult<()> {
    if caller.session.is_some() && !matches!(row.scopes, Recorder) {
        return Err(ApiError::forbidden(
            "A recording token can only start, send and stop recordings of its session.",
        ));
    }
    let sufficient: &[TokenScope] = match row.scopes {
        AnyScope | SignInOnly => &[],
        Recorder => &[Record],
        Only(scopes) => scopes,
    };
    match row.scopes {
        AnyScope => {}
        SignInOnly if matches!(caller.via, Via::Token | Via::Jwt) => {
            return Err(ApiError::forbidden(
                "This cannot be done with a token. Sign in first.",
            ));
        }
        SignInOnly => {}
        Recorder | Only(_) => {
            if let Some(scopes) = &caller.scopes
                && !caller.is_admin()
                && !scopes.iter().any(|scope| sufficient.contains(scope))
            {
                return Err(ApiError::forbidden(format!(
                    "This API token lacks the scope for that: {}.",
                    names(sufficient)
                )));
            }
        }
    }
    if matches!(row.who, Admin | Scraper) && !caller.roles.contains(&Role::Admin) {
        return Err(ApiError::forbidden("Only administrators may do this."));
    }
    Ok(())
}

/// All rows, whether or not this server has their routes.
#[cfg(test)]
pub(in crate::http) fn rows() -> impl Iterator<Item = &'static Row> {
    TABLE.iter()
}

/// Scopes as they stand on the wire, for a person.
pub(in crate::http) fn names(scopes: &[TokenScope]) -> String {
    let names: Vec<_> = scopes
        .iter()
        .map(|scope| match scope {
            Record => "record",
            Read => "read",
            AdminScope => "admin",
        })
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests;
