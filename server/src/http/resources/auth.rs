//! Sign-in and sign-out: `/api/auth/…`.
//!
//! API clients read the tokens from the answer; the server's own pages use `HttpOnly` cookies.

use std::borrow::Cow;
use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequest, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use serde::Deserialize;
use sortie_api::{
    AuditResult, ChangePassword, Login, PageSignIn, ProblemCode, RefreshRequest, SignInMethods,
    Tokens, User,
};

use super::users::{check_password, user_view};
use crate::accounts::{
    ACCESS_LIFE, Credential, RefreshError, SignInError, SignInSource, SignedIn, TokenError,
};
use crate::db::{Action, Actor, AuditEvent, UserRow};
use crate::http::extract::caller::{
    ACCESS_COOKIE, Caller, Via, bearer_token, check_same_origin, cookie_token, remote_address,
};
use crate::http::extract::json::{JsonBody, read_body};
use crate::http::extract::query;
use crate::http::routes::{Routes, routes};
use crate::http::{ApiError, ApiResult, HttpState};

/// Cookie with the refresh token of the server's own pages.
const REFRESH_COOKIE: &str = "sortie_refresh";
/// Cookie that marks a browser in which a user has signed in before, so that failed sign-ins of others at the same
/// address do not delay this user. It is not a credential.
const DEVICE_COOKIE: &str = "sortie_device";
/// Lifetime of the device cookie.
const DEVICE_LIFE: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Characters of a stored `User-Agent`.
const USER_AGENT_MAX: usize = 256;
/// Header that makes a browser delete what the origin stores.
const CLEAR_SITE_DATA: &str = "clear-site-data";
/// Path of the refresh cookie: browsers send it to these routes only.
const REFRESH_PATH: &str = "/api/auth";

pub(in crate::http) fn routes() -> Routes {
    routes! {
        POST "/api/auth/login" => login,
        POST "/api/auth/refresh" => refresh,
        POST "/api/auth/logout" => logout,
        GET "/api/auth/methods" => methods,
        POST "/api/auth/password" => change_password,
        GET "/api/auth/me" => me,
    }
}

async fn login(State(state): State<HttpState>, request: Request) -> ApiResult<Response> {
    let (parts, body) = request.into_parts();
    let origin = Origin::of(&parts).by(Via::Password);
    let secure = is_https(&parts.headers);
    let JsonBody(login) =
        JsonBody::<Login>::from_request(Request::from_parts(parts, body), &state).await?;
    let cookies_only = login.cookies_only;
    let result = state
        .accounts
        .password_sign_in
        .sign_in(&login.username, login.password, &origin.source)
        .await;
    // The typed name is not logged: users enter passwords there by mistake.
    match &result {
        Ok(signed_in) => origin.signed_in(&state, &signed_in.user).await?,
        Err(SignInError::WrongCredentials { user_id }) => {
            let subject = user_id.as_deref().unwrap_or_default();
            origin
                .refused(&state, subject, "wrong user name or password")
                .await;
        }
        Err(SignInError::Disabled { user_id }) => {
            origin.refused(&state, user_id, "disabled").await;
        }
        // Delays are not audited each time, and internal errors are in the server log.
        Err(_) => {}
    }
    let signed_in = result?;
    let mut response = tokens_response(&signed_in, secure, cookies_only);
    if cookies_only {
        let device = state
            .accounts
            .known_devices
            .cookie(&signed_in.user.id, &origin.source)
            .map_err(ApiError::internal)?;
        let device = cookie(DEVICE_COOKIE, device, REFRESH_PATH, DEVICE_LIFE, secure);
        append_cookies(response.headers_mut(), [device]);
    }
    Ok(response)
}

/// Origin of a sign-in, before its user is known.
pub(in crate::http) struct Origin {
    pub(in crate::http) source: SignInSource,
    via: Via,
}

