//! Filters, order and paging of lists.

use serde::{Deserialize, Serialize};

/// Query of `GET /api/recordings` and `GET /api/admin/recordings`. Absent parameters do not filter. The response is an
/// array; if there are more recordings, the `Link` header contains the URL of the next page (`rel="next"`, RFC 8288).
/// A page may have fewer than `limit` recordings, or none, and still have a next page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RecordingQuery {
    /// Maximum number of recordings in a page: 1–500, default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// Start of the page, as given in a `Link` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Case-insensitive part of an ID, session ID, file name or owner name; at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// Statuses, separated by commas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Owner, by ID or user name; only for `/api/admin/recordings`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// ID of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Created at or after this time: RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Created before this time: RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Became ready or failed at or after this time (inclusive): RFC 3339. The list has the oldest completion first, and
    /// further parts as separate entries. To poll, repeat the query with the last `completed_at` of the response and
    /// ignore recordings that are known. Can be combined with `user_id`, `limit` and `cursor` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_after: Option<String>,
    /// Whether protected: `true` or `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protected: Option<String>,
    /// ID at the embedding platform, exactly; only with the sort key `created`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Metadata as `key=value`, or as a JSON object of up to 5 keys that must all match; only with the sort key
    /// `created`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
    /// Sort key: `created` (default), `duration` or `size`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort: Option<String>,
    /// Sort order: `desc` (default) or `asc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
}
