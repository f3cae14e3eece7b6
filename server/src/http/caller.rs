//! Who is asking.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum_extra::extract::CookieJar;
pub(crate) use sortie_api::Via;
use sortie_api::{Role, TokenScope};

use super::{ApiError, ApiResult, AppState};
use crate::accounts::{IssueError, TokenError};
use crate::catalog::Actor;

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
}

impl Caller {
    /// Whether they administer the server.
    pub(crate) fn is_admin(&self) -> bool {
        self.roles.contains(&Role::Admin)
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

    /// Whether they may have what belongs to `owner_id`.
    pub(crate) fn may_have(&self, owner_id: &str) -> bool {
        self.user_id == owner_id || self.is_admin()
    }
}

/// A [`Caller`] who administers the server; others get 403.
#[derive(Clone, Debug)]
pub(crate) struct Admin(pub(crate) Caller);

/// Who sends this request; for [`super::access`], which asks once for each request.
pub(super) async fn identify(parts: &Parts, state: &AppState) -> ApiResult<Caller> {
    let (token, via) =
        access_token(&parts.headers).ok_or_else(|| ApiError::unauthenticated("Sign in first."))?;
    if via == Via::Cookie {
        check_same_origin(&parts.method, &parts.headers)?;
    }
    let identity = state.accounts.identify(&token).await?;
    let caller = Caller {
        user_id: identity.user.id.clone(),
        username: identity.user.username.clone(),
        roles: identity.user.roles.clone(),
        via,
        address: remote_address(parts),
        scopes: None,
    };
    tracing::debug!(user_id = caller.user_id, via = ?caller.via, "the caller is known");
    Ok(caller)
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
            TokenError::Catalog(error) => error.into(),
            TokenError::Issue(error) => error.into(),
        }
    }
}

impl From<IssueError> for ApiError {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::Catalog(error) => error.into(),
            IssueError::Token(error) => Self::internal(error),
        }
    }
}

/// The access token and how it came: in the `Authorization` header, else in the cookie.
pub(super) fn access_token(headers: &HeaderMap) -> Option<(String, Via)> {
    if let Some(token) = bearer_token(headers) {
        return Some((token.to_owned(), Via::Bearer));
    }
    let cookies = CookieJar::from_headers(headers);
    cookies
        .get(ACCESS_COOKIE)
        .map(|cookie| (cookie.value().to_owned(), Via::Cookie))
}

/// The token of `Authorization: Bearer …`; the scheme's name knows no case (RFC 9110, 11.1).
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
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
pub(super) fn check_same_origin(method: &Method, headers: &HeaderMap) -> Result<(), ApiError> {
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
pub(super) fn is_origin_of(origin: &str, host: &str) -> bool {
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

/// The address that a request comes from. Behind a reverse proxy, which a peer that cannot come from the
/// internet is taken for, the one that the proxy wrote down last.
///
/// Good enough to slow somebody down, not to let somebody in: a neighbour in the private network can write
/// what they like.
pub(super) fn remote_address(parts: &Parts) -> IpAddr {
    let peer = parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |info| {
            info.0.ip().to_canonical()
        });
    let may_be_proxy = match peer {
        IpAddr::V4(address) => {
            address.is_loopback() || address.is_private() || address.is_link_local()
        }
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    };
    if !may_be_proxy {
        return peer;
    }
    parts
        .headers
        .get_all("x-forwarded-for")
        .iter()
        .next_back()
        .and_then(|line| line.to_str().ok()?.rsplit(',').next()?.trim().parse().ok())
        .unwrap_or(peer)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, Request};

    use super::*;

    #[track_caller]
    fn check_origin(method: Method, headers: &[(&'static str, &'static str)], allowed: bool) {
        let map = headers
            .iter()
            .map(|(name, value)| {
                (
                    axum::http::HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        assert_eq!(
            check_same_origin(&method, &map).is_ok(),
            allowed,
            "{method} {headers:?}"
        );
    }

    #[test]
    fn only_our_own_pages_change_anything_with_a_cookie() {
        let host = ("host", "sortie.example:8080");
        check_origin(
            Method::GET,
            &[host, ("origin", "https://evil.example")],
            true,
        );
        check_origin(Method::POST, &[host], false);
        check_origin(
            Method::POST,
            &[host, ("origin", "http://sortie.example:8080")],
            true,
        );
        check_origin(
            Method::POST,
            &[host, ("origin", "HTTP://sortie.example:8080")],
            false,
        );
        check_origin(
            Method::POST,
            &[host, ("origin", "http://SORTIE.example:8080")],
            true,
        );
        check_origin(
            Method::POST,
            &[host, ("origin", "http://sortie.example")],
            false,
        );
        check_origin(
            Method::POST,
            &[host, ("origin", "http://sortie.example:8081")],
            false,
        );
        check_origin(
            Method::POST,
            &[host, ("origin", "http://evil.example")],
            false,
        );
        check_origin(Method::POST, &[host, ("origin", "null")], false);
        check_origin(Method::POST, &[("host", ""), ("origin", "http://")], false);
        check_origin(
            Method::PATCH,
            &[("host", "a.example"), ("origin", "https://a.example:443")],
            true,
        );
        check_origin(
            Method::PATCH,
            &[("host", "a.example:443"), ("origin", "https://a.example")],
            true,
        );
        check_origin(
            Method::PATCH,
            &[("host", "a.example:443"), ("origin", "http://a.example")],
            false,
        );
        check_origin(
            Method::DELETE,
            &[host, ("sec-fetch-site", "same-origin")],
            true,
        );
        check_origin(Method::DELETE, &[host, ("sec-fetch-site", "none")], true);
        check_origin(
            Method::DELETE,
            &[host, ("sec-fetch-site", "same-site")],
            false,
        );
        check_origin(
            Method::DELETE,
            &[host, ("sec-fetch-site", "cross-site")],
            false,
        );
        // A browser that says where it comes from is believed before an origin that a proxy may have changed.
        let elsewhere = ("origin", "https://sortie.example");
        check_origin(
            Method::PUT,
            &[host, ("sec-fetch-site", "same-origin"), elsewhere],
            true,
        );
    }

    #[test]
    fn the_scheme_knows_no_case_and_others_are_left_alone() {
        for (value, expected) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc", Some("abc")),
            ("Basic abc", None),
            ("Bearerabc", None),
        ] {
            let headers =
                HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))]);
            assert_eq!(bearer_token(&headers), expected, "{value}");
        }
    }

    #[test]
    fn a_proxy_is_believed_and_a_stranger_is_not() {
        for (peer, forwarded, expected) in [
            ("203.0.113.9:1", "", "203.0.113.9"),
            ("203.0.113.9:1", "198.51.100.1", "203.0.113.9"),
            ("127.0.0.1:1", "", "127.0.0.1"),
            ("10.1.2.3:1", "198.51.100.1", "198.51.100.1"),
            ("10.1.2.3:1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),
            ("10.1.2.3:1", "nonsense", "10.1.2.3"),
            ("[::ffff:203.0.113.9]:1", "198.51.100.1", "203.0.113.9"),
            ("[fd00::1]:1", "2001:db8::1", "2001:db8::1"),
        ] {
            let (mut parts, ()) = Request::builder()
                .header("x-forwarded-for", forwarded)
                .body(())
                .unwrap()
                .into_parts();
            parts
                .extensions
                .insert(ConnectInfo::<SocketAddr>(peer.parse().unwrap()));
            assert_eq!(
                remote_address(&parts).to_string(),
                expected,
                "{peer} {forwarded}"
            );
        }
    }
}
