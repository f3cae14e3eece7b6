//! Deletion of one or many recordings.

use std::collections::HashSet;
use std::vec;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use sortie_api::{
    DeleteRecordings, DeletionStatus, ProblemCode, Recording, RecordingDeletion, RecordingQuery,
    Unforwarded,
};

use super::access::allowed;
use super::list;
use super::present::in_full;
use crate::db::{DatabaseError, List, Position, RecordingRow};
use crate::http::extract::caller::Caller;
use crate::http::extract::json::JsonBody;
use crate::http::{ApiError, ApiResult, HttpState, UNBUFFERED};

/// Largest number of IDs of one request.
const IDS_MAX: usize = 1000;
/// Largest number of recordings that a filter deletes in one request.
const MATCHING_MAX: u32 = 10_000;
/// Rows read at a time while a filter is applied.
const PAGE: u32 = 500;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Detail in the audit log of the deletion of a recording that the central server does not have.
const DELETED_UNFORWARDED: &str = "the central server had not confirmed it (unforwarded=delete)";
/// Shortest time in the trash of a recording whose retention period is over.
const UNDO_MS: i64 = 60 * 60 * 1000;

#[derive(Deserialize)]
pub(super) struct DeleteQuery {
    unforwarded: Option<String>,
    permanently: Option<String>,
}

/// How recordings are deleted.
#[derive(Clone, Copy)]
struct Manner {
    unforwarded: Unforwarded,
    /// Not into the trash.
    permanently: bool,
}

pub(super) async fn delete(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<DeleteQuery>,
) -> ApiResult<StatusCode> {
    let unforwarded = unforwarded(query.unforwarded.as_deref())?;
    let permanently = match query.permanently.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(ApiError::invalid("permanently must be true or false.")),
    };
    let manner = Manner {
        unforwarded,
        permanently,
    };
    delete_one(&state, &caller, &id, manner).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Parses the query parameter `unforwarded`.
pub(in crate::http) fn unforwarded(value: Option<&str>) -> ApiResult<Unforwarded> {
    match value {
        None | Some("keep") => Ok(Unforwarded::Keep),
        Some("delete") => Ok(Unforwarded::Delete),
        Some(_) => Err(ApiError::invalid("unforwarded must be keep or delete.")),
    }
}

/// Restores a recording from the trash.
pub(super) async fn restore(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<Recording>> {
    let row = allowed(&state, &caller, &id).await?;
    let (trash, actor) = (state.database.trash(), caller.actor());
    let restored = trash.restore(&row.id, &actor, state.clock.now_ms());
    if !restored.await? {
        return Err(ApiError::new(
            ProblemCode::Conflict,
            "This recording is not in the trash. A later part is restored with the first one.",
        ));
    }
    let row = allowed(&state, &caller, &id).await?;
    Ok(Json(in_full(&state, &caller, row).await?))
}

async fn delete_one(
    state: &HttpState,
    caller: &Caller,
    id: &str,
    manner: Manner,
) -> ApiResult<DeletionStatus> {
    let row = allowed(state, caller, id).await?;
    let detail = deletion_detail(state, &row.id, manner.unforwarded).await?;
    if !manner.permanently && move_to_trash(state, caller, &row).await? {
        tracing::info!(
            recording = id,
            user = caller.username,
            "recording moved to the trash"
        );
        return Ok(DeletionStatus::Trashed);
    }
    let actor = caller.actor();
    state.uploads.delete(&row.id, &actor, detail).await?;
    tracing::info!(recording = id, user = caller.username, "recording deleted");
    Ok(DeletionStatus::Deleted)
}

/// Moves a recording to the trash. `false` if there is no trash, or none for this recording: one that is in it already, one
/// with a growing part, and a later part.
async fn move_to_trash(state: &HttpState, caller: &Caller, row: &RecordingRow) -> ApiResult<bool> {
    let days = state.trash_days();
    if days == 0 {
        return Ok(false);
    }
    let now_ms = state.clock.now_ms();
    let end_ms = |from_ms: i64, days: u32| from_ms.saturating_add(i64::from(days) * DAY_MS);
    let mut expires_ms = end_ms(now_ms, days);
    if state.config.retention_days > 0 {
        let retained_ms = end_ms(row.created_ms, state.config.retention_days);
        expires_ms = expires_ms.min(retained_ms.max(now_ms.saturating_add(UNDO_MS)));
    }
    let trash = state.database.trash();
    Ok(trash
        .put(&row.id, &caller.actor(), now_ms, expires_ms)
        .await?)
}

/// Rejects the deletion of the only copy of a recording that is to be forwarded.
pub(in crate::http) async fn check_forwarded(state: &HttpState, id: &str) -> ApiResult<()> {
    deletion_detail(state, id, Unforwarded::Keep).await?;
    Ok(())
}

/// Returns the detail of a deletion in the audit log. Rejects the deletion of the only copy of a recording that is to be
/// forwarded, unless the caller wants it.
pub(in crate::http) async fn deletion_detail(
    state: &HttpState,
    id: &str,
    unforwarded: Unforwarded,
) -> ApiResult<&'static str> {
    if !state.database.recordings().awaits_forwarding(id).await? {
        return Ok("");
    }
    if unforwarded == Unforwarded::Delete {
        return Ok(DELETED_UNFORWARDED);
    }
    Err(ApiError::new(
        ProblemCode::NotForwarded,
        "This recording is not on the central server yet, so this is its only copy. Wait until it is forwarded, or \
         delete it with unforwarded=delete.",
    ))
}

