//! Pages and files for viewers of share links, who have no account.
//!
//! Unknown, expired and revoked links, and links whose recording is deleted, have the same page and status. Until the
//! password is entered, nothing of the recording is sent.

use std::net::IpAddr;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use sortie_api::{ProblemCode, RecordingStatus, Via};

use super::page;
use crate::accounts::{OpenShare, PasswordError, ShareError, network};
use crate::db::{Action, Actor, AuditEvent, RecordingRow};
use crate::http::extract::caller::{check_form_origin, remote_address};
use crate::http::extract::json::read_body;
use crate::http::file::{self, Disposition, Sent, is_mp4_wanted};
use crate::http::resources::auth::{cookie, is_https, set_cookies};
use crate::http::resources::recordings::poster_of;
use crate::http::{ApiError, ApiResult, HttpState};

/// Cookie of viewers who have entered the password. Its path is that of the link.
const COOKIE: &str = "sortie_share";
/// Content policy of the pages: no scripts, nothing from other origins.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; media-src 'self'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

type Token = Result<Path<String>, PathRejection>;

#[derive(Deserialize)]
pub(super) struct PartQuery {
    part: Option<String>,
    format: Option<String>,
}

pub(super) async fn style() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=3600"),
    ];
    (headers, page::STYLE).into_response()
}

/// Shows the recording, or the form for the password.
pub(super) async fn show(
    State(state): State<HttpState>,
    token: Token,
    Query(query): Query<PartQuery>,
    parts: Parts,
) -> Response {
    let viewer = Viewer::new(&state, token, &parts);
    let shown = async {
        let share = viewer.open().await?;
        if !viewer.is_unlocked(&share) {
            return Ok(html(StatusCode::OK, page::form(&viewer.style(), None)));
        }
        let parts = state.database.parts().of(&[&share.recording.id]).await;
        let parts = parts.map_err(ShareError::Database)?;
        let playable: Vec<_> = std::iter::once(&share.recording)
            .chain(&parts)
            .filter(|row| row.status == RecordingStatus::Ready && !row.deleting)
            .filter(|row| shares_part(&share, row.part))
            .collect();
        let number = query.part.as_deref();
        let chosen = match number {
            None => 0,
            Some(number) => {
                let number = number.parse().ok();
                let position = playable.iter().position(|row| number == Some(row.part));
                position.ok_or(ShareError::Refused)?
            }
        };
        let address = state.config.public_path(&format!("/s/{}", viewer.token));
        let shown = page::recording(&viewer.style(), &address, &share, &playable, chosen);
        Ok(html(StatusCode::OK, shown))
    };
    viewer.answer(shown.await)
}

/// Checks the password of a form. The answer to a right one is a redirect to the page with a cookie.
pub(super) async fn unlock(
    State(state): State<HttpState>,
    token: Token,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let viewer = Viewer::new(&state, token, &parts);
    if let Err(error) = check_form_origin(&viewer.headers) {
        return viewer.secured(error.into_response());
    }
    let body = match read_body(Request::from_parts(parts, body), &state).await {
        Ok(body) => body,
        Err(error) => return viewer.secured(error.into_response()),
    };
    let mut fields = form_urlencoded::parse(&body);
    let password = fields.find(|(name, _)| name == "password");
    let password = password.map_or_else(String::new, |(_, value)| value.into_owned());
    if !viewer.is_enabled() {
        return viewer.answer(Err(ShareError::Refused));
    }
    let token = &viewer.token;
    let links = &state.accounts.share_links;
    let (value, life) = match links.unlock(token, password, viewer.address).await {
        Ok(unlocked) => unlocked,
        Err(ShareError::Refused) => {
            viewer.audit_denial().await;
            let form = page::form(&viewer.style(), Some(page::WRONG));
            return viewer.secured(html(StatusCode::FORBIDDEN, form));
        }
        Err(error) => return viewer.answer(Err(error)),
    };
    // The token is known, so the path has letters and digits only.
    let path = format!("/s/{token}");
    let secure = is_https(&viewer.headers);
    let mut headers = set_cookies([cookie(COOKIE, value, path.clone(), life, secure)]);
    if let Ok(location) = HeaderValue::from_str(&path) {
        headers.insert(header::LOCATION, location);
    }
    viewer.secured((StatusCode::SEE_OTHER, headers).into_response())
}

