//! Lists over HTTP: what a query asks for, and where the next page is.

use axum::Json;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use sortie_api::{RecordingQuery, RecordingStatus};

use super::query;
use crate::db::{List, Place, Sort};
use crate::http::resources::recordings::shown_with_parts;
use crate::http::{ApiError, ApiResult, AppState};

/// Rows of a page when the caller does not say.
const PAGE: u32 = 100;
/// The most rows of a page.
const PAGE_MAX: u32 = 500;
/// The most characters of a search.
const SEARCH_MAX: usize = 200;

/// The query of a request, refused in plain words, and where it was sent to.
pub(in crate::http) struct ListQuery<T> {
    pub(in crate::http) query: T,
    path: String,
    raw: String,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for ListQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(query) = Query::from_request_parts(parts, state).await.map_err(|_| {
            ApiError::invalid("The query cannot be read. Each parameter may be there once.")
        })?;
        Ok(Self {
            query,
            path: parts.uri.path().to_owned(),
            raw: parts.uri.query().unwrap_or_default().to_owned(),
        })
    }
}

impl<T> ListQuery<T> {
    /// The header of a page that is followed by one from `cursor` on (RFC 8288); the same query but for that.
    pub(in crate::http) fn link_to(&self, cursor: &str) -> Option<HeaderValue> {
        let mut query: Vec<_> = self.raw.split('&').collect();
        query.retain(|pair| !pair.is_empty() && pair.split('=').next() != Some("cursor"));
        let cursor = format!("cursor={cursor}");
        query.push(&cursor);
        HeaderValue::from_str(&format!(
            "<{}?{}>; rel=\"next\"",
            self.path,
            query.join("&")
        ))
        .ok()
    }
}

/// A page of recordings: of `owner`, or of whoever the query names.
pub(in crate::http) async fn recordings(
    state: &AppState,
    asked: &ListQuery<RecordingQuery>,
    owner: Option<&str>,
) -> ApiResult<Response> {
    let mut list = wanted(&asked.query)?;
    if let Some(owner) = owner {
        if list
            .user_id
            .as_deref()
            .is_some_and(|user_id| user_id != owner)
        {
            return Err(ApiError::invalid(
                "user_id is for /api/admin/recordings; this is the list of your own recordings.",
            ));
        }
        list.user_id = Some(owner.to_owned());
    } else if let Some(given) = list.user_id {
        list.user_id = Some(owner_id(state, given).await?);
    }
    let limit = query::limit(asked.query.limit.as_deref(), PAGE, PAGE_MAX)?;
    let cursor = asked.query.cursor.as_deref();
    let after = cursor.map(|cursor| place(&list, cursor)).transpose()?;
    let page = state.database.list(&list, after.as_ref(), limit).await?;
    let page = state.database.limit_parts(&list, page).await?;
    let mut headers = HeaderMap::new();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(next) = page.next {
        let next = asked.link_to(&cursor_of(&list, &next));
        headers.extend(next.map(|next| (header::LINK, next)));
    }
    let rows = shown_with_parts(state, page.rows).await?;
    Ok((headers, Json(rows)).into_response())
}

/// The id of somebody who is given by id or by user name. Whoever is not known keeps recordings under their id.
async fn owner_id(state: &AppState, given: String) -> ApiResult<String> {
    if state.database.user(&given).await?.is_some() {
        return Ok(given);
    }
    let named = state.database.user_by_name(&given).await?;
    Ok(named.map_or(given, |user| user.id))
}

