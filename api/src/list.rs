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
    /// ID of the recording or its session; or words, each of them part of the title, file name, application, external IDs, tags,
    /// metadata values, markers or owner's name, without regard to case and accents. At most 200 characters. A page may be
    /// short if no word has three characters.
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
    /// Tag, without regard to case; only with the sort key `created`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Source of the picture, exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Shortest duration in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_seconds: Option<String>,
    /// Longest duration in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_seconds: Option<String>,
    /// `true`: only recordings that the caller has not watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unwatched: Option<String>,
    /// Sort key: `created` (default), `duration`, `size` or `active`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort: Option<String>,
    /// Sort order: `desc` (default) or `asc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
}

/// Response of `GET /api/recordings/count` and `GET /api/admin/recordings/count`: the recordings that the filters of
/// [`RecordingQuery`] select, without `limit`, `cursor`, order and `completed_after`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RecordingCount {
    /// Number of recordings. Further parts count with their first part.
    pub count: u64,
    /// `false`: the server stopped counting, and more recordings may match.
    pub complete: bool,
    /// Totals of the counted recordings; with `totals=true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totals: Option<RecordingTotals>,
}

/// Totals of recordings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RecordingTotals {
    /// Bytes of these recordings with all parts.
    pub size_bytes: u64,
    /// How many of them are protected.
    pub protected: u64,
    /// How many of them may still receive bytes.
    pub open: u64,
    /// How many of them the central server of an appliance lacks.
    pub forward_pending: u64,
}
