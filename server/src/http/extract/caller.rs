//! The caller of a request, and its authentication.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum_extra::extract::CookieJar;
pub(crate) use sortie_api::Via;
use sortie_api::{Role, TokenScope};

use crate::accounts::{Credential, TokenError};
use crate::config::SignInConfig;
use crate::db::Actor;
use crate::http::layers::edge;
use crate::http::layers::edge::ClientAddress;
use crate::http::{ApiError, ApiResult, HttpState};
use crate::uploads::Creator;

/// Query parameter with the token of a playback URL.
pub(in crate::http) const PLAYBACK: &str = "playback";
/// Cookie with the access token of the server's own pages.
pub(crate) const ACCESS_COOKIE: &str = "sortie_access";

/// Authenticated caller. Routes that need one answer 401 without valid credentials, and 403 to a cross-origin change
/// with a cookie.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) user_id: String,
    pub(crate) username: String,
    /// Current roles of the user; without `admin` for an API token that lacks this scope.
    pub(crate) roles: Vec<Role>,
    pub(crate) via: Via,
    pub(crate) address: IpAddr,
    /// Scopes of an API token; `None` for other credentials.
    pub(crate) scopes: Option<Vec<TokenScope>>,
    /// Sign-in of an access token; `None` for other credentials.
    pub(crate) sign_in: Option<String>,
    pub(crate) credential: Credential,
    /// Session of a recording token; `None` for other credentials.
    pub(crate) session: Option<String>,
    /// Recording of a playback URL; `None` for other credentials.
    pub(crate) recording: Option<String>,
    /// Whether the user must choose a password before anything else.
    pub(crate) must_change_password: bool,
}

impl Caller {
    pub(crate) fn is_admin(&self) -> bool {
        self.roles.contains(&Role::Admin)
    }

    /// Checks that the credential and the administrator role are still valid. Called between slow work and an
    /// irreversible change.
    pub(crate) async fn check_again(&self, state: &HttpState) -> ApiResult<()> {
        let is_current = state.accounts.authenticator.is_current(
            &self.user_id,
            &self.credential,
            self.is_admin(),
        );
        if is_current.await? {
            Ok(())
        } else {
            Err(TokenError::Expired.into())
        }
    }

    /// Actor for the audit log.
    pub(crate) fn actor(&self) -> Actor {
        Actor {
            id: self.user_id.clone(),
            name: self.username.clone(),
            via: self.via,
            address: Some(self.address),
        }
    }

    /// Whether the credential is valid for this session and its recordings.
    pub(crate) fn reaches_session(&self, session_id: &str) -> bool {
        self.session
            .as_deref()
            .is_none_or(|only| only == session_id)
    }

    /// Whether the credential is valid for this recording.
    pub(crate) fn reaches_recording(&self, recording_id: &str) -> bool {
        self.recording
            .as_deref()
            .is_none_or(|only| only == recording_id)
    }

    /// Returns the credential class, which decides the limit of open uploads.
    pub(crate) fn creator(&self) -> Creator {
        if self.via == Via::Token || self.session.is_some() {
            Creator::Service
        } else {
            Creator::User
        }
    }

    /// Whether the caller may access resources of `owner_id`.
    pub(crate) fn may_access(&self, owner_id: &str) -> bool {
        self.user_id == owner_id || self.is_admin()
    }
}

/// Caller with the administrator role; the extractor answers 403 to others.
#[derive(Clone, Debug)]
pub(crate) struct Admin(pub(crate) Caller);

/// Authenticates a request; called once for each request before its handler.
///
/// A playback token takes precedence on a route that accepts one, as browsers add cookies to its URL. Then a bearer token;
/// then the header of a trusted proxy, which is more recent than any cookie.
pub(in crate::http) async fn identify(
    parts: &Parts,
    state: &HttpState,
    accepts_playback: bool,
) -> ApiResult<Caller> {
    let sign_in = &state.config.sign_in;
    let peer = edge::peer(&parts.extensions);
    let playback = accepts_playback
        .then(|| playback_token(parts.uri.query()))
        .flatten();
    let mut recording = None;
    let (identity, cookie_like) = if let Some(token) = playback {
        let identified = state.accounts.playback_urls.identify(&token).await;
        let (identity, only) = identified.map_err(playback_refused)?;
        recording = Some(only);
        (identity, None)
    } else if let Some(token) = bearer_token(&parts.headers) {
        (state.accounts.authenticator.identify(token).await?, None)
    } else if let Some(name) = proxied_name(sign_in, peer, &parts.headers) {
        check_same_origin(&parts.method, &parts.headers)?;
        let identity = state
            .accounts
            .authenticator
            .identify_by_proxy(&name?)
            .await?;
        (identity, Some(Via::Proxy))
    } else {
        let token = cookie_token(&parts.headers)
            .ok_or_else(|| ApiError::unauthenticated("Sign in first."))?;
        check_same_origin(&parts.method, &parts.headers)?;
        let identity = state.accounts.sign_ins.identify(&token).await?;
        (identity, Some(Via::Cookie))
    };
    let mut caller = Caller {
        user_id: identity.user.id.clone(),
        username: identity.user.username.clone(),
        roles: identity.roles,
        via: cookie_like.unwrap_or(Via::Bearer),
        address: remote_address(parts),
        scopes: None,
        sign_in: None,
        credential: identity.credential.clone(),
        session: None,
        recording,
        must_change_password: identity.user.must_change_password,
    };
    match identity.credential {
        Credential::SignIn { family } => caller.sign_in = Some(family),
        Credential::ApiToken { scopes, .. } => {
            caller.via = Via::Token;
            caller.scopes = Some(scopes);
        }
        Credential::RecordingToken { session_id } => {
            caller.via = Via::Token;
            caller.session = Some(session_id);
        }
        Credential::Playback => caller.via = Via::Playback,
        Credential::Platform => caller.via = Via::Jwt,
        Credential::Proxy => caller.via = Via::Proxy,
    }
    tracing::debug!(user_id = caller.user_id, via = ?caller.via, "caller authenticated");
    Ok(caller)
}