fn wanted(query: &RecordingQuery) -> ApiResult<List> {
    Ok(List {
        user_id: text("user_id", query.user_id.as_deref())?,
        session_id: text("session_id", query.session_id.as_deref())?,
        statuses: statuses(query.status.as_deref().unwrap_or_default())?,
        protected: match query.protected.as_deref() {
            None | Some("") => None,
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(_) => return Err(ApiError::invalid("protected must be true or false.")),
        },
        from_ms: time("from", query.from.as_deref())?,
        to_ms: time("to", query.to.as_deref())?,
        search: text("q", query.q.as_deref())?,
        sort: match query.sort.as_deref() {
            None | Some("" | "created") => Sort::Created,
            Some("duration") => Sort::Duration,
            Some("size") => Sort::Size,
            Some(_) => {
                return Err(ApiError::invalid("sort must be created, duration or size."));
            }
        },
        ascending: match query.order.as_deref() {
            None | Some("" | "desc") => false,
            Some("asc") => true,
            Some(_) => return Err(ApiError::invalid("order must be asc or desc.")),
        },
    })
}

/// An empty field of a form restricts nothing.
pub(in crate::http) fn text(name: &str, value: Option<&str>) -> ApiResult<Option<String>> {
    let Some(value) = value.map(str::trim).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    if value.chars().count() > SEARCH_MAX || value.chars().any(char::is_control) {
        return Err(ApiError::invalid(format!(
            "{name} must have at most {SEARCH_MAX} characters and no control characters."
        )));
    }
    Ok(Some(value.to_owned()))
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
            _ => {
                return Err(ApiError::invalid(
                    "status must be one or more of recording, uploading, processing, ready, failed, separated by commas.",
                ));
            }
        };
        // Each is a range of its own: twice would list it twice.
        if !statuses.contains(&status) {
            statuses.push(status);
        }
    }
    Ok(statuses)
}

fn time(name: &str, value: Option<&str>) -> ApiResult<Option<i64>> {
    query::time(name, value.filter(|value| !value.is_empty()))
}

/// What stands before the place in a cursor: one from another order is not mistaken for one of this.
fn mark(list: &List) -> &'static str {
    match (list.sort, list.ascending) {
        (Sort::Created, false) => "c",
        (Sort::Created, true) => "C",
        (Sort::Duration, false) => "d",
        (Sort::Duration, true) => "D",
        (Sort::Size, false) => "s",
        (Sort::Size, true) => "S",
    }
}

fn cursor_of(list: &List, place: &Place) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}.{}.{}", mark(list), place.value, place.id))
}

fn place(list: &List, cursor: &str) -> ApiResult<Place> {
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let (value, id) = text
            .strip_prefix(mark(list))?
            .strip_prefix('.')?
            .split_once('.')?;
        let plain = id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (plain && !id.is_empty() && id.len() <= 64).then_some(Place {
            value: value.parse().ok()?,
            id: id.to_owned(),
        })
    };
    read().ok_or_else(|| {
        ApiError::invalid(
            "cursor is not one that this server gave for this order; follow the Link header.",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_in_its_own_order_only() {
        let list = List::default();
        let there = Place {
            value: -5,
            id: "0190-ab".to_owned(),
        };
        let cursor = cursor_of(&list, &there);
        assert_eq!(place(&list, &cursor).ok(), Some(there));
        let other = List {
            ascending: true,
            ..List::default()
        };
        assert!(place(&other, &cursor).is_err());
        for text in [
            "c.1.",
            "c.1.a'b",
            "c.x.a",
            "c.1",
            "1.a",
            "c.99999999999999999999.a",
            "c.1.\0",
        ] {
            assert!(
                place(&list, &URL_SAFE_NO_PAD.encode(text)).is_err(),
                "{text:?}"
            );
        }
        for cursor in ["", "!", "c.1.a", "YQ="] {
            assert!(place(&list, cursor).is_err(), "{cursor:?}");
        }
    }

    #[test]
    fn the_next_page_keeps_the_query() {
        let query = ListQuery {
            query: (),
            path: "/api/recordings".to_owned(),
            raw: "q=a%26b&cursor=old&limit=5".to_owned(),
        };
        let link = query.link_to("new");
        assert_eq!(
            link.as_ref().and_then(|link| link.to_str().ok()),
            Some("</api/recordings?q=a%26b&limit=5&cursor=new>; rel=\"next\"")
        );
    }
}
