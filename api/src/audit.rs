//! Audit log: actor, action, subject, time and result of every change.

use serde::{Deserialize, Serialize};

/// Authentication method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// Session cookie of the bundled pages.
    Cookie,
    /// Access token of this server in the `Authorization` header.
    Bearer,
    /// An API token of this server.
    Token,
    /// A token of the embedding platform.
    Jwt,
    /// A header of a trusted proxy.
    Proxy,
    /// Sign-in with user name and password.
    Password,
    /// Sign-in at an OpenID provider.
    Oidc,
    /// A playback URL.
    Playback,
    /// A share link.
    Share,
    /// The server itself, without a caller.
    System,
}

impl Via {
    /// Returns the name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cookie => "cookie",
            Self::Bearer => "bearer",
            Self::Token => "token",
            Self::Jwt => "jwt",
            Self::Proxy => "proxy",
            Self::Password => "password",
            Self::Oidc => "oidc",
            Self::Playback => "playback",
            Self::Share => "share",
            Self::System => "system",
        }
    }
}

/// Result of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum AuditResult {
    /// The action was carried out.
    Ok,
    /// The caller lacked permission.
    Denied,
    /// The action was attempted and failed.
    Failed,
}

impl AuditResult {
    /// Returns the name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }
}

/// Entry of `GET /api/admin/audit` and of its export. The log is append-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditEntry {
    /// Sequence number: 1, 2, 3, … without gaps.
    pub seq: u64,
    /// Time of the action: RFC 3339, UTC.
    pub at: String,
    /// ID of the acting user; `system`, or empty if unknown, as after a failed sign-in.
    pub actor_id: String,
    /// User name of the actor at that time.
    pub actor_name: String,
    /// Authentication method of the request.
    pub via: Via,
    /// IP address of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Action, such as `recording.start`, `recording.delete` or `settings.change`. New actions may be added.
    pub action: String,
    /// ID of the object of the action.
    pub subject: String,
    /// Details in plain text.
    pub detail: String,
    /// Result of the action.
    pub result: AuditResult,
    /// SHA-256 over the previous and this entry, in hexadecimal.
    pub hash: String,
}

/// Response of `GET /api/admin/audit/verify`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditVerification {
    /// Whether no entry was removed, changed or moved.
    pub ok: bool,
    /// Number of verified entries.
    pub rows: u64,
    /// Sequence number of the first entry that breaks the hash chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_bad_seq: Option<u64>,
}
