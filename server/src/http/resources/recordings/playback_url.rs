//! Playback URLs: `/api/recordings/{id}/playback-url`.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sortie_api::{NewPlaybackUrl, PlaybackUrl};

use super::access::allowed;
use crate::clock::rfc3339;
use crate::db::{Action, AuditEvent};
use crate::http::extract::caller::{Caller, PLAYBACK};
use crate::http::extract::json::OptionalJsonBody;
use crate::http::file::{self, Disposition};
use crate::http::resources::shares::life;
use crate::http::{ApiError, ApiResult, HttpState, public_address};

/// Lifetime in seconds if the request names none.
const LIFE_DEFAULT: u32 = 60 * 60;
const LIFE_MAX: u32 = 24 * 60 * 60;

/// Creates a playback URL for a recording that can be played.
pub(super) async fn create(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    OptionalJsonBody(new): OptionalJsonBody<NewPlaybackUrl>,
) -> ApiResult<Response> {
    let row = allowed(&state, &caller, &id).await?;
    let seconds = life(new.expires_in, LIFE_DEFAULT, LIFE_MAX)?;
    file::check_state(&row, Disposition::Inline)?;
    let user = state.database.users().get(&caller.user_id).await?;
    let user = user.ok_or_else(|| ApiError::unauthenticated("Sign in first."))?;
    let life = Duration::from_secs(seconds.into());
    let playback_urls = &state.accounts.playback_urls;
    let (token, expires_ms) = playback_urls.issue(&user, &row.id, life)?;
    let (actor, expires_at) = (caller.actor(), rfc3339(expires_ms));
    let detail = format!("until {expires_at}");
    let event = AuditEvent::done(&actor, Action::PlaybackUrlCreate, &row.id).detail(&detail);
    state.audit(&event).await?;
    let path = format!("/api/recordings/{}/stream?{PLAYBACK}={token}", row.id);
    let created = PlaybackUrl {
        url: public_address::absolute(&state.config, &headers, &path),
        expires_at,
    };
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::CREATED, no_store, Json(created)).into_response())
}