/// Deletes recordings one after the other and streams a line of NDJSON for each.
///
/// The next deletion starts when the client has read the line before, so that a client that disconnects stops the rest.
/// A deletion that has started is completed. Each recording is checked for access like that of a single deletion.
pub(super) async fn delete_many(
    State(state): State<HttpState>,
    caller: Caller,
    JsonBody(request): JsonBody<DeleteRecordings>,
) -> ApiResult<Response> {
    let DeleteRecordings {
        ids,
        filter,
        at_most,
        all_users,
        unforwarded,
        permanently,
    } = request;
    let manner = Manner {
        unforwarded,
        permanently,
    };
    let targets = match (filter, at_most) {
        (None, None) if (1..=IDS_MAX).contains(&ids.len()) && !all_users => Targets::of_ids(ids),
        (Some(filter), Some(at_most))
            if ids.is_empty() && (1..=MATCHING_MAX).contains(&at_most) =>
        {
            Targets::matching(&state, &caller, &filter, at_most, all_users).await?
        }
        _ => {
            return Err(ApiError::invalid(format!(
                "ids must name 1 to {IDS_MAX} recordings; or filter must select them, and at_most must be their largest \
                 number, 1 to {MATCHING_MAX}. all_users is for a filter."
            )));
        }
    };
    let lines = stream::unfold(Some(targets), move |targets| {
        let (state, caller) = (state.clone(), caller.clone());
        async move {
            let mut targets = targets?;
            let id = match targets.next(&state).await {
                Ok(id) => id?,
                Err(error) => return Some((Err(axum::Error::new(error)), None)),
            };
            let deleted = match caller.check_again(&state).await {
                Ok(()) => delete_one(&state, &caller, &id, manner).await,
                Err(error) => Err(error),
            };
            let (status, problem) = match deleted {
                Ok(status) => (status, None),
                Err(error) => (DeletionStatus::Failed, Some(error.into_problem())),
            };
            let deletion = RecordingDeletion {
                id,
                status,
                problem,
            };
            let line = serde_json::to_vec(&deletion).map(|mut line| {
                line.push(b'\n');
                line
            });
            Some((line.map_err(axum::Error::new), Some(targets)))
        }
    });
    let mut response = Body::from_stream(lines).into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.extend([UNBUFFERED]);
    Ok(response)
}

/// IDs of the recordings of one request.
struct Targets {
    ids: vec::IntoIter<String>,
    /// Rest of the list that a filter selects.
    rest: Option<Rest>,
}

struct Rest {
    list: List,
    after: Option<Position>,
    /// How many recordings may still be read.
    left: usize,
}

impl Targets {
    /// An ID that occurs twice is deleted once.
    fn of_ids(mut ids: Vec<String>) -> Self {
        let mut known = HashSet::new();
        ids.retain(|id| known.insert(id.clone()));
        Self {
            ids: ids.into_iter(),
            rest: None,
        }
    }

    async fn matching(
        state: &HttpState,
        caller: &Caller,
        filter: &RecordingQuery,
        at_most: u32,
        all_users: bool,
    ) -> ApiResult<Self> {
        list::check_no_page(filter)?;
        let mut list = match all_users {
            false => list::own(filter, caller)?,
            true if caller.is_admin() => list::of_all_users(state, filter, caller).await?,
            true => {
                return Err(ApiError::forbidden(
                    "Only administrators can delete the recordings of all users.",
                ));
            }
        };
        // Recordings that begin during the deletion are kept.
        let end_ms = state.clock.now_ms().saturating_add(1);
        list.to_ms = Some(list.to_ms.map_or(end_ms, |to_ms| to_ms.min(end_ms)));
        Ok(Self {
            ids: Vec::new().into_iter(),
            rest: Some(Rest {
                list,
                after: None,
                left: at_most as usize,
            }),
        })
    }

    async fn next(&mut self, state: &HttpState) -> Result<Option<String>, DatabaseError> {
        loop {
            if let Some(id) = self.ids.next() {
                return Ok(Some(id));
            }
            let Some(rest) = self.rest.as_mut().filter(|rest| rest.left > 0) else {
                return Ok(None);
            };
            let lists = state.database.lists();
            let page = lists.page(&rest.list, rest.after.as_ref(), PAGE).await?;
            let ids = page.rows.into_iter().take(rest.left).map(|row| row.id);
            let ids: Vec<_> = ids.collect();
            rest.left -= ids.len();
            rest.after = page.next;
            if rest.after.is_none() {
                self.rest = None;
            }
            self.ids = ids.into_iter();
        }
    }
}
