//! Who is asking.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum_extra::extract::CookieJar;
pub(crate) use sortie_api::Via;
use sortie_api::{ProblemCode, Role, TokenScope};

use crate::accounts::{Credential, IssueError, TokenError};
use crate::config::SignInConfig;
use crate::db::Actor;
use crate::http::layers::edge;
use crate::http::layers::edge::ClientAddress;
use crate::http::{ApiError, ApiResult, AppState};
use crate::uploads::Creator;

/// The cookie with our pages' access token.
pub(crate) const ACCESS_COOKIE: &str = "sortie_access";

/// Somebody who is signed in. A handler that takes it answers 401 to everybody else, and 403 to a change
/// that a foreign page asks for with our cookie.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Unique and never reused.
    pub(crate) user_id: String,
    /// The name to sign in with.
    pub(crate) username: String,
    /// What they may do now, not when they signed in; without `admin` for an API token that lacks that scope.
    pub(crate) roles: Vec<Role>,
    /// How they showed who they are.
    pub(crate) via: Via,
    /// Where they ask from.
    pub(crate) address: IpAddr,
    /// What an API token is limited to; `None`: no limit but the roles.
    pub(crate) scopes: Option<Vec<TokenScope>>,
    /// The sign-in whose access token they have sent, if it is one.
    pub(crate) sign_in: Option<String>,
    /// The credential itself.
    pub(crate) credential: Credential,
    /// The only session that a recording token is good for; `None` for every other credential.
    pub(crate) session: Option<String>,
}

impl Caller {
    /// Whether they administer the server.
    pub(crate) fn is_admin(&self) -> bool {
        self.roles.contains(&Role::Admin)
    }

    /// Refuses if the credential has ended, or the right to administer is gone, since the request was let in: to be
    /// asked after work that takes time and before what cannot be undone.
    pub(crate) async fn check_again(&self, state: &AppState) -> ApiResult<()> {
        let is_current =
            state
                .accounts
                .is_current(&self.user_id, &self.credential, self.is_admin());
        if is_current.await? {
            Ok(())
        } else {
            Err(TokenError::Expired.into())
        }
    }

    /// Who they are in the audit log.
    pub(crate) fn actor(&self) -> Actor {
        Actor {
            id: self.user_id.clone(),
            name: self.username.clone(),
            via: self.via,
            address: Some(self.address),
        }
    }

    /// Whether their credential reaches this session and its recordings.
    pub(crate) fn reaches_session(&self, session_id: &str) -> bool {
        self.session
            .as_deref()
            .is_none_or(|only| only == session_id)
    }

    /// Returns the credential class, which decides the limit of open uploads.
    pub(crate) fn creator(&self) -> Creator {
        if self.via == Via::Token || self.session.is_some() {
            Creator::Service
        } else {
            Creator::User
        }
    }

    /// Whether they may have what belongs to `owner_id`.
    pub(crate) fn may_have(&self, owner_id: &str) -> bool {
        self.user_id == owner_id || self.is_admin()
    }
}

/// A [`Caller`] who administers the server; others get 403.
#[derive(Clone, Debug)]
pub(crate) struct Admin(pub(crate) Caller);

/// Who sends this request; for [`crate::http::routes`], which asks once for each request.
///
/// A program's token comes first, whatever else a browser or a proxy adds; then the word of a trusted proxy,
/// which is newer than any cookie.
pub(in crate::http) async fn identify(parts: &Parts, state: &AppState) -> ApiResult<Caller> {
    let sign_in = &state.config.sign_in;
    let peer = edge::peer(&parts.extensions);
    let (identity, cookie_like) = if let Some(token) = bearer_token(&parts.headers) {
        (state.accounts.identify(token).await?, None)
    } else if let Some(name) = proxied_name(sign_in, peer, &parts.headers) {
        check_same_origin(&parts.method, &parts.headers)?;
        let identity = state.accounts.identify_by_proxy(&name?).await?;
        (identity, Some(Via::Proxy))
    } else {
        let token = cookie_token(&parts.headers)
            .ok_or_else(|| ApiError::unauthenticated("Sign in first."))?;
        check_same_origin(&parts.method, &parts.headers)?;
        let identity = state.accounts.identify_access(&token).await?;
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
        Credential::Platform => caller.via = Via::Jwt,
        Credential::Proxy => caller.via = Via::Proxy,
    }
    tracing::debug!(user_id = caller.user_id, via = ?caller.via, "the caller is known");
    Ok(caller)
}

