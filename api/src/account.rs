//! Sign-in and user accounts.

use serde::{Deserialize, Serialize};

use crate::Metadata;
use crate::labels::present;

/// Body of `POST /api/auth/login`.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Login {
    /// User name, matched irrespective of case.
    pub username: String,
    /// Password in plain text; the transport encrypts it.
    pub password: String,
    /// Whether to return the tokens only as cookies (response [`PageSignIn`]), so that scripts cannot read them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cookies_only: bool,
}

/// Body of `POST /api/auth/refresh` and `POST /api/auth/logout`. The bundled pages send the cookie instead.
#[derive(Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RefreshRequest {
    /// Refresh token of the previous response.
    #[serde(default)]
    pub refresh_token: Option<String>,
}

/// Response to a sign-in or a refresh.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Tokens {
    /// Access token for `Authorization: Bearer …`.
    pub access_token: String,
    /// Token for the next refresh, valid once. Using it twice ends the sign-in.
    pub refresh_token: String,
    /// Seconds until `access_token` expires.
    pub expires_in: u64,
    /// The user who signed in.
    pub user: User,
}

/// Response to a sign-in or a refresh whose tokens are in cookies only.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PageSignIn {
    /// Seconds until the access token expires.
    pub expires_in: u64,
    /// The user who signed in.
    pub user: User,
}

/// An active sign-in of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SignIn {
    /// Unique ID, never reused.
    pub id: String,
    /// Time of the sign-in: RFC 3339, UTC.
    pub created_at: String,
    /// Last use, accurate to about a minute: RFC 3339, UTC.
    pub last_used_at: String,
    /// Expiry unless it is used before: RFC 3339, UTC.
    pub expires_at: String,
    /// IP address of the sign-in or of the last refresh; empty if unknown.
    pub address: String,
    /// `User-Agent` of the sign-in or of the last refresh; may be empty.
    pub user_agent: String,
    /// Whether this request was made with it.
    pub current: bool,
}

/// Role of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Can record and see own recordings.
    User,
    /// Can see everything and change settings.
    Admin,
}

/// Account of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct User {
    /// Unique ID, never reused.
    pub id: String,
    /// User name, unique irrespective of case.
    pub username: String,
    /// Email address, if set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Name to display, if set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Roles, at least one.
    pub roles: Vec<Role>,
    /// Whether the account is locked: the user can neither sign in nor use tokens.
    #[serde(default)]
    pub disabled: bool,
    /// Whether the user must change the password (`POST /api/auth/password`) before anything else.
    #[serde(default)]
    pub must_change_password: bool,
    /// Authority that authenticates the user.
    #[serde(default)]
    pub source: UserSource,
    /// Creation time: RFC 3339, UTC.
    pub created_at: String,
    /// Last activity, accurate to about a minute: RFC 3339, UTC; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_at: Option<String>,
    /// Number of recordings; only in the response of `GET /api/admin/users/{id}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recordings: Option<u64>,
    /// Subject at the authority that authenticates the user, such as the `sub` of a platform's tokens; only in responses
    /// to administrators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// ID at the embedding platform, if set; only in responses to administrators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Data of the embedding platform; empty if not set. Only in responses to administrators.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
}

/// Authority that authenticates a user. Clients read unknown values as `other`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum UserSource {
    /// This server, by password.
    #[default]
    Local,
    /// An OpenID provider, by single sign-on.
    Oidc,
    /// The embedding platform, by its bearer tokens.
    Jwt,
    /// A trusted proxy, by its header.
    Proxy,
    /// A value that this version does not know.
    #[serde(other)]
    Other,
}

impl User {
    /// Whether the user is an administrator.
    pub fn is_admin(&self) -> bool {
        self.roles.contains(&Role::Admin)
    }

    /// Returns the name to display: `display_name` if set, else `username`.
    pub fn name(&self) -> &str {
        self.display_name
            .as_deref()
            .filter(|name| !name.is_empty())
            .unwrap_or(&self.username)
    }
}

