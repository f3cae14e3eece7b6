//! Live picture of the input: a single JPEG, or an endless sequence of them.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use serde::Deserialize;
use sortie_api::ProblemCode;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::{SUBJECT, recorder};
use crate::http::extract::caller::Caller;
use crate::http::extract::query;
use crate::http::resources::recordings::audit_view;
use crate::http::{ApiError, ApiResult, HttpState};
use crate::live_picture::{NoPicture, Viewer};

/// Interval at which the viewer's credential is checked again.
const CHECK_EVERY: Duration = Duration::from_secs(30);
const MULTIPART: &str = "multipart/x-mixed-replace";
const MULTIPART_TYPE: HeaderValue =
    HeaderValue::from_static("multipart/x-mixed-replace; boundary=sortie-picture");
const FIRST_BOUNDARY: Bytes = Bytes::from_static(b"--sortie-picture\r\n");
/// Sent right after each frame: a browser shows a frame when its end has arrived.
const BOUNDARY: Bytes = Bytes::from_static(b"\r\n--sortie-picture\r\n");

#[derive(Deserialize)]
pub(super) struct PictureQuery {
    stream: Option<String>,
}

/// Returns the current frame or streams frames, and writes an audit row for the view.
pub(super) async fn show(
    State(state): State<HttpState>,
    caller: Caller,
    Query(query): Query<PictureQuery>,
    method: Method,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let is_stream = match query.stream.as_deref() {
        None => is_stream_accepted(&headers),
        text => query::flag("stream", text)?,
    };
    let mut viewer = recorder(&state)?.picture().watch()?;
    // A stream waits as well, so that a missing picture is a problem and no empty stream.
    let first = viewer.next().await?;
    audit_view(&state, &caller, SUBJECT).await?;
    let (media_type, body) = match is_stream {
        false => (HeaderValue::from_static("image/jpeg"), Body::from(first)),
        true if method == Method::HEAD => (MULTIPART_TYPE, Body::empty()),
        true => {
            let frames = frames(first, viewer, state, caller);
            let parts = frames.flat_map(|jpeg| stream::iter(part(jpeg)));
            let body = stream::iter([FIRST_BOUNDARY]).chain(parts);
            let body = body.map(Ok::<_, std::convert::Infallible>);
            (MULTIPART_TYPE, Body::from_stream(body))
        }
    };
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::VARY, HeaderValue::from_static("accept")),
        // Turns off nginx's buffering of the answer.
        (
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    Ok((headers, body).into_response())
}

/// Whether `Accept` names the type of the stream. Ranges such as `*/*` do not: every client sends them.
fn is_stream_accepted(request: &HeaderMap) -> bool {
    let fields = request.get_all(header::ACCEPT).iter();
    let fields = fields.filter_map(|field| field.to_str().ok());
    fields.flat_map(|field| field.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_named = parts
            .next()
            .is_some_and(|it| it.eq_ignore_ascii_case(MULTIPART));
        let is_refused = parts.any(|part| {
            let quality = part.split_once('=');
            quality.is_some_and(|(name, value)| {
                name.trim().eq_ignore_ascii_case("q") && value.trim().parse() == Ok(0.0)
            })
        });
        is_named && !is_refused
    })
}

/// Frames until there is no picture or the caller's credential is no longer valid.
fn frames(
    first: Bytes,
    viewer: Viewer,
    state: HttpState,
    caller: Caller,
) -> impl Stream<Item = Bytes> {
    let mut checks = tokio::time::interval_at(Instant::now() + CHECK_EVERY, CHECK_EVERY);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let later = stream::unfold((viewer, checks), move |(mut viewer, mut checks)| {
        let (state, caller) = (state.clone(), caller.clone());
        async move {
            let next = next(&mut viewer, &mut checks, &state, &caller).await?;
            Some((next, (viewer, checks)))
        }
    });
    stream::iter([first]).chain(later)
}

async fn next(
    viewer: &mut Viewer,
    checks: &mut Interval,
    state: &HttpState,
    caller: &Caller,
) -> Option<Bytes> {
    loop {
        tokio::select! {
            biased;
            _ = checks.tick() => caller.check_again(state).await.ok()?,
            next = viewer.next() => return next.ok(),
        }
    }
}

/// Part of the stream behind a boundary. The frame itself is shared by all viewers.
fn part(jpeg: Bytes) -> [Bytes; 3] {
    let length = jpeg.len();
    let head = format!("Content-Type: image/jpeg\r\nContent-Length: {length}\r\n\r\n");
    [head.into(), jpeg, BOUNDARY]
}

impl From<NoPicture> for ApiError {
    fn from(reason: NoPicture) -> Self {
        let retry = |seconds| (header::RETRY_AFTER, HeaderValue::from_static(seconds));
        match reason {
            NoPicture::Unavailable(reason) => {
                Self::new(ProblemCode::Conflict, format!("No picture: {reason}"))
            }
            NoPicture::Late => {
                let (name, value) = retry("1");
                let detail = format!("No picture: {reason}. Try again in a moment.");
                Self::new(ProblemCode::Unavailable, detail).with_header(name, value)
            }
            NoPicture::TooManyViewers => {
                let (name, value) = retry("10");
                let detail = format!("No picture: {reason}. Close pages that show it.");
                Self::new(ProblemCode::Unavailable, detail).with_header(name, value)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accept: &[&'static str], expected: bool) {
        let mut request = HeaderMap::new();
        for value in accept {
            request.append(header::ACCEPT, HeaderValue::from_static(value));
        }
        assert_eq!(is_stream_accepted(&request), expected, "{accept:?}");
    }

    #[test]
    fn accept_selects_stream_only_by_its_name() {
        check(&[], false);
        check(&["*/*"], false);
        check(&["image/avif,image/webp,*/*;q=0.8"], false);
        check(&["multipart/*"], false);
        check(&["multipart/x-mixed-replace"], true);
        check(
            &["image/jpeg;q=0.1", "Multipart/X-Mixed-Replace; q=0.9"],
            true,
        );
        check(&["multipart/x-mixed-replace;q=0, image/jpeg"], false);
    }
}
