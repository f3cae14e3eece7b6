//! Lists of recordings: `/api/recordings` and `/api/admin/recordings`.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use sortie_api::{RecordingQuery, RecordingStatus};

use super::present;
use crate::db::{List, Sort};
use crate::http::extract::caller::{Admin, Caller};
use crate::http::extract::paging::ListQuery;
use crate::http::extract::query;
use crate::http::resources::events::LAST_EVENT_ID;
use crate::http::{ApiError, ApiResult, HttpState};
use crate::labels::{self, LabelKind};
use crate::tags;

/// Lists the caller's recordings.
pub(super) async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    query: ListQuery<RecordingQuery>,
) -> ApiResult<Response> {
    let list = own(&query.filter, &caller)?;
    if let Some(from_ms) = completed_after(&query.filter)? {
        return completed(&state, &caller, &query, list.user_id.as_deref(), from_ms).await;
    }
    page(&state, &caller, &query, &list).await
}

/// Lists the recordings of all users.
pub(super) async fn list_all(
    State(state): State<HttpState>,
    Admin(caller): Admin,
    query: ListQuery<RecordingQuery>,
) -> ApiResult<Response> {
    let list = of_all_users(&state, &query.filter, &caller).await?;
    if let Some(from_ms) = completed_after(&query.filter)? {
        return completed(&state, &caller, &query, list.user_id.as_deref(), from_ms).await;
    }
    page(&state, &caller, &query, &list).await
}

/// Counts the caller's recordings.
pub(super) async fn count(
    State(state): State<HttpState>,
    caller: Caller,
    Query(totals): Query<CountQuery>,
    query: ListQuery<RecordingQuery>,
) -> ApiResult<Response> {
    counted(&state, &query.filter, own(&query.filter, &caller)?, &totals).await
}

/// Counts the recordings of all users.
pub(super) async fn count_all(
    State(state): State<HttpState>,
    Admin(caller): Admin,
    Query(totals): Query<CountQuery>,
    query: ListQuery<RecordingQuery>,
) -> ApiResult<Response> {
    let list = of_all_users(&state, &query.filter, &caller).await?;
    counted(&state, &query.filter, list, &totals).await
}

#[derive(Deserialize)]
pub(super) struct CountQuery {
    totals: Option<String>,
}

async fn counted(
    state: &HttpState,
    filter: &RecordingQuery,
    list: List,
    count: &CountQuery,
) -> ApiResult<Response> {
    check_no_page(filter)?;
    let with_totals = query::flag("totals", count.totals.as_deref())?;
    let count = state.database.lists().count(&list, with_totals).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(count)).into_response())
}

/// Rejects parameters that do not select recordings.
pub(super) fn check_no_page(filter: &RecordingQuery) -> ApiResult<()> {
    let others = [&filter.limit, &filter.cursor, &filter.completed_after];
    match others.iter().all(|value| value.is_none()) {
        true => Ok(()),
        false => Err(ApiError::invalid(
            "limit, cursor and completed_after do not select recordings; leave them out.",
        )),
    }
}

/// Returns the list of the caller's recordings.
pub(super) fn own(filter: &RecordingQuery, caller: &Caller) -> ApiResult<List> {
    let mut list = list_of(filter, caller)?;
    if let Some(user_id) = &list.user_id
        && *user_id != caller.user_id
    {
        return Err(ApiError::invalid(
            "user_id is for /api/admin/recordings; this is the list of your own recordings.",
        ));
    }
    list.user_id = Some(caller.user_id.clone());
    Ok(list)
}

/// Returns the list of the recordings of all users. The caller must be an administrator.
pub(super) async fn of_all_users(
    state: &HttpState,
    filter: &RecordingQuery,
    caller: &Caller,
) -> ApiResult<List> {
    let mut list = list_of(filter, caller)?;
    if let Some(user) = list.user_id {
        list.user_id = Some(owner_id(state, user).await?);
    }
    Ok(list)
}

async fn page(
    state: &HttpState,
    caller: &Caller,
    query: &ListQuery<RecordingQuery>,
    list: &List,
) -> ApiResult<Response> {
    let (limit, after) = (query.limit()?, query.after(order(list))?);
    // Read before the list: later changes have later numbers.
    let last_event = state.database.audit().head().await?;
    let page = state
        .database
        .lists()
        .page(list, after.as_ref(), limit)
        .await?;
    let (page, further) = state.database.parts().of_page(list, page).await?;
    let mut rows = present::join_parts(state, page.rows, further);
    present::mark_viewed(state, caller, &mut rows).await?;
    let last_event = [(LAST_EVENT_ID, HeaderValue::from(last_event))];
    Ok((
        last_event,
        query.page(order(list), rows, page.next.as_ref()),
    )
        .into_response())
}

/// Tag of the list by completion in cursors.
const COMPLETED_ORDER: &str = "f";

/// Returns the time from which completed recordings are listed, if the query asks for them.
fn completed_after(filter: &RecordingQuery) -> ApiResult<Option<i64>> {
    let Some(from_ms) = time("completed_after", filter.completed_after.as_deref())? else {
        return Ok(None);
    };
    let others = [
        &filter.q,
        &filter.status,
        &filter.session_id,
        &filter.from,
        &filter.to,
        &filter.protected,
        &filter.tag,
        &filter.source,
        &filter.min_seconds,
        &filter.max_seconds,
        &filter.unwatched,
        &filter.sort,
        &filter.order,
    ];
    let is_set = |value: &&Option<String>| value.as_ref().is_some_and(|value| !value.is_empty());
    if others.iter().any(is_set) {
        return Err(ApiError::invalid(
            "completed_after can be combined with user_id, limit and cursor only.",
        ));
    }
    Ok(Some(from_ms))
}