impl Origin {
    pub(in crate::http) fn of(parts: &Parts) -> Self {
        // Browsers send one of these headers, and will use the cookies.
        let headers = &parts.headers;
        let is_page = headers.contains_key("sec-fetch-site") || headers.contains_key("origin");
        let user_agent = headers.get(header::USER_AGENT);
        let user_agent = user_agent.and_then(|value| value.to_str().ok());
        let device = CookieJar::from_headers(headers);
        let device = device.get(DEVICE_COOKIE);
        Self {
            source: SignInSource {
                address: remote_address(parts),
                user_agent: user_agent
                    .unwrap_or_default()
                    .chars()
                    .take(USER_AGENT_MAX)
                    .collect(),
                device: device.map(|cookie| cookie.value().to_owned()),
            },
            via: if is_page { Via::Cookie } else { Via::Bearer },
        }
    }

    /// Sets the kind of credential.
    pub(in crate::http) fn by(self, via: Via) -> Self {
        Self { via, ..self }
    }

    /// Writes a sign-in to the audit log.
    pub(in crate::http) async fn signed_in(
        &self,
        state: &HttpState,
        user: &UserRow,
    ) -> ApiResult<()> {
        self.done(state, Action::SignIn, user, "").await
    }

    /// Writes a sign-out to the audit log.
    async fn signed_out(&self, state: &HttpState, user: &UserRow, sign_in: &str) -> ApiResult<()> {
        let detail = format!("signed out of {sign_in}");
        self.done(state, Action::SignInEnd, user, &detail).await
    }

    async fn done(
        &self,
        state: &HttpState,
        action: Action,
        user: &UserRow,
        detail: &str,
    ) -> ApiResult<()> {
        let actor = Actor {
            id: user.id.clone(),
            name: user.username.clone(),
            via: self.via,
            address: Some(self.source.address),
        };
        let event = AuditEvent::done(&actor, action, &user.id).detail(detail);
        Ok(state.audit(&event).await?)
    }

    /// Writes a refused sign-in to the audit log; `user_id` is empty for an unknown user.
    pub(in crate::http) async fn refused(&self, state: &HttpState, user_id: &str, detail: &str) {
        let actor = self.unknown();
        state
            .audit_denial(&actor, Action::SignIn, user_id, detail)
            .await;
    }

    /// Writes the reuse of a refresh token, which has ended its sign-in, to the audit log.
    async fn reused(&self, state: &HttpState, user_id: &str) -> ApiResult<()> {
        let actor = self.unknown();
        let event = AuditEvent::done(&actor, Action::TokenReuse, user_id)
            .detail("a used refresh token was sent again; the sign-in has ended")
            .result(AuditResult::Denied);
        Ok(state.audit(&event).await?)
    }

    /// Returns an actor of whom only the address is known.
    fn unknown(&self) -> Actor {
        Actor {
            id: String::new(),
            name: String::new(),
            via: self.via,
            address: Some(self.source.address),
        }
    }
}

async fn refresh(State(state): State<HttpState>, request: Request) -> ApiResult<Response> {
    let (parts, token) = refresh_token(&state, request).await?;
    let Some(token) = token else {
        return Err(ApiError::unauthenticated("Sign in first."));
    };
    let origin = Origin::of(&parts);
    let result = state
        .accounts
        .refresh_tokens
        .exchange(&token.text, &origin.source)
        .await;
    if let Err(RefreshError::Reused { user_id }) = &result {
        origin.reused(&state, user_id).await?;
    }
    // A token from a cookie is answered with cookies only: otherwise a script that can send the request could read the
    // tokens.
    Ok(tokens_response(
        &result?,
        is_https(&parts.headers),
        token.is_cookie,
    ))
}

#[derive(Deserialize)]
struct LogoutQuery {
    clear_site_data: Option<String>,
}