/// Body of `POST /api/admin/users`.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NewUser {
    /// 1–64 characters, no control characters, no surrounding white space.
    pub username: String,
    /// Password of 8–256 characters.
    pub password: String,
    /// Email address, if any.
    #[serde(default)]
    pub email: Option<String>,
    /// Name to display, if any.
    #[serde(default)]
    pub display_name: Option<String>,
    /// Roles; `["user"]` if absent.
    #[serde(default)]
    pub roles: Option<Vec<Role>>,
    /// ID at the embedding platform: 1–200 characters, unique among users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Data of the embedding platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
}

/// Body of `PATCH /api/admin/users/{id}`. Absent fields stay unchanged; unknown fields are rejected, so that a
/// misspelt field is not ignored.
#[derive(Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UserUpdate {
    /// Email address; `null` or `""` removes it.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub email: Option<Option<String>>,
    /// Name to display; `null` or `""` removes it.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub display_name: Option<Option<String>>,
    /// Roles, at least one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<Role>>,
    /// 8–256 characters. Ends all sign-ins of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Whether to lock the account; `true` also ends all sign-ins of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// Whether to revoke all API tokens of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoke_tokens: Option<bool>,
    /// ID at the embedding platform; `null` removes it.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub external_id: Option<Option<String>>,
    /// Data of the embedding platform, replaced as a whole; `null` removes it.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub metadata: Option<Option<Metadata>>,
}

/// Progress of the erasure of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Erasure {
    /// ID of the user.
    pub user_id: String,
    /// Whether the erasure is complete.
    pub status: ErasureStatus,
    /// Name that replaces the user's name in the audit log.
    pub pseudonym: String,
    /// Time of the request: RFC 3339, UTC.
    pub requested_at: String,
    /// Time of completion: RFC 3339, UTC; absent while pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
    /// Recordings and uploads that are not deleted yet.
    #[serde(default)]
    pub recordings_left: u64,
}

/// Progress of an erasure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ErasureStatus {
    /// The server is erasing, and retries what fails.
    Pending,
    /// The server has deleted everything of the user.
    Done,
}

/// Body of `POST /api/auth/password`; the response is 204. Ends the caller's other sign-ins.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// Password that is valid until now.
    pub current_password: String,
    /// New password of 8–256 characters.
    pub new_password: String,
    /// Whether to revoke the caller's API tokens, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revoke_tokens: bool,
}

/// Response of `GET /api/auth/methods`, which requires no sign-in: the methods that the sign-in page offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SignInMethods {
    /// Whether users can sign in with user name and password.
    pub password: bool,
    /// OpenID provider, if configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc: Option<OidcMethod>,
    /// Whether a trusted proxy signs users in automatically.
    #[serde(default)]
    pub proxy: bool,
}

/// Sign-in at an OpenID provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OidcMethod {
    /// Label for the sign-in button.
    pub name: String,
    /// Target of the button; accepts `?return_to=` with a path on this server.
    pub url: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_field_differs_from_absent_field() {
        let update = |json| serde_json::from_str::<UserUpdate>(json).unwrap();
        assert_eq!(update("{}").email, None);
        assert_eq!(update(r#"{"email":null}"#).email, Some(None));
        let text = r#"{"email":null,"disabled":true}"#;
        assert_eq!(serde_json::to_string(&update(text)).unwrap(), text);
        assert!(serde_json::from_str::<UserUpdate>(r#"{"role":["admin"]}"#).is_err());
    }

    #[test]
    fn user_of_an_older_server_is_parsed() {
        let json =
            r#"{"id":"1","username":"ann","roles":["user"],"created_at":"2026-11-21T09:30:00Z"}"#;
        let user: User = serde_json::from_str(json).unwrap();
        assert_eq!((user.disabled, user.source), (false, UserSource::Local));
    }
}