/// Lists recordings in the order of their completion.
async fn completed(
    state: &HttpState,
    caller: &Caller,
    query: &ListQuery<RecordingQuery>,
    user_id: Option<&str>,
    from_ms: i64,
) -> ApiResult<Response> {
    let (limit, after) = (query.limit()?, query.after(COMPLETED_ORDER)?);
    let completed = state.database.completed();
    let page = completed
        .page(user_id, from_ms, after.as_ref(), limit)
        .await?;
    let mut rows = present::with_parts(state, page.rows).await?;
    present::mark_viewed(state, caller, &mut rows).await?;
    Ok(query.page(COMPLETED_ORDER, rows, page.next.as_ref()))
}

/// Tag of the ordering in cursors.
fn order(list: &List) -> &'static str {
    match (list.sort, list.ascending) {
        (Sort::Created, false) => "c",
        (Sort::Created, true) => "C",
        (Sort::Duration, false) => "d",
        (Sort::Duration, true) => "D",
        (Sort::Size, false) => "s",
        (Sort::Size, true) => "S",
        (Sort::Active, false) => "a",
        (Sort::Active, true) => "A",
    }
}

/// Resolves a user's ID or name to the ID. An unknown text is taken as the ID of a deleted user, whose recordings may
/// still exist.
async fn owner_id(state: &HttpState, given: String) -> ApiResult<String> {
    if state.database.users().get(&given).await?.is_some() {
        return Ok(given);
    }
    let named = state.database.users().by_name(&given).await?;
    Ok(named.map_or(given, |user| user.id))
}

fn list_of(filter: &RecordingQuery, caller: &Caller) -> ApiResult<List> {
    let unwatched = filter.unwatched.as_deref().filter(|text| !text.is_empty());
    let labels = labels::filter(
        LabelKind::Recording,
        filter.external_id.as_deref(),
        filter.metadata.as_deref(),
    )?;
    let is_by_time = matches!(filter.sort.as_deref(), None | Some("" | "created"));
    let tags: Vec<_> = query::text("tag", filter.tag.as_deref())?
        .iter()
        .map(|tag| tags::folded(tag))
        .collect();
    if !(labels.is_empty() && tags.is_empty() || is_by_time) {
        return Err(ApiError::invalid(
            "A list that is filtered by external_id, metadata or tag can only be sorted by created.",
        ));
    }
    Ok(List {
        id: None,
        labels,
        tags,
        source: query::text("source", filter.source.as_deref())?,
        min_ms: seconds("min_seconds", filter.min_seconds.as_deref())?,
        max_ms: seconds("max_seconds", filter.max_seconds.as_deref())?,
        unwatched_by: query::flag("unwatched", unwatched)?.then(|| caller.user_id.clone()),
        user_id: query::text("user_id", filter.user_id.as_deref())?,
        session_id: query::text("session_id", filter.session_id.as_deref())?,
        statuses: statuses(filter.status.as_deref().unwrap_or_default())?,
        protected: match filter.protected.as_deref() {
            None | Some("") => None,
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(_) => return Err(ApiError::invalid("protected must be true or false.")),
        },
        from_ms: time("from", filter.from.as_deref())?,
        to_ms: time("to", filter.to.as_deref())?,
        search: query::text("q", filter.q.as_deref())?,
        sort: match filter.sort.as_deref() {
            None | Some("" | "created") => Sort::Created,
            Some("duration") => Sort::Duration,
            Some("size") => Sort::Size,
            Some("active") => Sort::Active,
            Some(_) => {
                return Err(ApiError::invalid(
                    "sort must be created, duration, size or active.",
                ));
            }
        },
        ascending: match filter.order.as_deref() {
            None | Some("" | "desc") => false,
            Some("asc") => true,
            Some(_) => return Err(ApiError::invalid("order must be asc or desc.")),
        },
    })
}

fn statuses(text: &str) -> ApiResult<Vec<RecordingStatus>> {
    let mut statuses = Vec::new();
    for name in text
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        let status = match name {
            "recording" => RecordingStatus::Recording,
            "uploading" => RecordingStatus::Uploading,
            "processing" => RecordingStatus::Processing,
            "ready" => RecordingStatus::Ready,
            "failed" => RecordingStatus::Failed,
            "trashed" => RecordingStatus::Trashed,
            _ => {
                return Err(ApiError::invalid(
                    "status must be one or more of recording, uploading, processing, ready, failed, trashed, separated by commas.",
                ));
            }
        };
        // Each status is a range of its own: a repeated one would be listed twice.
        if !statuses.contains(&status) {
            statuses.push(status);
        }
    }
    Ok(statuses)
}

fn time(name: &str, value: Option<&str>) -> ApiResult<Option<i64>> {
    query::time(name, value.filter(|value| !value.is_empty()))
}

/// A duration in seconds as milliseconds; `None` if it is absent or empty.
fn seconds(name: &str, value: Option<&str>) -> ApiResult<Option<i64>> {
    /// A century.
    const MAX: f64 = 100.0 * 366.0 * 86_400.0;
    let Some(value) = value.map(str::trim).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let seconds = value.parse::<f64>().ok();
    let seconds = seconds.filter(|seconds| (0.0..=MAX).contains(seconds));
    let seconds = seconds.ok_or_else(|| {
        ApiError::invalid(format!("{name} must be a number of seconds, 0 or more."))
    })?;
    #[expect(clippy::cast_possible_truncation, reason = "at most a century")]
    Ok(Some((seconds * 1000.0).round() as i64))
}
