//! Signing in and out: `/api/auth/…`.
//!
//! Programs take the tokens from the answer; our pages leave them in cookies that no script can read.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use sortie_api::{Login, ProblemCode, RefreshRequest, Tokens, User};

use super::access::{Routes, routes};
use super::caller::{ACCESS_COOKIE, Caller, Via, access_token, check_same_origin, remote_address};
use super::json::JsonBody;
use super::{ApiError, ApiResult, AppState};
use crate::accounts::{
    ACCESS_LIFE, PasswordError, REFRESH_LIFE, SignInError, SignedIn, TokenError,
};
use crate::catalog::UserRow;
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
        GET "/api/auth/me" => me,
    }
}

async fn login(State(state): State<AppState>, request: Request) -> ApiResult<Response> {
    let (parts, body) = request.into_parts();
    let (address, secure) = (remote_address(&parts), is_https(&parts.headers));
    let JsonBody(login) =
        JsonBody::<Login>::from_request(Request::from_parts(parts, body), &state).await?;
    let signed_in = state
        .accounts
        .sign_in(&login.username, login.password, address)
        .await?;
    Ok(tokens_response(signed_in, secure))
}

async fn refresh(State(state): State<AppState>, request: Request) -> ApiResult<Response> {
    let (parts, token) = refresh_token(&state, request).await?;
    let Some(token) = token else {
        return Err(ApiError::unauthenticated("Sign in first."));
    };
    let signed_in = state.accounts.refresh(&token).await?;
    Ok(tokens_response(signed_in, is_https(&parts.headers)))
}

async fn logout(State(state): State<AppState>, request: Request) -> ApiResult<Response> {
    let (parts, token) = refresh_token(&state, request).await?;
    if let Some(token) = token {
        state.accounts.sign_out(&token).await?;
    }
    // A program may have kept only its access token. One that has expired is no reason to refuse: who asks
    // is signed out then.
    if let Some((token, via)) = access_token(&parts.headers) {
        if via == Via::Cookie {
            check_same_origin(&parts.method, &parts.headers)?;
        }
        match state.accounts.identify(&token).await {
            Ok(identity) => state.accounts.end(&identity.family).await?,
            Err(TokenError::Expired | TokenError::Invalid) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let secure = is_https(&parts.headers);
    let cookies = [(ACCESS_COOKIE, "/"), (REFRESH_COOKIE, REFRESH_PATH)]
        .map(|(name, path)| cookie(name, String::new(), path, Duration::ZERO, secure));
    Ok((StatusCode::NO_CONTENT, set_cookies(cookies)).into_response())
}

async fn me(State(state): State<AppState>, caller: Caller) -> ApiResult<Response> {
    let user = state
        .catalog
        .user(&caller.user_id)
        .await?
        .ok_or_else(|| ApiError::unauthenticated("Your sign-in has expired. Sign in again."))?;
    Ok((
        [(header::CACHE_CONTROL, "no-store")],
        Json(user_view(&user)),
    )
        .into_response())
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
    let body = Bytes::from_request(Request::from_parts(parts.clone(), body), state)
        .await
        .map_err(|error| ApiError::new(ProblemCode::BadRequest, error.body_text()))?;
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

fn tokens_response(signed_in: SignedIn, secure: bool) -> Response {
    let SignedIn {
        access_token,
        refresh_token,
        user,
    } = signed_in;
    let cookies = [
        cookie(
            ACCESS_COOKIE,
            access_token.clone(),
            "/",
            ACCESS_LIFE,
            secure,
        ),
        cookie(
            REFRESH_COOKIE,
            refresh_token.clone(),
            REFRESH_PATH,
            REFRESH_LIFE,
            secure,
        ),
    ];
    let tokens = Tokens {
        access_token,
        refresh_token,
        expires_in: ACCESS_LIFE.as_secs(),
        user: user_view(&user),
    };
    (set_cookies(cookies), Json(tokens)).into_response()
}

/// A cookie that no script can read and that other sites' forms do not send. Lax, not Strict: a link to a
/// recording in a mail or a chat is followed by somebody who is signed in.
fn cookie(
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

fn set_cookies(cookies: [Cookie<'static>; 2]) -> HeaderMap {
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

/// Whether the caller's browser speaks https with us or with the proxy before us. Who lies about it only
/// makes their own browser keep its cookies back.
fn is_https(headers: &HeaderMap) -> bool {
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

impl From<SignInError> for ApiError {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::WrongCredentials => Self::new(
                ProblemCode::WrongCredentials,
                "The user name or password is wrong.",
            )
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            SignInError::Disabled => {
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