/// Whom a trusted proxy has signed in, if it is one and says so. Its header may name one person only: of two, one
/// may have been written by whoever stands before it.
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
            "The proxy does not name one person. Sign in again.",
        )),
    })
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, ApiError> {
        parts.extensions.get().cloned().ok_or_else(|| {
            ApiError::internal(anyhow::anyhow!(
                "a handler wants the caller of a route that is for anybody"
            ))
        })
    }
}

impl FromRequestParts<AppState> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, state).await?;
        if caller.is_admin() {
            Ok(Self(caller))
        } else {
            Err(ApiError::forbidden("Only administrators may do this."))
        }
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Expired => {
                Self::unauthenticated("Your sign-in has expired. Sign in again.")
            }
            TokenError::Invalid => Self::unauthenticated("The token is not valid. Sign in again."),
            TokenError::Disabled => Self::unauthenticated(
                "This account is disabled. Ask an administrator to enable it.",
            ),
            // Not 401: a new token would be refused as well, and a sender that renews its token must not loop.
            TokenError::SessionEnded => Self::new(
                ProblemCode::SessionNotRunning,
                "The session has ended, and this recording token with it.",
            ),
            TokenError::Unavailable => Self::new(
                ProblemCode::Unavailable,
                "The token cannot be checked at this moment. Try again.",
            )
            .with_header(header::RETRY_AFTER, header::HeaderValue::from_static("30")),
            TokenError::Database(error) => error.into(),
            TokenError::Issue(error) => error.into(),
        }
    }
}

impl From<IssueError> for ApiError {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::Database(error) => error.into(),
            IssueError::Token(error) => Self::internal(error),
        }
    }
}

/// The access token of our pages.
pub(in crate::http) fn cookie_token(headers: &HeaderMap) -> Option<String> {
    let cookies = CookieJar::from_headers(headers);
    cookies
        .get(ACCESS_COOKIE)
        .map(|cookie| cookie.value().to_owned())
}

/// The token of `Authorization: Bearer …`; the scheme's name knows no case (RFC 9110, 11.1).
pub(in crate::http) fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

/// Refuses a change that a foreign page asks for with our cookie. `SameSite=Lax` keeps cookies from other
/// sites, but not from other ports and subdomains of the same one.
///
/// A browser says itself where a request comes from (`Sec-Fetch-Site`, only over https and on localhost), or
/// else names the page's origin, which must be the host that was asked. A program that sends neither has no
/// business with cookies.
pub(in crate::http) fn check_same_origin(
    method: &Method,
    headers: &HeaderMap,
) -> Result<(), ApiError> {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let same_origin = match (text("sec-fetch-site"), text("origin")) {
        // `none`: the person did it themselves, no page did.
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => text("host").is_some_and(|host| is_origin_of(origin, host)),
        (None, None) => false,
    };
    if same_origin {
        Ok(())
    } else {
        Err(ApiError::forbidden(
            "The request does not come from this server's own pages. Programs send the access token in the \
             Authorization header.",
        ))
    }
}

/// Whether a page of `origin` (RFC 6454) lives on `host` (RFC 9110, 7.2).
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

/// Address that a request comes from; see [`crate::http::layers::edge`].
pub(in crate::http) fn remote_address(parts: &Parts) -> IpAddr {
    parts
        .extensions
        .get::<ClientAddress>()
        .map_or_else(|| edge::peer(&parts.extensions), |address| address.0)
}

#[cfg(test)]
mod tests;