async fn logout(
    State(state): State<HttpState>,
    Query(given): Query<LogoutQuery>,
    request: Request,
) -> ApiResult<Response> {
    let clears_site_data = query::flag("clear_site_data", given.clear_site_data.as_deref())?;
    if clears_site_data {
        // A browser follows the header in the answer to any site's form, with and without a sign-in.
        let (method, headers) = (request.method(), request.headers());
        check_same_origin(method, headers)?;
    }
    let (parts, token) = refresh_token(&state, request).await?;
    let origin = Origin::of(&parts);
    if let Some(token) = token
        && let Some(sign_in) = state.accounts.refresh_tokens.sign_out(&token.text).await?
        && let Some(user) = state.database.users().get(&sign_in.user_id).await?
    {
        origin.signed_out(&state, &user, &sign_in.id).await?;
    }
    // A client may send only its access token. An expired token is not an error: the caller is already signed out.
    // Other credentials have no sign-in to end.
    let access = match (bearer_token(&parts.headers), cookie_token(&parts.headers)) {
        (Some(token), _) => Some(token.to_owned()),
        (None, Some(token)) => {
            check_same_origin(&parts.method, &parts.headers)?;
            Some(token)
        }
        (None, None) => None,
    };
    if let Some(token) = access {
        match state.accounts.sign_ins.identify(&token).await {
            Ok(identity) => {
                if let Credential::SignIn { family } = identity.credential
                    && state.accounts.sign_ins.end(&family).await?
                {
                    origin.signed_out(&state, &identity.user, &family).await?;
                }
            }
            Err(TokenError::Database(error)) => return Err(error.into()),
            Err(_) => {}
        }
    }
    let secure = is_https(&parts.headers);
    let cookies = [(ACCESS_COOKIE, "/"), (REFRESH_COOKIE, REFRESH_PATH)]
        .map(|(name, path)| cookie(name, String::new(), path, Duration::ZERO, secure));
    // Unfinished recordings are in the browser's storage. Cookies are cleared above, by name.
    let cleared = clears_site_data.then_some([(CLEAR_SITE_DATA, "\"storage\"")]);
    Ok((StatusCode::NO_CONTENT, cleared, set_cookies(cookies)).into_response())
}

async fn methods(State(state): State<HttpState>) -> ApiResult<Json<SignInMethods>> {
    Ok(Json(SignInMethods {
        password: state.database.users().has_passwords().await?,
        #[cfg(feature = "sso")]
        oidc: state.accounts.oidc.method(),
        #[cfg(not(feature = "sso"))]
        oidc: None,
        proxy: state.config.sign_in.proxy_header.is_some(),
    }))
}

async fn me(State(state): State<HttpState>, caller: Caller) -> ApiResult<Response> {
    let user = own_row(&state, &caller).await?;
    // Roles of the credential: an API token without the scope `admin` has no administrator role.
    let user = User {
        roles: caller.roles,
        ..user_view(&user)
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(user)).into_response())
}

async fn own_row(state: &HttpState, caller: &Caller) -> ApiResult<UserRow> {
    let row = state.database.users().get(&caller.user_id).await?;
    row.ok_or_else(|| ApiError::unauthenticated("Your sign-in has expired. Sign in again."))
}

