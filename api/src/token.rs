//! API tokens: long-lived, scoped, for agents and platforms.

use serde::{Deserialize, Serialize};

/// What an API token may be used for. Never more than its owner may do, and without
/// [`Admin`](Self::Admin) nothing that needs an administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum TokenScope {
    /// Create the owner's sessions and recordings, append to them and stop them; not change or delete recordings.
    Record,
    /// List and download.
    Read,
    /// Everything an administrator may, if the owner is one; includes the other two.
    Admin,
}

/// An API token as it is shown in lists: never the token itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ApiToken {
    /// Unique and never reused.
    pub id: String,
    /// What it is for, in its owner's words.
    pub name: String,
    /// The owner's id.
    pub user_id: String,
    /// The owner's name, in lists over several people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// At least one.
    pub scopes: Vec<TokenScope>,
    /// The token's first characters, to tell it by.
    pub prefix: String,
    /// RFC 3339, UTC.
    pub created_at: String,
    /// RFC 3339, UTC; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// RFC 3339, UTC, to about a minute; absent: not used yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<String>,
}

/// Body of `POST /api/tokens`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewApiToken {
    /// 1–64 characters, no control characters, no surrounding white space.
    pub name: String,
    /// At least one; `admin` only for administrators.
    pub scopes: Vec<TokenScope>,
    /// 1–3650; absent: it does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_days: Option<u32>,
}

/// Answer to `POST /api/tokens`.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CreatedApiToken {
    /// What lists will show.
    #[serde(flatten)]
    pub info: ApiToken,
    /// Goes into `Authorization: Bearer …`. Shown now and never again.
    pub token: String,
}
