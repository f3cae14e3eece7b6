//! What browsers are told about other sites: who may frame us, who may call us, and that HTTPS stays HTTPS.
//!
//! Closed by default: no site may do either until it is named. `assets` adds what only pages need.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::config::Config;

/// What a named site's page may send, beyond what every page may.
const ALLOWED_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, if-none-match, if-range, range, tus-resumable, upload-checksum, upload-concat, \
     upload-defer-length, upload-length, upload-metadata, upload-offset, x-http-method-override",
);
const ALLOWED_METHODS: HeaderValue =
    HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
/// What it may read, beyond what every page may: the headers of tus, paging, downloads and refusals.
const EXPOSED_HEADERS: HeaderValue = HeaderValue::from_static(
    "accept-ranges, content-disposition, content-range, etag, link, location, retry-after, sortie-silence-seconds, \
     sortie-stopped, tus-checksum-algorithm, tus-extension, tus-max-size, tus-resumable, tus-version, upload-concat, \
     upload-defer-length, upload-expires, \
     upload-length, upload-metadata, upload-offset, www-authenticate, x-request-id",
);
/// Two hours is the most that Chromium remembers.
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("7200");
const REQUESTED_METHOD: HeaderName = header::ACCESS_CONTROL_REQUEST_METHOD;
const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// What answers with data needs: opened as a page, it loads nothing and is in no frame.
const DATA_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
/// As the build writes it into a page's policy.
const NO_ANCESTORS: &str = "frame-ancestors 'none'";

/// What is in force, made ready once.
pub(in crate::http) struct SecurityPolicy {
    /// For a page's policy; `None`: nobody.
    ancestors: Option<String>,
    origins: Vec<HeaderValue>,
    hsts: Option<HeaderValue>,
}

impl SecurityPolicy {
    pub(in crate::http) fn of(config: &Config) -> Arc<Self> {
        let ancestors = &config.frame_ancestors;
        let origins = config.cors_origins.iter();
        let seconds = config.hsts.as_secs();
        Arc::new(Self {
            ancestors: (!ancestors.is_empty())
                .then(|| format!("frame-ancestors 'self' {}", ancestors.join(" "))),
            origins: origins
                .filter_map(|origin| HeaderValue::from_str(origin).ok())
                .collect(),
            hsts: (seconds > 0)
                .then(|| HeaderValue::from_str(&format!("max-age={seconds}")).ok())
                .flatten(),
        })
    }

    /// The site that a request comes from, if it is a named one.
    fn named<'h>(&self, request: &'h HeaderMap) -> Option<&'h HeaderValue> {
        let origin = request.get(header::ORIGIN)?;
        self.origins.contains(origin).then_some(origin)
    }

    /// What goes with every answer to this request.
    fn add(&self, origin: Option<&HeaderValue>, https: bool, response: &mut HeaderMap) {
        let at_least = |response: &mut HeaderMap, name: HeaderName, value: HeaderValue| {
            response.entry(name).or_insert(value);
        };
        response.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        at_least(
            response,
            header::REFERRER_POLICY,
            HeaderValue::from_static("same-origin"),
        );
        let corp = if self.origins.is_empty() {
            "same-origin"
        } else {
            // A named site plays recordings, too; who may have them is decided by token.
            "cross-origin"
        };
        at_least(response, CORP, HeaderValue::from_static(corp));
        if let Some(hsts) = self.hsts.as_ref().filter(|_| https) {
            response.insert(header::STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
        self.frame(response);
        if self.origins.is_empty() {
            return;
        }
        response.append(header::VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = origin {
            response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            response.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
        }
    }

    /// Who may frame it.
    fn frame(&self, response: &mut HeaderMap) {
        let page = response
            .get(header::CONTENT_SECURITY_POLICY)
            .and_then(|policy| policy.to_str().ok());
        match (page, &self.ancestors) {
            (Some(page), Some(ancestors)) => {
                let policy = page.replace(NO_ANCESTORS, ancestors);
                if let Ok(policy) = HeaderValue::from_str(&policy) {
                    response.insert(header::CONTENT_SECURITY_POLICY, policy);
                }
            }
            (Some(_), None) => {
                response.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
            }
            (None, _) if is_data(response) => {
                response.insert(header::CONTENT_SECURITY_POLICY, DATA_POLICY);
                response.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
            }
            // A recording is a document of its own in a browser's tab, and a policy would stop it from playing.
            (None, _) => {}
        }
    }
}

fn is_data(response: &HeaderMap) -> bool {
    response
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| {
            kind.starts_with("application/json") || kind.starts_with("application/problem+json")
        })
}

/// Whether the browser uses HTTPS, as a trusted proxy or the public address says; see [`crate::http::layers::edge`].
fn is_https(request: &HeaderMap) -> bool {
    request
        .get("x-forwarded-proto")
        .and_then(|proto| proto.to_str().ok())
        .is_some_and(|proto| proto.trim().eq_ignore_ascii_case("https"))
}

/// The layer.
pub(in crate::http) async fn protect(
    State(policy): State<Arc<SecurityPolicy>>,
    request: Request,
    next: Next,
) -> Response {
    let origin = policy.named(request.headers()).cloned();
    let https = is_https(request.headers());
    // Other `OPTIONS` are tus' own.
    let preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(REQUESTED_METHOD);
    let mut response = if preflight && origin.is_some() {
        let headers = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS),
            (header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS),
        ];
        (StatusCode::NO_CONTENT, headers).into_response()
    } else {
        next.run(request).await
    };
    policy.add(origin.as_ref(), https, response.headers_mut());
    response
}