async fn change_password(
    State(state): State<HttpState>,
    caller: Caller,
    JsonBody(change): JsonBody<ChangePassword>,
) -> ApiResult<StatusCode> {
    check_password(&change.new_password)?;
    let user = own_row(&state, &caller).await?;
    if user.password_hash.is_empty() {
        return Err(ApiError::new(
            ProblemCode::Conflict,
            "Your account has no password on this server. Change it at your identity provider.",
        ));
    }
    if user.must_change_password && change.new_password == change.current_password {
        return Err(ApiError::invalid(
            "new_password must differ from the generated password.",
        ));
    }
    let result = state
        .accounts
        .password_sign_in
        .change_password(
            &user.id,
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
    let mut detail = String::new();
    if result.is_ok() && change.revoke_tokens {
        let revoked = state.accounts.api_tokens.revoke_all_of(&user.id).await?;
        detail = format!("API tokens revoked: {revoked}");
    }
    let actor = caller.actor();
    let event = AuditEvent::done(&actor, Action::PasswordChange, &user.id)
        .detail(&detail)
        .result(outcome);
    match &result {
        // The failed attempts that caused the delay are already audited.
        Err(SignInError::Wait(_)) => {}
        _ => state.audit(&event).await?,
    }
    match result {
        // Not 401: the caller is signed in, and a client would renew its token and retry.
        Err(SignInError::WrongCredentials { .. }) => {
            Err(ApiError::forbidden("The current password is wrong."))
        }
        result => Ok(result.map(|()| StatusCode::NO_CONTENT)?),
    }
}

/// Refresh token of a request.
struct SentToken {
    text: String,
    is_cookie: bool,
}

/// Reads the refresh token from the body, else from the cookie. API clients send a body; the server's own pages have
/// the cookie and may send no body.
async fn refresh_token(
    state: &HttpState,
    request: Request,
) -> ApiResult<(Parts, Option<SentToken>)> {
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
    if let Some(text) = sent.refresh_token {
        let is_cookie = false;
        return Ok((parts, Some(SentToken { text, is_cookie })));
    }
    let cookies = CookieJar::from_headers(&parts.headers);
    let Some(cookie) = cookies.get(REFRESH_COOKIE) else {
        return Ok((parts, None));
    };
    check_same_origin(&parts.method, &parts.headers)?;
    let token = SentToken {
        text: cookie.value().to_owned(),
        is_cookie: true,
    };
    Ok((parts, Some(token)))
}

fn tokens_response(signed_in: &SignedIn, secure: bool, cookies_only: bool) -> Response {
    let cookies = set_cookies(token_cookies(signed_in, secure));
    if cookies_only {
        let answer = PageSignIn {
            expires_in: ACCESS_LIFE.as_secs(),
            user: user_view(&signed_in.user),
        };
        return (cookies, Json(answer)).into_response();
    }
    let tokens = Tokens {
        access_token: signed_in.access_token.clone(),
        refresh_token: signed_in.refresh_token.clone(),
        expires_in: ACCESS_LIFE.as_secs(),
        user: user_view(&signed_in.user),
    };
    (cookies, Json(tokens)).into_response()
}

/// Cookies of the server's own pages for a new sign-in.
pub(in crate::http) fn token_cookies(signed_in: &SignedIn, secure: bool) -> [Cookie<'static>; 2] {
    let access = signed_in.access_token.clone();
    let refresh = signed_in.refresh_token.clone();
    [
        cookie(ACCESS_COOKIE, access, "/", ACCESS_LIFE, secure),
        cookie(
            REFRESH_COOKIE,
            refresh,
            REFRESH_PATH,
            signed_in.refresh_life,
            secure,
        ),
    ]
}

/// `HttpOnly` cookie that forms of other sites do not send. Lax, not Strict, so that links to recordings in emails and
/// chats work.
pub(in crate::http) fn cookie(
    name: &'static str,
    value: String,
    path: impl Into<Cow<'static, str>>,
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
        // Too long for the cookie type: a session cookie.
        Err(_) => cookie.build(),
    }
}

pub(in crate::http) fn set_cookies<const N: usize>(cookies: [Cookie<'static>; N]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    append_cookies(&mut headers, cookies);
    headers
}

fn append_cookies<const N: usize>(headers: &mut HeaderMap, cookies: [Cookie<'static>; N]) {
    for cookie in cookies {
        // Names and values of the server are valid in a header.
        if let Ok(value) = HeaderValue::from_str(&cookie.to_string()) {
            headers.append(header::SET_COOKIE, value);
        }
    }
}

/// Whether the client uses HTTPS with this server or its proxy, as reported by a trusted proxy, the public URL
/// ([`crate::http::layers::edge`]) or the page's origin. A false claim withholds the client's own cookies only.
pub(in crate::http) fn is_https(headers: &HeaderMap) -> bool {
    let starts_with = |name: &str, prefix: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.trim_start().starts_with(prefix))
    };
    starts_with("x-forwarded-proto", "https") || starts_with("origin", "https://")
}
