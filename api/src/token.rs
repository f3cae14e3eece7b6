//! API tokens: long-lived and scoped, for agents and platforms.

use serde::{Deserialize, Serialize};

/// Permission of an API token, never exceeding those of its owner. Administrator routes require
/// [`Admin`](Self::Admin).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum TokenScope {
    /// Create the owner's sessions and recordings, append to recordings and stop them; not change or delete them.
    Record,
    /// List and download recordings.
    Read,
    /// All permissions of an administrator, if the owner is one; includes the other two scopes.
    Admin,
}

/// An API token in lists, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ApiToken {
    /// Unique ID, never reused.
    pub id: String,
    /// Name given by the owner.
    pub name: String,
    /// ID of the owner.
    pub user_id: String,
    /// User name of the owner, in lists that span several users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Scopes, at least one.
    pub scopes: Vec<TokenScope>,
    /// First characters of the token, to identify it.
    pub prefix: String,
    /// Creation time: RFC 3339, UTC.
    pub created_at: String,
    /// Expiry: RFC 3339, UTC; absent if it never expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Last use, accurate to about a minute: RFC 3339, UTC; absent if unused.
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
    /// Scopes, at least one; `admin` only for administrators.
    pub scopes: Vec<TokenScope>,
    /// 1–3650 days; absent if the token never expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_days: Option<u32>,
}

/// Response to `POST /api/tokens`.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CreatedApiToken {
    /// The token as in lists.
    #[serde(flatten)]
    pub info: ApiToken,
    /// The secret for `Authorization: Bearer …`. Returned only once.
    pub token: String,
}
