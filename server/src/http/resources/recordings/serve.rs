//! Download, stream and raw download of a recording.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::response::Response;
use serde::Deserialize;

use super::access::allowed;
use crate::db::{Action, AuditEvent};
use crate::http::extract::caller::{Caller, Via};
use crate::http::file::{self, Disposition, Sent, is_mp4_wanted};
use crate::http::{ApiResult, HttpState};

const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Query of a download.
#[derive(Default, Deserialize)]
pub(super) struct FormatQuery {
    format: Option<String>,
}

/// Serves a recording and writes an audit row: for each download of the whole file, else once for each user, recording
/// and hour, regardless of ranges.
pub(super) async fn serve(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
    query: FormatQuery,
    disposition: Disposition,
) -> ApiResult<Response> {
    let row = allowed(&state, &caller, &id).await?;
    let as_mp4 = disposition != Disposition::Raw
        && is_mp4_wanted(query.format.as_deref(), &headers, &row.format)?;
    let mut response = match as_mp4 {
        true => file::serve_mp4(&state, &row, &method, &headers, disposition).await?,
        false => file::serve(&state, &row, &method, &headers, disposition).await?,
    };
    if disposition != Disposition::Raw {
        let accept = HeaderValue::from_static("Accept");
        response.headers_mut().append(header::VARY, accept);
    }
    if caller.via == Via::Playback {
        // The token decides, so pages of every site may embed the file. Its address is a secret.
        let headers = response.headers_mut();
        headers.insert(CORP, HeaderValue::from_static("cross-origin"));
        let no_referrer = HeaderValue::from_static("no-referrer");
        headers.insert(header::REFERRER_POLICY, no_referrer);
    }
    if let Some(sent) = response.extensions().get::<Sent>() {
        let action = match disposition {
            Disposition::Inline => Action::View,
            Disposition::Attachment | Disposition::Raw => Action::Download,
        };
        let is_whole = action == Action::Download && *sent == Sent::Whole;
        audit(&state, &caller, action, &row.id, "", is_whole).await?;
    }
    Ok(response)
}

/// Writes an audit row for a view, once for each user, recording and hour.
pub(in crate::http::resources) async fn audit_view(
    state: &HttpState,
    caller: &Caller,
    id: &str,
) -> ApiResult<()> {
    audit(state, caller, Action::View, id, "", false).await
}

/// Writes an audit row for a complete answer, and for others with the same detail once an hour.
pub(super) async fn audit(
    state: &HttpState,
    caller: &Caller,
    action: Action,
    id: &str,
    detail: &str,
    is_whole: bool,
) -> ApiResult<()> {
    let now_ms = state.clock.now_ms();
    let views = &state.caches.views;
    let viewed = format!("{id} {detail}");
    if views.is_first(now_ms, &caller.user_id, action, &viewed) || is_whole {
        let actor = caller.actor();
        let event = AuditEvent::done(&actor, action, id).detail(detail);
        if let Err(error) = state.database.audit().append(now_ms, &event).await {
            views.forget(&caller.user_id, action, &viewed);
            return Err(error.into());
        }
    }
    Ok(())
}
