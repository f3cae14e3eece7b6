//! Sign-in by OpenID Connect: `/api/auth/oidc/…`.

use axum::body::Bytes;
use axum::extract::{FromRequest as _, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum_extra::extract::CookieJar;
use serde::Deserialize;
use sortie_api::{ProblemCode, Via};

use super::auth::{Origin, cookie, is_https, set_cookies, token_cookies};
use crate::accounts::oidc::{ATTEMPT_SECONDS, Answer, OidcError};
use crate::http::routes::{Routes, routes};
use crate::http::{ApiError, ApiResult, HttpState};

/// Cookie with the login state.
const COOKIE: &str = "sortie_oidc";
/// Path of the cookie.
const PATH: &str = "/api/auth/oidc";

/// Time limit for the body of a logout request, a few kilobytes.
const LOGOUT_BODY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

pub(in crate::http) fn routes() -> Routes {
    routes! {
        GET "/api/auth/oidc/login" => login,
        GET "/api/auth/oidc/callback" => callback,
        POST "/api/auth/oidc/backchannel-logout" => backchannel_logout,
    }
}

#[derive(Deserialize)]
struct LoginQuery {
    return_to: Option<String>,
}

async fn login(
    State(state): State<HttpState>,
    Query(query): Query<LoginQuery>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let return_to = query.return_to.unwrap_or_else(|| "/".to_owned());
    if !is_own_path(&return_to) {
        return Err(ApiError::invalid(
            "The parameter return_to must be a path on this server, like /recordings.",
        ));
    }
    let (url, kept) = state.accounts.oidc.begin(return_to).await?;
    let life = std::time::Duration::from_secs(ATTEMPT_SECONDS.unsigned_abs());
    let cookie = cookie(COOKIE, kept, PATH, life, is_https(&headers));
    see_other(&url, set_cookies([cookie]))
}

async fn callback(
    State(state): State<HttpState>,
    Query(answer): Query<Answer>,
    request: Request,
) -> ApiResult<Response> {
    let (parts, _) = request.into_parts();
    let origin = Origin::of(&parts).by(Via::Oidc);
    let secure = is_https(&parts.headers);
    let cookies = CookieJar::from_headers(&parts.headers);
    let kept = cookies.get(COOKIE).map_or("", |cookie| cookie.value());
    let spent = cookie(
        COOKIE,
        String::new(),
        PATH,
        std::time::Duration::ZERO,
        secure,
    );
    match state
        .accounts
        .oidc
        .finish(kept, answer, &origin.source)
        .await
    {
        Ok((signed_in, return_to)) => {
            tracing::info!(user_id = signed_in.user.id, "signed in by OpenID Connect");
            origin.signed_in(&state, &signed_in.user).await?;
            let [access, refresh] = token_cookies(&signed_in, secure);
            see_other(&return_to, set_cookies([access, refresh, spent]))
        }
        Err(error) => {
            tracing::warn!(error = %error, "sign-in by OpenID Connect failed");
            // Other errors are not audited: every client can forge a callback.
            match &error {
                OidcError::Disabled { user_id } => {
                    origin.refused(&state, user_id, "disabled").await;
                }
                // The provider has authenticated the user, so this cannot be forged.
                OidcError::NotAdmitted(why) => origin.refused(&state, "", why).await,
                _ => {}
            }
            let mut response = ApiError::from(error).into_response();
            response.headers_mut().extend(set_cookies([spent]));
            Ok(response)
        }
    }
}

/// Ends sign-ins at the provider's request (OpenID Connect Back-Channel Logout 1.0, section 2.5).
async fn backchannel_logout(State(state): State<HttpState>, request: Request) -> Response {
    let result = async {
        let reading = Bytes::from_request(request, &state);
        let read = tokio::time::timeout(LOGOUT_BODY_TIMEOUT, reading).await;
        let body = read
            .map_err(|_| {
                ApiError::new(
                    ProblemCode::RequestTimeout,
                    "The body took longer than 10 seconds.",
                )
            })?
            .map_err(|error| ApiError::new(ProblemCode::BadRequest, error.body_text()))?;
        let mut tokens = form_urlencoded::parse(&body)
            .filter(|(name, _)| name == "logout_token")
            .map(|(_, value)| value);
        let (Some(token), None) = (tokens.next(), tokens.next()) else {
            return Err(ApiError::new(
                ProblemCode::BadRequest,
                "Send one logout_token as application/x-www-form-urlencoded.",
            ));
        };
        match state.accounts.oidc.backchannel_logout(&token).await {
            Ok(ended) => {
                tracing::info!(ended, "logout at the OpenID provider");
                Ok(StatusCode::OK)
            }
            // Section 2.8: 400.
            Err(OidcError::Unbelievable(why)) => Err(ApiError::new(
                ProblemCode::BadRequest,
                format!("The logout token is not valid: {why}."),
            )),
            Err(error) => Err(error.into()),
        }
    };
    let mut response = result.await.into_response();
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn see_other(url: &str, mut headers: HeaderMap) -> ApiResult<Response> {
    let url = HeaderValue::from_str(url).map_err(ApiError::internal)?;
    headers.insert(header::LOCATION, url);
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

/// Whether a redirect to this path stays on this server. Browsers treat `//host` and `/\host` as other hosts, and
/// remove tabs and line ends before they parse.
fn is_own_path(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && path.len() <= 1024
        && path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirect_must_stay_on_this_server() {
        for (path, own) in [
            ("/", true),
            ("/recordings?status=ready#top", true),
            ("/a//b", true),
            ("", false),
            ("recordings", false),
            ("//evil.example", false),
            ("/\\evil.example", false),
            ("\\\\evil.example", false),
            ("/\t/evil.example", false),
            ("/\n/evil.example", false),
            (" //evil.example", false),
            ("https://evil.example", false),
            ("javascript:alert(1)", false),
            ("/ü", false),
        ] {
            assert_eq!(is_own_path(path), own, "{path:?}");
        }
        assert!(!is_own_path(&format!("/{}", "a".repeat(1024))));
    }
}
