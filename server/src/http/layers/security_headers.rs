//! Security headers: framing, CORS, HSTS and content type.
//!
//! No other site may frame the pages or call the API unless it is configured. `assets` adds the headers of pages.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::config::Config;

/// Request headers that a page of an allowed origin may send.
const ALLOWED_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, if-none-match, if-range, range, tus-resumable, upload-checksum, upload-concat, \
     upload-defer-length, upload-length, upload-metadata, upload-offset, x-http-method-override",
);
const ALLOWED_METHODS: HeaderValue =
    HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
/// Response headers that such a page may read: tus, paging, downloads and errors.
const EXPOSED_HEADERS: HeaderValue = HeaderValue::from_static(
    "accept-ranges, content-disposition, content-range, etag, link, location, retry-after, sortie-silence-seconds, \
     sortie-stopped, tus-checksum-algorithm, tus-extension, tus-max-size, tus-resumable, tus-version, upload-concat, \
     upload-defer-length, upload-expires, \
     upload-length, upload-metadata, upload-offset, www-authenticate, x-request-id",
);
/// Two hours, the maximum of Chromium.
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("7200");
const REQUESTED_METHOD: HeaderName = header::ACCESS_CONTROL_REQUEST_METHOD;
const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// Content policy of data: opened as a page, it loads nothing and cannot be framed.
const DATA_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
/// Directive that the build writes into a page's policy.
const NO_ANCESTORS: &str = "frame-ancestors 'none'";

/// Prepared header values of the configuration.
pub(super) struct SecurityPolicy {
    /// `frame-ancestors` of pages; `None`: framing is forbidden.
    ancestors: Option<String>,
    origins: Vec<HeaderValue>,
    hsts: Option<HeaderValue>,
}

/// Properties of a request that decide about the headers of its answer.
pub(super) struct Secured {
    /// Origin, if it is allowed.
    origin: Option<HeaderValue>,
    https: bool,
}

impl SecurityPolicy {
    pub(super) fn of(config: &Config) -> Arc<Self> {
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

    /// Origin of a request, if it is allowed.
    fn allowed_origin<'h>(&self, request: &'h HeaderMap) -> Option<&'h HeaderValue> {
        let origin = request.get(header::ORIGIN)?;
        self.origins.contains(origin).then_some(origin)
    }

    /// Reads what the headers of the answer depend on.
    pub(super) fn begin(&self, request: &HeaderMap) -> Secured {
        Secured {
            origin: self.allowed_origin(request).cloned(),
            https: is_https(request),
        }
    }

    /// Answer to a preflight request of an allowed origin. Other `OPTIONS` requests are part of tus.
    pub(super) fn preflight(&self, request: &Request) -> Option<Response> {
        let headers = request.headers();
        if request.method() != Method::OPTIONS
            || !headers.contains_key(REQUESTED_METHOD)
            || self.allowed_origin(headers).is_none()
        {
            return None;
        }
        let headers = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS),
            (header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS),
        ];
        Some((StatusCode::NO_CONTENT, headers).into_response())
    }

    /// Adds the headers to an answer.
    pub(super) fn add(&self, request: &Secured, response: &mut HeaderMap) {
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
            // Allowed origins may embed recordings; access is decided by the token.
            "cross-origin"
        };
        at_least(response, CORP, HeaderValue::from_static(corp));
        if let Some(hsts) = self.hsts.as_ref().filter(|_| request.https) {
            response.insert(header::STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
        self.frame(response);
        if self.origins.is_empty() {
            return;
        }
        response.append(header::VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = &request.origin {
            response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            response.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
        }
    }

    /// Adds the headers against framing.
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
            // A policy would prevent playback of a recording that is opened in a tab.
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

/// Whether the client uses HTTPS; the header is set by [`crate::http::layers::edge`].
pub(in crate::http) fn is_https(request: &HeaderMap) -> bool {
    request
        .get("x-forwarded-proto")
        .and_then(|proto| proto.to_str().ok())
        .is_some_and(|proto| proto.trim().eq_ignore_ascii_case("https"))
}