/// Serves the file. The first bytes that an address receives within an hour are a view.
pub(super) async fn file(
    State(state): State<HttpState>,
    token: Token,
    Query(query): Query<PartQuery>,
    method: Method,
    parts: Parts,
) -> Response {
    let viewer = Viewer::new(&state, token, &parts);
    let served = async {
        let (share, row) = viewer.open_part(query.part.as_deref()).await?;
        // The tag of the file must not reveal the ID of the recording.
        let shown = RecordingRow {
            id: format!("{}-{}", share.row.id, row.part),
            ..row
        };
        let format = query.format.as_deref();
        let served = viewer.serve(&share, &shown, &method, format).await;
        let response = match served {
            Ok(response) => response,
            Err(error) if error.code() == ProblemCode::NotReady => return Err(ShareError::Refused),
            Err(error) => return Ok(error.into_response()),
        };
        if response.extensions().get::<Sent>().is_some() {
            viewer.count_view(&share).await?;
        }
        Ok(response)
    };
    viewer.answer(served.await)
}

pub(super) async fn poster(
    State(state): State<HttpState>,
    token: Token,
    Query(query): Query<PartQuery>,
    parts: Parts,
) -> Response {
    let viewer = Viewer::new(&state, token, &parts);
    let served = async {
        let (share, row) = viewer.open_part(query.part.as_deref()).await?;
        // The picture may be of a moment outside of the range.
        if share.row.range.is_some() {
            return Err(ShareError::Refused);
        }
        let tag = format!("{}-{}", share.row.id, row.part);
        match poster_of(&state, &row, &tag, &viewer.headers).await {
            Ok(response) => Ok(response),
            Err(error) if error.code() == ProblemCode::NotFound => Err(ShareError::Refused),
            Err(error) => Ok(error.into_response()),
        }
    };
    viewer.answer(served.await)
}

/// Request of a viewer.
struct Viewer<'a> {
    state: &'a HttpState,
    /// Empty if the path is malformed.
    token: String,
    headers: HeaderMap,
    address: IpAddr,
}

impl<'a> Viewer<'a> {
    fn new(state: &'a HttpState, token: Token, parts: &Parts) -> Self {
        Self {
            state,
            token: token.map(|Path(token)| token).unwrap_or_default(),
            headers: parts.headers.clone(),
            address: remote_address(parts),
        }
    }

    fn is_enabled(&self) -> bool {
        self.state.config.recording_enabled && self.state.config.sharing_enabled
    }

    /// Address of the style sheet in browsers.
    fn style(&self) -> String {
        self.state.config.public_path("/s/style.css")
    }

    /// Returns the link, before its password.
    async fn open(&self) -> Result<OpenShare, ShareError> {
        if !self.is_enabled() {
            return Err(ShareError::Refused);
        }
        let links = &self.state.accounts.share_links;
        links.open(&self.token, self.address).await
    }

    fn is_unlocked(&self, share: &OpenShare) -> bool {
        // All cookies of the name: another host of the same domain may have set one.
        let headers = self.headers.get_all(header::COOKIE).iter();
        let cookies = headers.filter_map(|header| header.to_str().ok());
        let mut values = cookies
            .flat_map(|cookies| cookies.split(';'))
            .filter_map(|cookie| cookie.trim().split_once('='))
            .filter_map(|(name, value)| (name == COOKIE).then_some(value));
        let links = &self.state.accounts.share_links;
        share.row.password_hash.is_none()
            || values.any(|value| links.is_unlocked_by(&share.row, value))
    }

    /// Returns a part of the recording, if the viewer may see it.
    async fn open_part(&self, part: Option<&str>) -> Result<(OpenShare, RecordingRow), ShareError> {
        let share = self.open().await?;
        if !self.is_unlocked(&share) {
            return Err(ShareError::Refused);
        }
        let number = match (part, &share.row.range) {
            (None, None) => 1,
            (None, Some(range)) => range.part,
            (Some(number), _) => number.parse().map_err(|_| ShareError::Refused)?,
        };
        if !shares_part(&share, number) {
            return Err(ShareError::Refused);
        }
        let first = &share.recording;
        let row = match number {
            1 => Some(first.clone()),
            _ => {
                self.state
                    .database
                    .parts()
                    .numbered(&first.id, number)
                    .await?
            }
        };
        let row = row.filter(|row| !row.deleting);
        Ok((share, row.ok_or(ShareError::Refused)?))
    }