/// Token of a playback URL, in the query so that it is in no log.
fn playback_token(query: Option<&str>) -> Option<String> {
    let parameters = form_urlencoded::parse(query?.as_bytes());
    let mut tokens = parameters.filter(|(name, _)| name == PLAYBACK);
    tokens.next().map(|(_, token)| token.into_owned())
}

/// One message for every token that is not accepted, so that it says nothing about user and recording.
fn playback_refused(error: TokenError) -> ApiError {
    match error {
        TokenError::Database(error) => error.into(),
        _ => ApiError::unauthenticated(
            "This playback URL has expired or is not valid. Request a new one.",
        ),
    }
}

/// User name in the header of a trusted proxy. Several headers are rejected: the client may have sent one of them.
fn proxied_name(
    sign_in: &SignInConfig,
    peer: IpAddr,
    headers: &HeaderMap,
) -> Option<ApiResult<String>> {
    let header = sign_in.proxy_header.as_ref()?;
    if !sign_in.trusts(peer) {
        return None;
    }
    let mut values = headers.get_all(header).iter();
    let value = values.next().filter(|value| !value.is_empty())?;
    let name = std::str::from_utf8(value.as_bytes());
    Some(match (name, values.next()) {
        (Ok(name), None) => Ok(name.to_owned()),
        _ => Err(ApiError::unauthenticated(
            "The proxy must send exactly one user name. Sign in again.",
        )),
    })
}

impl FromRequestParts<HttpState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &HttpState) -> Result<Self, ApiError> {
        parts.extensions.get().cloned().ok_or_else(|| {
            ApiError::internal(anyhow::anyhow!(
                "a handler of a public route requires a caller"
            ))
        })
    }
}

impl FromRequestParts<HttpState> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &HttpState) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, state).await?;
        if caller.is_admin() {
            Ok(Self(caller))
        } else {
            Err(ApiError::forbidden("Only administrators may do this."))
        }
    }
}

/// Access token in the cookie of the server's own pages.
pub(in crate::http) fn cookie_token(headers: &HeaderMap) -> Option<String> {
    let cookies = CookieJar::from_headers(headers);
    cookies
        .get(ACCESS_COOKIE)
        .map(|cookie| cookie.value().to_owned())
}

/// Token of `Authorization: Bearer …`. The scheme ignores case (RFC 9110, section 11.1).
pub(in crate::http) fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

/// Rejects a cross-origin change with a cookie. `SameSite=Lax` withholds cookies from other sites, but not from other
/// ports and subdomains of the same site.
///
/// Browsers send `Sec-Fetch-Site` (only over HTTPS and on localhost) or `Origin`, which must be the requested host. A
/// request with neither is rejected: other clients do not use cookies.
pub(in crate::http) fn check_same_origin(
    method: &Method,
    headers: &HeaderMap,
) -> Result<(), ApiError> {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let same_origin = match (text("sec-fetch-site"), text("origin")) {
        // `none`: started by the user and not by a page.
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => text("host").is_some_and(|host| is_origin_of(origin, host)),
        (None, None) => false,
    };
    if same_origin {
        Ok(())
    } else {
        Err(ApiError::forbidden(
            "The request does not come from this server's own pages. Other clients must send the access token in the \
             header Authorization.",
        ))
    }
}

/// Rejects a form that another site has sent. Browsers that withhold the referrer send `Origin: null`, which over plain
/// HTTP is all that is known.
pub(in crate::http) fn check_form_origin(headers: &HeaderMap) -> Result<(), ApiError> {
    let is_anonymous = headers.get("origin").is_some_and(|it| it == "null")
        && !headers.contains_key("sec-fetch-site");
    match is_anonymous {
        true => Ok(()),
        false => check_same_origin(&Method::POST, headers),
    }
}

/// Whether `origin` (RFC 6454) has this `host` (RFC 9110, section 7.2).
pub(in crate::http) fn is_origin_of(origin: &str, host: &str) -> bool {
    let (authority, default_port) = if let Some(authority) = origin.strip_prefix("https://") {
        (authority, ":443")
    } else if let Some(authority) = origin.strip_prefix("http://") {
        (authority, ":80")
    } else {
        return false;
    };
    let without_default = |text: &str| {
        text.strip_suffix(default_port)
            .unwrap_or(text)
            .to_ascii_lowercase()
    };
    !authority.is_empty() && without_default(authority) == without_default(host)
}

/// Address of the client; see [`crate::http::layers::edge`].
pub(in crate::http) fn remote_address(parts: &Parts) -> IpAddr {
    parts
        .extensions
        .get::<ClientAddress>()
        .map_or_else(|| edge::peer(&parts.extensions), |address| address.0)
}

#[cfg(test)]
mod tests;
