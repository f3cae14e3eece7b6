//! Download, stream and raw download of a recording.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method};
use axum::response::Response;

use super::access::allowed;
use crate::db::{Action, AuditEvent};
use crate::http::extract::caller::Caller;
use crate::http::file::{self, Disposition, Sent};
use crate::http::{ApiResult, HttpState};

/// Serves a recording and writes an audit row: for each download of the whole file, else once for each user, recording
/// and hour, regardless of ranges.
pub(super) async fn serve(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
    disposition: Disposition,
) -> ApiResult<Response> {
    let row = allowed(&state, &caller, &id).await?;
    let response = file::serve(&state, &row, &method, &headers, disposition).await?;
    if let Some(sent) = response.extensions().get::<Sent>() {
        let action = match disposition {
            Disposition::Inline => Action::View,
            Disposition::Attachment | Disposition::Raw => Action::Download,
        };
        let now_ms = state.clock.now_ms();
        let is_first = state
            .caches
            .views
            .is_first(now_ms, &caller.user_id, action, &row.id);
        if is_first || (action == Action::Download && *sent == Sent::Whole) {
            let actor = caller.actor();
            let event = AuditEvent::done(&actor, action, &row.id);
            if let Err(error) = state.database.audit().append(now_ms, &event).await {
                state.caches.views.forget(&caller.user_id, action, &row.id);
                return Err(error.into());
            }
        }
    }
    Ok(response)
}