    /// Returns the file or the shared range of it, or a copy as MP4.
    async fn serve(
        &self,
        share: &OpenShare,
        row: &RecordingRow,
        method: &Method,
        format: Option<&str>,
    ) -> ApiResult<Response> {
        let (state, headers, inline) = (self.state, &self.headers, Disposition::Inline);
        let as_mp4 = is_mp4_wanted(format, headers, &row.format)?;
        if let Some(range) = &share.row.range {
            let clip = file::part(state, row, range.times_ms.clone(), as_mp4).await?;
            let filename = format!("Recording.{}", clip.container.extension());
            return file::send_clip(state, row, clip, method, headers, inline, &filename).await;
        }
        match as_mp4 {
            true => file::serve_mp4(state, row, method, headers, inline).await,
            false => file::serve(state, row, method, headers, inline).await,
        }
    }

    fn actor(&self) -> Actor {
        Actor {
            id: String::new(),
            name: String::new(),
            via: Via::Share,
            address: Some(self.address),
        }
    }

    /// Counts and audits a view, once for each link, address (or IPv6 /64) and hour. Fails if the link was revoked meanwhile.
    async fn count_view(&self, share: &OpenShare) -> Result<(), ShareError> {
        let (now_ms, views) = (self.state.clock.now_ms(), &self.state.caches.views);
        let (id, recording) = (&share.row.id, &share.recording.id);
        let viewer = format!("share {id} {}", network(self.address, 64));
        if !views.is_first(now_ms, &viewer, Action::View, recording) {
            return Ok(());
        }
        let (actor, detail) = (self.actor(), format!("share {id}"));
        let event = AuditEvent::done(&actor, Action::View, recording).detail(&detail);
        let counted = self.state.database.shares().count_view(id, now_ms, &event);
        let counted = counted.await;
        if !matches!(counted, Ok(true)) {
            views.forget(&viewer, Action::View, recording);
        }
        match counted? {
            true => Ok(()),
            false => Err(ShareError::Refused),
        }
    }

    /// Audits a wrong password of a link that exists.
    async fn audit_denial(&self) {
        if let Ok(share) = self.open().await {
            let detail = format!("share {}: wrong password", share.row.id);
            let (actor, recording) = (self.actor(), &share.recording.id);
            let state = self.state;
            state
                .audit_denial(&actor, Action::View, recording, &detail)
                .await;
        }
    }

    fn answer(&self, outcome: Result<Response, ShareError>) -> Response {
        let response = match outcome {
            Ok(response) => response,
            Err(error) => self.refusal(error),
        };
        self.secured(response)
    }

    fn refusal(&self, error: ShareError) -> Response {
        let style = self.style();
        let (status, seconds, text) = match error {
            ShareError::Refused => {
                return html(StatusCode::NOT_FOUND, page::unavailable(&style));
            }
            ShareError::Wait(wait) => {
                let seconds = wait.as_millis().div_ceil(1000);
                let text = page::wait(seconds);
                (StatusCode::TOO_MANY_REQUESTS, seconds, text)
            }
            ShareError::Password(PasswordError::Busy) => {
                let text = "The server is busy. Try again in a few seconds.".to_owned();
                (StatusCode::SERVICE_UNAVAILABLE, 3, text)
            }
            ShareError::Password(error) => return ApiError::from(error).into_response(),
            ShareError::Database(error) => return ApiError::from(error).into_response(),
            ShareError::Signing(error) => return ApiError::internal(error).into_response(),
        };
        let mut response = html(status, page::message(&style, "Try again later", &text));
        let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
        let seconds = HeaderValue::from(seconds);
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
        response
    }

    /// Adds the headers that every answer below `/s/` has: the address is a secret, and the answer depends on the cookie.
    fn secured(&self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        for (name, value) in [
            (ROBOTS, "noindex, nofollow"),
            (header::REFERRER_POLICY, "no-referrer"),
            (CORP, "same-origin"),
            (header::VARY, "Cookie, Accept"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let private = HeaderValue::from_static("no-store");
        headers.entry(header::CACHE_CONTROL).or_insert(private);
        response
    }
}

/// Whether a link shares a part, or a range of it.
fn shares_part(share: &OpenShare, number: i64) -> bool {
    let range = share.row.range.as_ref();
    range.is_none_or(|range| range.part == number)
}

const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");
const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

fn html(status: StatusCode, body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), microphone=(), display-capture=(), geolocation=()",
        ),
    ];
    (status, headers, body).into_response()
}
