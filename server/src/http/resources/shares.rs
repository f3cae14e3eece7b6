//! Share links: `/api/recordings/{id}/shares`, and the pages of their viewers below `/s/`.

mod page;
mod viewer;

use std::fmt::Write as _;
use std::ops::Range;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sortie_api::{CreatedShare, NewShare, ProblemCode, Share};

use super::recordings::{allowed, check_span, no_such_recording};
use super::users::check_password;
use crate::accounts::ShareLinks;
use crate::clock::rfc3339;
use crate::db::{RecordingRow, SHARES_MAX, ShareInsertion, ShareRow, SharedRange};
use crate::http::extract::caller::Caller;
use crate::http::extract::json::OptionalJsonBody;
use crate::http::extract::query;
use crate::http::file;
use crate::http::routes::{Routes, routes};
use crate::http::{ApiError, ApiResult, HttpState, public_address};

/// Lifetime in seconds if the request names none: a week.
const LIFE_DEFAULT: u32 = 7 * 24 * 60 * 60;
const LIFE_MIN: u32 = 60;
/// A year.
const LIFE_MAX: u32 = 365 * 24 * 60 * 60;
/// Characters of a label.
const LABEL_MAX: usize = 100;

pub(in crate::http) fn routes() -> Routes {
    routes! {
        GET "/api/recordings/{id}/shares" => list,
        POST "/api/recordings/{id}/shares" => create,
        DELETE "/api/recordings/{id}/shares/{share}" => revoke,
    }
}

/// Pages for viewers.
pub(in crate::http) fn pages() -> Routes {
    routes! {
        GET "/s/style.css" => viewer::style,
        GET "/s/{token}" => viewer::show,
        POST "/s/{token}" => viewer::unlock,
        GET "/s/{token}/file" => viewer::file,
        GET "/s/{token}/poster" => viewer::poster,
    }
}

async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Response> {
    let recording_id = first_part(&state, &caller, &id).await?;
    let now_ms = state.clock.now_ms();
    let rows = state.database.shares().of(&recording_id, now_ms).await?;
    let shares: Vec<_> = rows.into_iter().map(share).collect();
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(shares)).into_response())
}

async fn create(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    OptionalJsonBody(new): OptionalJsonBody<NewShare>,
) -> ApiResult<Response> {
    let recording = allowed(&state, &caller, &id).await?;
    let seconds = life(new.expires_in, LIFE_DEFAULT, LIFE_MAX)?;
    let label = new.label.trim();
    if label.chars().count() > LABEL_MAX || label.chars().any(char::is_control) {
        return Err(ApiError::invalid(format!(
            "label must have at most {LABEL_MAX} characters, and no control characters."
        )));
    }
    let range = match (new.start_ms, new.end_ms) {
        (None, None) => None,
        (Some(start_ms), Some(end_ms)) => {
            Some(shared_range(&state, &recording, start_ms..end_ms).await?)
        }
        _ => {
            return Err(ApiError::invalid(
                "Give both start_ms and end_ms, or neither.",
            ));
        }
    };
    let password_hash = match new.password {
        None => None,
        Some(password) => {
            check_password(&password)?;
            Some(state.accounts.passwords.hash(password).await?)
        }
    };
    let (token, token_hash) = ShareLinks::new_token().map_err(ApiError::internal)?;
    let created_ms = state.clock.now_ms();
    let row = ShareRow {
        id: uuid::Uuid::now_v7().to_string(),
        recording_id: first_id(recording),
        creator_id: caller.user_id.clone(),
        token_hash,
        password_hash,
        label: label.to_owned(),
        created_ms,
        expires_ms: created_ms.saturating_add(i64::from(seconds) * 1000),
        views: 0,
        last_viewed_ms: None,
        range,
        creator: caller.username.clone(),
        creator_roles: Vec::new(),
    };
    // Without the label, which may be personal data.
    let mut detail = format!("share {}, until {}", row.id, rfc3339(row.expires_ms));
    if row.password_hash.is_some() {
        detail += ", with a password";
    }
    if let Some(range) = &row.range {
        let times_ms = &range.times_ms;
        let _ = write!(
            detail,
            ", part {}, {}–{} ms",
            range.part, times_ms.start, times_ms.end
        );
    }
    let (shares, actor) = (state.database.shares(), caller.actor());
    match shares.insert(&row, &actor, &detail).await? {
        ShareInsertion::Done => {}
        ShareInsertion::Gone => return Err(no_such_recording()),
        ShareInsertion::SignedOut => {
            return Err(ApiError::unauthenticated(
                "Your sign-in has ended. Sign in again.",
            ));
        }
        ShareInsertion::TooMany => {
            return Err(ApiError::new(
                ProblemCode::Conflict,
                format!("This recording has {SHARES_MAX} share links. Revoke one first."),
            ));
        }
    }
    let path = format!("/s/{token}");
    let created = CreatedShare {
        info: share(row),
        url: public_address::absolute(&state.config, &headers, &path),
    };
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::CREATED, no_store, Json(created)).into_response())
}

async fn revoke(
    State(state): State<HttpState>,
    caller: Caller,
    Path((id, share_id)): Path<(String, String)>,
) -> ApiResult<StatusCode> {
    let recording_id = first_part(&state, &caller, &id).await?;
    let (shares, now_ms) = (state.database.shares(), state.clock.now_ms());
    let revoked = query::can_be_id(&share_id)
        && shares
            .delete(&recording_id, &share_id, &caller.actor(), now_ms)
            .await?;
    match revoked {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::not_found(
            "This share link does not exist. It may have been revoked.",
        )),
    }
}

/// Returns the lifetime in seconds of an address that works without a sign-in.
pub(in crate::http) fn life(expires_in: Option<u32>, default: u32, longest: u32) -> ApiResult<u32> {
    let seconds = expires_in.unwrap_or(default);
    if (LIFE_MIN..=longest).contains(&seconds) {
        return Ok(seconds);
    }
    Err(ApiError::invalid(format!(
        "expires_in must be a whole number of seconds from {LIFE_MIN} to {longest}."
    )))
}

/// Returns the ID of the first part of a recording that the caller may access: all parts are shared together.
async fn first_part(state: &HttpState, caller: &Caller, id: &str) -> ApiResult<String> {
    Ok(first_id(allowed(state, caller, id).await?))
}

fn first_id(row: RecordingRow) -> String {
    row.part_of.unwrap_or(row.id)
}

/// Returns what a link shares of a part, which must be ready: from a keyframe on, like a clip.
async fn shared_range(
    state: &HttpState,
    row: &RecordingRow,
    times_ms: Range<u64>,
) -> ApiResult<SharedRange> {
    check_span(&times_ms)?;
    let clip = file::part(state, row, times_ms, false).await?;
    Ok(SharedRange {
        part: row.part,
        times_ms: clip.start_ms..clip.end_ms,
    })
}

fn share(row: ShareRow) -> Share {
    let range = row.range.as_ref();
    Share {
        part: range.and_then(|range| u32::try_from(range.part).ok()),
        start_ms: range.map(|range| range.times_ms.start),
        end_ms: range.map(|range| range.times_ms.end),
        id: row.id,
        recording_id: row.recording_id,
        label: row.label,
        created_by: row.creator,
        created_at: rfc3339(row.created_ms),
        expires_at: rfc3339(row.expires_ms),
        has_password: row.password_hash.is_some(),
        views: row.views.unsigned_abs(),
        last_viewed_at: row.last_viewed_ms.map(rfc3339),
    }
}
