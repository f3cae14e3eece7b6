//! Paged lists: the parameters `limit` and `cursor`, and the `Link` to the next page (RFC 8288).

use axum::Json;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use form_urlencoded::byte_serialize;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::db::Position;
use crate::http::error::{ApiError, ApiResult};

const LIMIT_DEFAULT: u32 = 100;
const LIMIT_MAX: u32 = 500;
/// Bytes of a URL-encoded ID. The key of a user name is the longest: 64 characters.
const ID_MAX: usize = 1024;

/// Query of a list.
pub(in crate::http) struct ListQuery<T> {
    /// Parameters that select rows.
    pub(in crate::http) filter: T,
    paging: Paging,
    path: String,
    query: String,
}

#[derive(Deserialize)]
struct Paging {
    limit: Option<String>,
    cursor: Option<String>,
}

/// Empty filter, for lists without one.
#[derive(Deserialize)]
pub(in crate::http) struct NoFilter {}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for ListQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let malformed =
            |_| ApiError::invalid("The query cannot be read. Each parameter may occur only once.");
        let Query(filter) = Query::from_request_parts(parts, state)
            .await
            .map_err(malformed)?;
        let Query(paging) = Query::from_request_parts(parts, state)
            .await
            .map_err(malformed)?;
        Ok(Self {
            filter,
            paging,
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
        })
    }
}

impl<T> ListQuery<T> {
    pub(in crate::http) fn limit(&self) -> ApiResult<u32> {
        self.limit_or(LIMIT_DEFAULT)
    }

    pub(in crate::http) fn limit_or(&self, default: u32) -> ApiResult<u32> {
        let Some(text) = self.paging.limit.as_deref() else {
            return Ok(default);
        };
        text.parse()
            .ok()
            .filter(|limit| (1..=LIMIT_MAX).contains(limit))
            .ok_or_else(|| {
                ApiError::invalid(format!(
                    "limit must be a whole number from 1 to {LIMIT_MAX}."
                ))
            })
    }

    /// Returns the position that the cursor names. `order` identifies the list and its ordering: a cursor of another
    /// one is rejected.
    pub(in crate::http) fn after(&self, order: &str) -> ApiResult<Option<Position>> {
        let cursor = self.paging.cursor.as_deref();
        cursor
            .map(|cursor| decode(order, cursor).ok_or_else(invalid_cursor))
            .transpose()
    }

    /// Response with one page, which caches must not store.
    pub(in crate::http) fn page(
        &self,
        order: &str,
        rows: Vec<impl Serialize>,
        next: Option<&Position>,
    ) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let link = next.and_then(|next| self.link(&encode(order, next)));
        headers.extend(link.map(|link| (header::LINK, link)));
        (headers, Json(rows)).into_response()
    }

    /// Link to the same query with another cursor.
    fn link(&self, cursor: &str) -> Option<HeaderValue> {
        let mut query: Vec<_> = self.query.split('&').collect();
        query.retain(|pair| !pair.is_empty() && pair.split('=').next() != Some("cursor"));
        let cursor = format!("cursor={cursor}");
        query.push(&cursor);
        let link = format!("<{}?{}>; rel=\"next\"", self.path, query.join("&"));
        HeaderValue::from_str(&link).ok()
    }
}

pub(in crate::http) fn invalid_cursor() -> ApiError {
    ApiError::invalid("cursor is not valid for this list; follow the Link header.")
}

/// Encodes a cursor: `<order>.<value>.<id>` in base64url, with the ID URL-encoded.
fn encode(order: &str, position: &Position) -> String {
    let id: String = byte_serialize(position.id.as_bytes()).collect();
    URL_SAFE_NO_PAD.encode(format!("{order}.{}.{id}", position.value))
}

fn decode(order: &str, cursor: &str) -> Option<Position> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (value, id) = text
        .strip_prefix(order)?
        .strip_prefix('.')?
        .split_once('.')?;
    let is_encoded = |byte: u8| byte.is_ascii_alphanumeric() || b"*-._+%".contains(&byte);
    if id.is_empty() || id.len() > ID_MAX || !id.bytes().all(is_encoded) {
        return None;
    }
    let (id, _) = form_urlencoded::parse(id.as_bytes()).next()?;
    // PostgreSQL rejects a text with NUL.
    (!id.contains('\0')).then_some(Position {
        value: value.parse().ok()?,
        id: id.into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(raw: &str, limit: Option<&str>) -> ListQuery<()> {
        ListQuery {
            filter: (),
            paging: Paging {
                limit: limit.map(str::to_owned),
                cursor: None,
            },
            path: "/api/recordings".to_owned(),
            query: raw.to_owned(),
        }
    }

    #[test]
    fn cursor_is_valid_for_its_order_only() {
        for (value, id) in [(-5, "0190-ab"), (0, "ann.é b=&%c"), (i64::MAX, "7")] {
            let id = id.to_owned();
            let position = Position { value, id };
            let cursor = encode("c", &position);
            assert_eq!(decode("c", &cursor), Some(position));
            assert_eq!(decode("C", &cursor), None);
            assert_eq!(decode("cc", &cursor), None);
        }
        for text in [
            "c.1.",
            "c.x.a",
            "c.1",
            "1.a",
            "c.99999999999999999999.a",
            "c.1.%00",
            "c.1.a' OR 1=1",
            &format!("c.1.{}", "a".repeat(ID_MAX + 1)),
        ] {
            let cursor = URL_SAFE_NO_PAD.encode(text);
            assert_eq!(decode("c", &cursor), None, "{text:?}");
        }
        for cursor in ["", "!", "c.1.a", "YQ="] {
            assert_eq!(decode("c", cursor), None, "{cursor:?}");
        }
    }

    #[test]
    fn limit_is_between_1_and_500() {
        assert_eq!(query("", None).limit_or(10).ok(), Some(10));
        assert_eq!(query("", Some("500")).limit().ok(), Some(500));
        for wrong in ["0", "501", "-1", "", "ten", "1.5"] {
            assert!(query("", Some(wrong)).limit().is_err(), "{wrong}");
        }
    }

    #[test]
    fn link_keeps_the_query() {
        let link = query("q=a%26b&cursor=old&limit=5", None).link("new");
        assert_eq!(
            link.as_ref().and_then(|link| link.to_str().ok()),
            Some("</api/recordings?q=a%26b&limit=5&cursor=new>; rel=\"next\"")
        );
    }
}
