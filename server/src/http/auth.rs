//! Signing in and out: `/api/auth/…`.
//!
//! Programs take the tokens from the answer; our pages leave them in cookies that no script can read.

use std::net::IpAddr;
use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use sortie_api::{
    AuditResult, ChangePassword, Login, ProblemCode, RefreshRequest, SignInMethods, Tokens, User,
};

use super::access::{Routes, routes};
use super::admin_users::check_password;
use super::caller::{
    ACCESS_COOKIE, Caller, Via, bearer_token, check_same_origin, cookie_token, remote_address,
};
use super::json::{JsonBody, read_body};
use super::{ApiError, ApiResult, AppState};
use crate::accounts::{
    ACCESS_LIFE, Credential, PasswordError, REFRESH_LIFE, RefreshError, SignInError, SignedIn,
    TokenError,
};
use crate::catalog::{Action, Actor, AuditEvent, UserRow};
use crate::clock::rfc3339;

/// The cookie with our pages' refresh token.
const REFRESH_COOKIE: &str = "sortie_refresh";
/// The only routes that the refresh token is sent to.
const REFRESH_PATH: &str = "/api/auth";

/// The routes under `/api/auth`.
pub(super) fn routes() -> Routes {
    routes! {
        POST "/api/auth/login" => login,
        POST "/api/auth/refresh" => refresh,
        POST "/api/auth/logout" => logout,
        GET "/api/auth/methods" => methods,
        POST "/api/auth/password" => change_password,
        GET "/api/auth/me" => me,
    }
}

async fn login(State(state): State<AppState>, request: Request) -> ApiResult<Response> {
    let (parts, body) = request.into_parts();
    let origin = Origin::of(&parts).by(Via::Password);
    let secure = is_https(&parts.headers);
    let JsonBody(login) =
        JsonBody::<Login>::from_request(Request::from_parts(parts, body), &state).await?;
    let result = state
        .accounts
        .sign_in(&login.username, login.password, origin.address)
        .await;
    // Not the name as it was typed: people type passwords there.
    match &result {
        Ok(signed_in) => origin.signed_in(&state, &signed_in.user).await?,
        Err(SignInError::WrongCredentials { user_id }) => {
            let subject = user_id.as_deref().unwrap_or_default();
            origin
                .refused(&state, subject, "wrong user name or password")
                .await?;
        }
        Err(SignInError::Disabled { user_id }) => {
            origin.refused(&state, user_id, "disabled").await?;
        }
        // Who has to wait is not written down each time; that something of ours fails is in the log.
        Err(_) => {}
    }
    Ok(tokens_response(&result?, secure))
}

/// Where a sign-in comes from, before it is known whose it is.
pub(super) struct Origin {
    pub(super) address: IpAddr,
    via: Via,
}

impl Origin {
    pub(super) fn of(parts: &Parts) -> Self {
        // A browser says where its request comes from, and will use the cookies.
        let headers = &parts.headers;
        let is_page = headers.contains_key("sec-fetch-site") || headers.contains_key("origin");
        Self {
            address: remote_address(parts),
            via: if is_page { Via::Cookie } else { Via::Bearer },
        }
    }

    /// The same, of somebody who shows in this way who they are.
    pub(super) fn by(self, via: Via) -> Self {
        Self { via, ..self }
    }

    /// Writes down who has signed in.
    pub(super) async fn signed_in(&self, state: &AppState, user: &UserRow) -> ApiResult<()> {
        let actor = Actor {
            id: user.id.clone(),
            name: user.username.clone(),
            via: self.via,
            address: Some(self.address),
        };
        let event = AuditEvent::done(&actor, Action::SignIn, &user.id);
        Ok(state.catalog.audit(state.clock.now_ms(), &event).await?)
    }

    /// Writes down that somebody has not shown that they are `user_id` (empty: nobody's).
    pub(super) async fn refused(
        &self,
        state: &AppState,
        user_id: &str,
        detail: &str,
    ) -> ApiResult<()> {
        self.denied(state, Action::SignIn, user_id, detail).await
    }

    async fn denied(
        &self,
        state: &AppState,
        action: Action,
        user_id: &str,
        detail: &str,
    ) -> ApiResult<()> {
        let actor = Actor {
            id: String::new(),
            name: String::new(),
            via: self.via,
            address: Some(self.address),
        };
        let event = AuditEvent::done(&actor, action, user_id)
            .detail(detail)
            .result(AuditResult::Denied);
        Ok(state.catalog.audit(state.clock.now_ms(), &event).await?)
    }
}

