//! Request IDs and the log line of each request.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::{HeaderValue, Request};
use axum::response::Response;
use tower_http::request_id::{MakeRequestId, RequestId};
use tracing::Span;

/// Generator of request IDs.
#[derive(Clone, Copy)]
pub(in crate::http) struct NewRequestId;

impl MakeRequestId for NewRequestId {
    fn make_request_id<B>(&mut self, _: &Request<B>) -> Option<RequestId> {
        HeaderValue::from_str(&uuid::Uuid::now_v7().simple().to_string())
            .ok()
            .map(RequestId::new)
    }
}

/// Extension of an answer that is logged at the level debug: each recording sends a PATCH a second.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Routine;

/// Start of the paths of share links; the token follows.
const SHARES: &str = "/s/";

/// Path of a request for logs and traces: without the tokens of share links, which are passwords. The query is never
/// logged, for the same reason.
pub(in crate::http) fn loggable_path(path: &str) -> Cow<'_, str> {
    let Some((before, token)) = path.split_once(SHARES) else {
        return Cow::Borrowed(path);
    };
    // Known paths behind the token; anything else could be a token, too.
    let rest = match token.split_once('/') {
        Some((_, "file")) => "/file",
        Some((_, "poster")) => "/poster",
        _ => "",
    };
    Cow::Owned(format!("{before}{SHARES}…{rest}"))
}

/// Span of a request.
pub(in crate::http) fn span<B>(request: &Request<B>) -> Span {
    let id = request
        .headers()
        .get("x-request-id")
        .and_then(|id| id.to_str().ok());
    tracing::info_span!(
        "request",
        id = id.unwrap_or_default(),
        method = %request.method(),
        path = &*loggable_path(request.uri().path()),
    )
}

pub(in crate::http) fn log_response(response: &Response, latency: Duration, _: &Span) {
    let status = response.status().as_u16();
    let ms = latency.as_millis();
    if response.extensions().get::<Routine>().is_some() {
        tracing::debug!(status, ms, "answered {status} in {ms} ms");
    } else {
        tracing::info!(status, ms, "answered {status} in {ms} ms");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_of_a_share_link_is_not_logged() {
        for (path, expected) in [
            ("/api/recordings/1", "/api/recordings/1"),
            ("/s/Secret", "/s/…"),
            ("/s/Secret/", "/s/…"),
            ("/s/Secret/file", "/s/…/file"),
            ("/s/Secret/poster", "/s/…/poster"),
            ("/s/Secret/other", "/s/…"),
            ("/s//Secret/file", "/s/…"),
            ("/s/s/Secret", "/s/…"),
            ("/record/s/Secret/file", "/record/s/…/file"),
            ("//s/Secret", "//s/…"),
            ("/s", "/s"),
        ] {
            assert_eq!(loggable_path(path), expected, "{path}");
        }
    }
}
