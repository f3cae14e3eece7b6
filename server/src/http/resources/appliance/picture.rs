//! Live picture of the input: a single JPEG, or an endless sequence of them.

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::future::ready;
use futures_util::{Stream, StreamExt as _, stream};
use serde::Deserialize;
use sortie_api::ProblemCode;

use super::{SUBJECT, recorder};
use crate::http::extract::caller::Caller;
use crate::http::extract::checked_stream::checked;
use crate::http::extract::query;
use crate::http::file::is_named;
use crate::http::resources::recordings::audit_view;
use crate::http::{ApiError, ApiResult, HttpState, UNBUFFERED};
use crate::live_picture::{NoPicture, Viewer};

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
        None => is_named(&headers, MULTIPART),
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
        UNBUFFERED,
    ];
    Ok((headers, body).into_response())
}

/// Frames until there is no picture or the caller's credential is no longer valid.
fn frames(
    first: Bytes,
    viewer: Viewer,
    state: HttpState,
    caller: Caller,
) -> impl Stream<Item = Bytes> {
    let later = stream::unfold(viewer, async |mut viewer| {
        Some((viewer.next().await.ok()?, viewer))
    });
    let later = checked(Box::pin(later), state, caller).map(Result::ok);
    let later = later
        .take_while(|jpeg| ready(jpeg.is_some()))
        .filter_map(ready);
    stream::iter([first]).chain(later)
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
        assert_eq!(is_named(&request, MULTIPART), expected, "{accept:?}");
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
