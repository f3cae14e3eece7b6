//! Sign-in and people.

use serde::{Deserialize, Serialize};

/// Body of `POST /api/auth/login`.
#[derive(Clone, Serialize, Deserialize)]
pub struct Login {
    /// The name to sign in with.
    pub username: String,
    /// The password, in the clear: the transport protects it.
    pub password: String,
}

/// Body of `POST /api/auth/refresh` and `POST /api/auth/logout`; our own pages send the cookie instead.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct RefreshRequest {
    /// The refresh token of the last answer.
    #[serde(default)]
    pub refresh_token: Option<String>,
}

/// Answer to a sign-in or a refresh.
#[derive(Clone, Serialize, Deserialize)]
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

/// What a person may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Records, and sees their own recordings.
    User,
    /// Sees everything and changes settings.
    Admin,
}

/// A person, as others may see them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// RFC 3339, UTC.
    pub created_at: String,
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
