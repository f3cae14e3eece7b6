//! Sign-in and people.

use serde::{Deserialize, Deserializer, Serialize};

/// Body of `POST /api/auth/login`.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Login {
    /// The name to sign in with.
    pub username: String,
    /// The password, in the clear: the transport protects it.
    pub password: String,
    /// The tokens go into cookies only, not into the answer (see [`PageSignIn`]): no script of a page can read them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cookies_only: bool,
}

/// Body of `POST /api/auth/refresh` and `POST /api/auth/logout`; our own pages send the cookie instead.
#[derive(Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RefreshRequest {
    /// The refresh token of the last answer.
    #[serde(default)]
    pub refresh_token: Option<String>,
}

/// Answer to a sign-in or a refresh.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Tokens {
    /// Goes into `Authorization: Bearer …`.
    pub access_token: String,
    /// Buys the next pair once; using it twice ends the sign-in.
    pub refresh_token: String,
    /// Seconds until `access_token` expires.
    pub expires_in: u64,
    /// Who signed in.
    pub user: User,
}

/// Answer to a sign-in or a refresh whose tokens are in cookies only.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PageSignIn {
    /// Seconds until the access token expires.
    pub expires_in: u64,
    /// The user who signed in.
    pub user: User,
}

/// A sign-in that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SignIn {
    /// Unique and never reused.
    pub id: String,
    /// RFC 3339, UTC.
    pub created_at: String,
    /// RFC 3339, UTC, to about a minute.
    pub last_used_at: String,
    /// RFC 3339, UTC: it ends then unless it is used before.
    pub expires_at: String,
    /// IP address of the sign-in or of the last refresh; empty when not known.
    pub address: String,
    /// `User-Agent` of the sign-in or of the last refresh; may be empty.
    pub user_agent: String,
    /// Whether the request was made with it.
    pub current: bool,
}

/// What a person may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Records, and sees their own recordings.
    User,
    /// Sees everything and changes settings.
    Admin,
}

/// A person, as others may see them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct User {
    /// Unique and never reused.
    pub id: String,
    /// The name to sign in with; unique without regard to case.
    pub username: String,
    /// Electronic mail address, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The name to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// At least one.
    pub roles: Vec<Role>,
    /// Locked out: neither signs in nor uses a token.
    #[serde(default)]
    pub disabled: bool,
    /// Who vouches for them.
    #[serde(default)]
    pub source: UserSource,
    /// RFC 3339, UTC.
    pub created_at: String,
    /// RFC 3339, UTC, to about a minute; absent: never yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_at: Option<String>,
    /// Number of their recordings; only in the answer to `GET /api/admin/users/{id}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recordings: Option<u64>,
}

/// Who vouches for a person. New ones may appear: an older client reads them as `other`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum UserSource {
    /// This server, by a password.
    #[default]
    Local,
    /// An OpenID provider.
    Oidc,
    /// The embedding platform, by its bearer tokens.
    Jwt,
    /// A trusted proxy.
    Proxy,
    /// A source this version does not know.
    #[serde(other)]
    Other,
}

impl User {
    /// Whether this person administers the server.
    pub fn is_admin(&self) -> bool {
        self.roles.contains(&Role::Admin)
    }

    /// The name to show: `display_name` if there is one, else `username`.
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
    /// 8–256 characters.
    pub password: String,
    /// Electronic mail address.
    #[serde(default)]
    pub email: Option<String>,
    /// The name to show.
    #[serde(default)]
    pub display_name: Option<String>,
    /// `["user"]` when absent.
    #[serde(default)]
    pub roles: Option<Vec<Role>>,
}

/// Body of `PATCH /api/admin/users/{id}`: what is absent stays as it is. A misspelt field would too, so an
/// unknown one is refused.
#[derive(Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UserUpdate {
    /// `null` or `""` removes it.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub email: Option<Option<String>>,
    /// `null` or `""` removes it.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub display_name: Option<Option<String>>,
    /// At least one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<Role>>,
    /// 8–256 characters. Signs the person out everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// `true` signs the person out everywhere and keeps them out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// `true` ends all of the person's API tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoke_tokens: Option<bool>,
}

/// Tells a field that is `null` from one that is absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Body of `POST /api/auth/password`, answered with 204. The caller's other sign-ins end.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The password until now.
    pub current_password: String,
    /// 8–256 characters.
    pub new_password: String,
    /// Ends the caller's API tokens, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revoke_tokens: bool,
}

/// Answer to `GET /api/auth/methods`, open to everybody: what the sign-in page offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SignInMethods {
    /// User name and password.
    pub password: bool,
    /// An OpenID provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc: Option<OidcMethod>,
    /// A trusted proxy signs people in by itself.
    #[serde(default)]
    pub proxy: bool,
}

/// Signing in at an OpenID provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OidcMethod {
    /// What to write on the button.
    pub name: String,
    /// Where the button leads; takes `?return_to=` with a path of ours.
    pub url: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_null_is_told_from_one_that_is_absent() {
        let update = |json| serde_json::from_str::<UserUpdate>(json).unwrap();
        assert_eq!(update("{}").email, None);
        assert_eq!(update(r#"{"email":null}"#).email, Some(None));
        let text = r#"{"email":null,"disabled":true}"#;
        assert_eq!(serde_json::to_string(&update(text)).unwrap(), text);
        assert!(serde_json::from_str::<UserUpdate>(r#"{"role":["admin"]}"#).is_err());
    }

    #[test]
    fn an_older_servers_user_is_read() {
        let json =
            r#"{"id":"1","username":"ann","roles":["user"],"created_at":"2026-11-21T09:30:00Z"}"#;
        let user: User = serde_json::from_str(json).unwrap();
        assert_eq!((user.disabled, user.source), (false, UserSource::Local));
    }
}