async fn refresh(State(state): State<AppState>, request: Request) -> ApiResult<Response> {
    let (parts, token) = refresh_token(&state, request).await?;
    let Some(token) = token else {
        return Err(ApiError::unauthenticated("Sign in first."));
    };
    let result = state.accounts.refresh(&token).await;
    if let Err(RefreshError::Reused { user_id }) = &result {
        Origin::of(&parts)
            .denied(
                &state,
                Action::TokenReuse,
                user_id,
                "a spent refresh token came again; the sign-in has ended",
            )
            .await?;
    }
    Ok(tokens_response(&result?, is_https(&parts.headers)))
}

async fn logout(State(state): State<AppState>, request: Request) -> ApiResult<Response> {
    let (parts, token) = refresh_token(&state, request).await?;
    if let Some(token) = token {
        state.accounts.sign_out(&token).await?;
    }
    // A program may have kept only its access token. One that has expired is no reason to refuse: who asks
    // is signed out then. What is no sign-in of ours has nothing to end.
    let access = match (bearer_token(&parts.headers), cookie_token(&parts.headers)) {
        (Some(token), _) => Some(token.to_owned()),
        (None, Some(token)) => {
            check_same_origin(&parts.method, &parts.headers)?;
            Some(token)
        }
        (None, None) => None,
    };
    if let Some(token) = access {
        match state.accounts.identify_access(&token).await {
            Ok(identity) => {
                if let Credential::SignIn { family } = identity.credential {
                    state.accounts.end(&family).await?;
                }
            }
            Err(TokenError::Catalog(error)) => return Err(error.into()),
            Err(_) => {}
        }
    }
    let secure = is_https(&parts.headers);
    let cookies = [(ACCESS_COOKIE, "/"), (REFRESH_COOKIE, REFRESH_PATH)]
        .map(|(name, path)| cookie(name, String::new(), path, Duration::ZERO, secure));
    Ok((StatusCode::NO_CONTENT, set_cookies(cookies)).into_response())
}

async fn methods(State(state): State<AppState>) -> ApiResult<Json<SignInMethods>> {
    Ok(Json(SignInMethods {
        password: state.catalog.has_passwords().await?,
        #[cfg(feature = "sso")]
        oidc: state.accounts.oidc_method(),
        #[cfg(not(feature = "sso"))]
        oidc: None,
        proxy: state.config.sign_in.proxy_header.is_some(),
    }))
}

async fn me(State(state): State<AppState>, caller: Caller) -> ApiResult<Response> {
    let user = own_row(&state, &caller).await?;
    // As this credential has it: an API token without the scope `admin` does not administer.
    let user = User {
        roles: caller.roles,
        ..user_view(&user)
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(user)).into_response())
}

async fn own_row(state: &AppState, caller: &Caller) -> ApiResult<UserRow> {
    let row = state.catalog.user(&caller.user_id).await?;
    row.ok_or_else(|| ApiError::unauthenticated("Your sign-in has expired. Sign in again."))
}

async fn change_password(
    State(state): State<AppState>,
    caller: Caller,
    JsonBody(change): JsonBody<ChangePassword>,
) -> ApiResult<StatusCode> {
    check_password(&change.new_password)?;
    let user = own_row(&state, &caller).await?;
    if user.password_hash.is_empty() {
        return Err(ApiError::new(
            ProblemCode::Conflict,
            "You have no password here: change it where you sign in.",
        ));
    }
    let result = state
        .accounts
        .change_password(
            &user,
            change.current_password,
            change.new_password,
            caller.address,
            caller.sign_in.as_deref(),
        )
        .await;
    let outcome = match &result {
        Ok(()) => AuditResult::Ok,
        Err(SignInError::WrongCredentials { .. }) => AuditResult::Denied,
        Err(_) => AuditResult::Failed,
    };
    let actor = caller.actor();
    let event = AuditEvent::done(&actor, Action::PasswordChange, &user.id).result(outcome);
    state.catalog.audit(state.clock.now_ms(), &event).await?;
    match result {
        // Not 401: whoever asks is signed in, and a program would only renew its token and try again.
        Err(SignInError::WrongCredentials { .. }) => {
            Err(ApiError::forbidden("The current password is wrong."))
        }
        result => Ok(result.map(|()| StatusCode::NO_CONTENT)?),
    }
}

/// A person, as others may see them.
pub(crate) fn user_view(user: &UserRow) -> User {
    User {
        id: user.id.clone(),
        username: user.username.clone(),
        email: user.email.clone(),
        display_name: user.display_name.clone(),
        roles: user.roles.clone(),
        disabled: user.disabled,
        source: user.source,
        created_at: rfc3339(user.created_ms),
        last_seen_at: user.last_seen_ms.map(rfc3339),
    }
}

