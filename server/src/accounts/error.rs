//! Errors of the account service.

use std::time::Duration;

use super::passwords::PasswordError;
use crate::db::DatabaseError;

/// Reason why a sign-in was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignInError {
    /// The name does not exist, or the password is wrong.
    #[error("the user name or the password is wrong")]
    WrongCredentials {
        /// Id of the user with that name.
        user_id: Option<String>,
    },
    /// The password is right, but the account is disabled.
    #[error("the account is disabled")]
    Disabled { user_id: String },
    /// Too many wrong passwords.
    #[error("too many wrong passwords; wait {0:?}")]
    Wait(Duration),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Issue(#[from] IssueError),
}

/// Reason why a token was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    /// The token or its sign-in has ended.
    #[error("the sign-in has expired")]
    Expired,
    /// Issued neither by this server nor by a trusted party.
    #[error("the token is not valid")]
    Invalid,
    /// The user is disabled.
    #[error("the account is disabled")]
    Disabled,
    /// The session of a recording token has ended or was deleted.
    #[error("the session of the token has ended")]
    SessionEnded,
    /// The issuer cannot be reached.
    #[error("the keys for the token's signature are unavailable")]
    #[cfg_attr(
        not(feature = "sso"),
        expect(dead_code, reason = "only keys of other issuers can be unavailable")
    )]
    Unavailable,
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Reason why a refresh was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RefreshError {
    /// The token was spent before; its sign-in has ended.
    #[error("a spent refresh token was used again")]
    Reused { user_id: String },
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Issue(#[from] IssueError),
}

/// Reason why a pair of tokens could not be issued.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssueError {
    /// The refresh token could not be stored.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Randomness or signing failed.
    #[error("a token cannot be created")]
    Token(#[source] anyhow::Error),
}
