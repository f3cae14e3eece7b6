//! Access to a recording by its ID.

use sortie_api::{ProblemCode, RecordingStatus};

use super::growing;
use crate::db::{Action, RecordingRow, SessionRow, UploadKind};
use crate::http::extract::caller::Caller;
use crate::http::extract::query;
use crate::http::{ApiError, ApiResult, HttpState};

/// Returns the ID of the first part of the recording that a new recording of this session continues.
pub(in crate::http) async fn continued(
    state: &HttpState,
    caller: &Caller,
    session: &SessionRow,
    id: &str,
) -> ApiResult<String> {
    let row = allowed(state, caller, id).await?;
    if row.session_id != session.id || row.deleting || row.status == RecordingStatus::Trashed {
        return Err(ApiError::not_found(
            "The recording to continue does not exist in this session. Start a new recording.",
        ));
    }
    if row.user_id != session.user_id {
        return Err(ApiError::new(
            ProblemCode::Conflict,
            "The recording to continue belongs to another user than the session. Start a new recording.",
        ));
    }
    Ok(row.part_of.unwrap_or(row.id))
}

/// Returns a recording that the caller may access.
pub(in crate::http) async fn allowed(
    state: &HttpState,
    caller: &Caller,
    id: &str,
) -> ApiResult<RecordingRow> {
    let row = owned(state, caller, id).await?;
    if row.kind == UploadKind::Partial {
        return Err(no_such_recording());
    }
    Ok(row)
}

pub(in crate::http) fn no_such_recording() -> ApiError {
    ApiError::not_found("This recording does not exist. It may have been deleted.")
}

/// Returns an upload, recording or partial, that the caller may access.
pub(in crate::http) async fn owned(
    state: &HttpState,
    caller: &Caller,
    id: &str,
) -> ApiResult<RecordingRow> {
    let found = match query::can_be_id(id) {
        true => state.database.recordings().get(id).await?,
        false => None,
    };
    let Some(row) = found else {
        return Err(match growing::find(state, caller, id).await? {
            Some(_) => growing::in_progress(),
            None => no_such_recording(),
        });
    };
    if !caller.may_access(&row.user_id)
        || !caller.reaches_session(&row.session_id)
        || !caller.reaches_recording(&row.id)
    {
        state
            .audit_denial(&caller.actor(), Action::Access, id, "")
            .await;
        return Err(ApiError::forbidden(
            "This recording belongs to another user.",
        ));
    }
    Ok(row)
}