/// The refresh token in the body, else the one in the cookie. A program sends the former, our pages have
/// only the latter and may send no body at all.
async fn refresh_token(state: &AppState, request: Request) -> ApiResult<(Parts, Option<String>)> {
    let (parts, body) = request.into_parts();
    let body = read_body(Request::from_parts(parts.clone(), body), state).await?;
    let sent = if body.is_empty() {
        RefreshRequest::default()
    } else {
        let request = Request::from_parts(parts.clone(), body.into());
        JsonBody::<RefreshRequest>::from_request(request, state)
            .await?
            .0
    };
    if sent.refresh_token.is_some() {
        return Ok((parts, sent.refresh_token));
    }
    let cookies = CookieJar::from_headers(&parts.headers);
    let Some(cookie) = cookies.get(REFRESH_COOKIE) else {
        return Ok((parts, None));
    };
    check_same_origin(&parts.method, &parts.headers)?;
    let token = cookie.value().to_owned();
    Ok((parts, Some(token)))
}

fn tokens_response(signed_in: &SignedIn, secure: bool) -> Response {
    let tokens = Tokens {
        access_token: signed_in.access_token.clone(),
        refresh_token: signed_in.refresh_token.clone(),
        expires_in: ACCESS_LIFE.as_secs(),
        user: user_view(&signed_in.user),
    };
    let cookies = token_cookies(signed_in, secure);
    (set_cookies(cookies), Json(tokens)).into_response()
}

/// The cookies of our pages for somebody who has just signed in.
pub(super) fn token_cookies(signed_in: &SignedIn, secure: bool) -> [Cookie<'static>; 2] {
    let access = signed_in.access_token.clone();
    let refresh = signed_in.refresh_token.clone();
    [
        cookie(ACCESS_COOKIE, access, "/", ACCESS_LIFE, secure),
        cookie(REFRESH_COOKIE, refresh, REFRESH_PATH, REFRESH_LIFE, secure),
    ]
}

/// A cookie that no script can read and that other sites' forms do not send. Lax, not Strict: a link to a
/// recording in a mail or a chat is followed by somebody who is signed in.
pub(super) fn cookie(
    name: &'static str,
    value: String,
    path: &'static str,
    life: Duration,
    secure: bool,
) -> Cookie<'static> {
    let cookie = Cookie::build((name, value))
        .path(path)
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(secure);
    match life.try_into() {
        Ok(life) => cookie.max_age(life).build(),
        // Longer than anybody lives: until the browser is closed.
        Err(_) => cookie.build(),
    }
}

pub(super) fn set_cookies<const N: usize>(cookies: [Cookie<'static>; N]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for cookie in cookies {
        // Our own tokens and names: always valid in a header.
        if let Ok(value) = HeaderValue::from_str(&cookie.to_string()) {
            headers.append(header::SET_COOKIE, value);
        }
    }
    headers
}

/// Whether the caller's browser uses HTTPS with this server or with the proxy in front of it: as a trusted proxy, the
/// public address ([`super::edge`]) or the browser's page says. A client that lies keeps back its own cookies only.
pub(super) fn is_https(headers: &HeaderMap) -> bool {
    let starts_with = |name: &str, prefix: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.trim_start().starts_with(prefix))
    };
    starts_with("x-forwarded-proto", "https") || starts_with("origin", "https://")
}

impl From<PasswordError> for ApiError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::new(
                ProblemCode::Unavailable,
                "Too many people are signing in at this moment. Try again in a few seconds.",
            )
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("3")),
            PasswordError::Hash(_) | PasswordError::System(_) => Self::internal(error),
        }
    }
}

impl From<RefreshError> for ApiError {
    fn from(error: RefreshError) -> Self {
        match error {
            RefreshError::Reused { .. } => TokenError::Expired.into(),
            RefreshError::Token(error) => error.into(),
            RefreshError::Catalog(error) => error.into(),
            RefreshError::Issue(error) => error.into(),
        }
    }
}

impl From<SignInError> for ApiError {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::WrongCredentials { .. } => Self::new(
                ProblemCode::WrongCredentials,
                "The user name or password is wrong.",
            )
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            SignInError::Disabled { .. } => {
                Self::forbidden("This account is disabled. Ask an administrator to enable it.")
            }
            SignInError::Wait(wait) => {
                let seconds = wait.as_millis().div_ceil(1000);
                let unit = if seconds == 1 { "second" } else { "seconds" };
                Self::new(
                    ProblemCode::TooManyRequests,
                    format!("Too many failed sign-ins. Try again in {seconds} {unit}."),
                )
                .with_header(
                    header::RETRY_AFTER,
                    HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX)),
                )
            }
            SignInError::Password(error) => error.into(),
            SignInError::Catalog(error) => error.into(),
            SignInError::Issue(error) => error.into(),
        }
    }
}
