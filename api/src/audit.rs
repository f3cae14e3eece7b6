//! Who did what, when, from where, and how it went.

use serde::{Deserialize, Serialize};

/// How somebody showed who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// Our pages' cookie, which a browser sends by itself.
    Cookie,
    /// An access token of ours in the `Authorization` header.
    Bearer,
    /// An API token.
    Token,
    /// A token of the embedding platform.
    Jwt,
    /// A header of a trusted proxy.
    Proxy,
    /// A user name and a password: a sign-in.
    Password,
    /// An OpenID provider: a sign-in.
    Oidc,
    /// Not somebody: the server by itself.
    System,
}

impl Via {
    /// The word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cookie => "cookie",
            Self::Bearer => "bearer",
            Self::Token => "token",
            Self::Jwt => "jwt",
            Self::Proxy => "proxy",
            Self::Password => "password",
            Self::Oidc => "oidc",
            Self::System => "system",
        }
    }
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum AuditResult {
    /// It was done.
    Ok,
    /// It was not allowed.
    Denied,
    /// It was tried and failed.
    Failed,
}

impl AuditResult {
    /// The word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }
}

/// One row of `GET /api/admin/audit` and of its export. Rows are only ever added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditEntry {
    /// 1, 2, 3, … without a gap.
    pub seq: u64,
    /// RFC 3339, UTC.
    pub at: String,
    /// Whose doing: a user's id, `system`, or empty when nobody is known (a failed sign-in).
    pub actor_id: String,
    /// Their name at the time.
    pub actor_name: String,
    /// How they showed who they are.
    pub via: Via,
    /// The IP address that the request came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What: `recording.start`, `recording.delete`, `settings.change`, … New ones may appear.
    pub action: String,
    /// Which: the id of what it was done to.
    pub subject: String,
    /// What else there is to know, for a person.
    pub detail: String,
    /// How it went.
    pub result: AuditResult,
    /// SHA-256 over the row before and this one, in hexadecimal.
    pub hash: String,
}

/// Answer to `GET /api/admin/audit/verify`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditVerification {
    /// No row was removed, changed or moved.
    pub ok: bool,
    /// Rows that were looked at.
    pub rows: u64,
    /// Where the chain breaks first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_bad_seq: Option<u64>,
}
