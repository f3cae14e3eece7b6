//! Recordings: `/api/recordings`, `/api/admin/recordings` and `/api/sessions/{id}/recording`.

mod access;
mod activity;
mod clip;
mod deletion;
mod form;
mod growing;
mod list;
mod live;
mod markers;
mod moment;
mod new;
mod pictures;
mod playback_url;
mod present;
mod serve;
mod session;

use axum::Json;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sortie_api::{Recording, RecordingUpdate};

use super::{sessions, storage};
use crate::db::{Changed, Editor, LibraryChange, RecordingChange, RecordingRow};
use crate::http::extract::caller::Caller;
use crate::http::extract::json::JsonBody;
use crate::http::file::{Disposition, has_visible, is_deceptive};
use crate::http::routes::{Routes, routes};
use crate::http::{ApiError, ApiResult, HttpState};
use crate::labels::{Labels, LabelsChange};
use crate::tags;
use crate::uploads::with_extension;
pub(in crate::http) use access::{allowed, continued, no_such_recording, owned};
pub(in crate::http) use clip::check_span;
pub(in crate::http) use deletion::{check_forwarded, deletion_detail, unforwarded};
pub(in crate::http) use new::new_row;
pub(in crate::http) use pictures::poster_of;
pub(in crate::http) use present::with_parts;
pub(in crate::http::resources) use serve::audit_view;
use serve::{FormatQuery, serve};

pub(in crate::http) fn routes() -> Routes {
    routes! { POST "/api/sessions/{id}/recording/upload" => session::upload }
        .layer(DefaultBodyLimit::disable())
        .merge(routes! {
            POST "/api/sessions/{id}/recording/start" => session::start,
            POST "/api/sessions/{id}/recording/stop" => session::stop,
            GET "/api/recordings" => list::list,
            GET "/api/admin/recordings" => list::list_all,
            GET "/api/recordings/count" => list::count,
            GET "/api/admin/recordings/count" => list::count_all,
            POST "/api/recordings/delete" => deletion::delete_many,
            GET "/api/recordings/{id}" => show,
            PATCH "/api/recordings/{id}" => update,
            DELETE "/api/recordings/{id}" => deletion::delete,
            POST "/api/recordings/{id}/restore" => deletion::restore,
            GET "/api/recordings/{id}/activity" => activity::show,
            GET "/api/recordings/{id}/clip" => clip::clip,
            GET "/api/recordings/{id}/index" => clip::index,
            GET "/api/recordings/{id}/markers" => markers::list,
            POST "/api/recordings/{id}/markers" => markers::create,
            GET "/api/recordings/{id}/markers.vtt" => markers::chapters,
            PATCH "/api/recordings/{id}/markers/{marker}" => markers::update,
            DELETE "/api/recordings/{id}/markers/{marker}" => markers::delete,
            POST "/api/recordings/{id}/pictures" => pictures::create,
            GET "/api/recordings/{id}/pictures/{at_ms}" => pictures::show,
            GET "/api/recordings/{id}/poster" => pictures::poster,
            GET "/api/recordings/{id}/storyboard.vtt" => pictures::storyboard,
            POST "/api/recordings/{id}/viewed" => view,
            DELETE "/api/recordings/{id}/viewed" => forget_view,
            GET "/api/recordings/{id}/download" => |state, caller, id, method, headers, Query(query)| {
                serve(state, caller, id, method, headers, query, Disposition::Attachment)
            },
            GET "/api/recordings/{id}/stream" => |state, caller, id, method, headers, Query(query)| {
                serve(state, caller, id, method, headers, query, Disposition::Inline)
            },
            POST "/api/recordings/{id}/playback-url" => playback_url::create,
            GET "/api/recordings/{id}/live" => live::watch,
            GET "/api/recordings/{id}/raw" => |state, caller, id, method, headers| {
                serve(state, caller, id, method, headers, FormatQuery::default(), Disposition::Raw)
            },
        })
}

async fn show(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Response> {
    let shown = match growing::find(&state, &caller, &id).await? {
        Some(growing) => growing::present(&state, growing).await?,
        None => {
            let row = allowed(&state, &caller, &id).await?;
            present::in_full(&state, &caller, row).await?
        }
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(shown)).into_response())
}

async fn update(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(update): JsonBody<RecordingUpdate>,
) -> ApiResult<Json<Recording>> {
    let row = allowed(&state, &caller, &id).await?;
    let labels = LabelsChange {
        external_id: update.external_id,
        metadata: update.metadata,
    };
    Labels::default().changed(labels.clone())?;
    let filename = update.filename.as_deref();
    let filename = filename.map(|name| renamed(&row, name)).transpose()?;
    let change = RecordingChange {
        protected: update.protected.filter(|it| *it != row.protected),
        filename: filename.as_deref().filter(|it| *it != row.filename),
        labels,
        library: LibraryChange {
            title: match update.title {
                Some(Some(title)) => Some(Some(tags::checked_title(&title)?)),
                other => other,
            },
            tags: update.tags.map(tags::checked_tags).transpose()?,
        },
    };
    let limit = match change.protected {
        Some(true) if !caller.is_admin() => storage::protected_limit(&state),
        _ => None,
    };
    let (actor, now_ms) = (caller.actor(), state.clock.now_ms());
    let editor = Editor {
        actor: &actor,
        is_admin: caller.is_admin(),
    };
    let recordings = state.database.recordings();
    match recordings
        .change(&row, &change, limit, editor, now_ms)
        .await?
    {
        Changed::Done => {}
        Changed::Gone => return Err(no_such_recording()),
        Changed::OverQuota => {
            return Err(ApiError::protection_over_quota(
                limit.map_or(0, |limit| limit.bytes),
            ));
        }
        Changed::Locked(name) => return Err(sessions::set_by_administrator(name)),
    }
    let row = allowed(&state, &caller, &id).await?;
    Ok(Json(present::in_full(&state, &caller, row).await?))
}

/// Marks a recording as watched by the caller. Not audited: playback is.
async fn view(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    set_viewed(&state, &caller, &id, true).await
}

async fn forget_view(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    set_viewed(&state, &caller, &id, false).await
}

async fn set_viewed(
    state: &HttpState,
    caller: &Caller,
    id: &str,
    viewed: bool,
) -> ApiResult<StatusCode> {
    let row = allowed(state, caller, id).await?;
    let (views, now_ms) = (state.database.views(), state.clock.now_ms());
    views.set(&caller.user_id, &row.id, viewed, now_ms).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Checks a new file name and sets the extension of the format, once that is known.
fn renamed(row: &RecordingRow, name: &str) -> ApiResult<String> {
    check_filename(name)?;
    Ok(match row.format.as_str() {
        "" => name.to_owned(),
        format => with_extension(name, format),
    })
}

fn check_filename(name: &str) -> ApiResult<()> {
    let length = name.chars().count();
    if (1..=200).contains(&length)
        && name.trim() == name
        && !name.starts_with('.')
        && !name.contains(['/', '\\'])
        && has_visible(name)
        && !name.chars().any(|c| c.is_control() || is_deceptive(c))
    {
        return Ok(());
    }
    Err(ApiError::invalid(
        "filename must have 1 to 200 characters, no / or \\, no control characters, no invisible characters, no bidirectional \
         controls, no leading dot, and no leading or trailing white space.",
    ))
}
