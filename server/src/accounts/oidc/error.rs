//! Errors of OpenID Connect.

use std::time::Duration;

use crate::accounts::error::IssueError;
use crate::accounts::jwks::KeyError;
use crate::db::DatabaseError;

/// Reason why a sign-in failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OidcError {
    /// OpenID Connect is not configured.
    #[error("no OpenID provider is configured")]
    Off,
    /// The answer belongs to no attempt of this browser, or to an expired one.
    #[error("the answer belongs to no sign-in that was begun here")]
    NoAttempt,
    #[error("the provider refuses: {0}")]
    Refused(String),
    /// The provider's answer is invalid.
    #[error("the provider's answer is invalid: {0}")]
    Unbelievable(String),
    /// The provider is unavailable.
    #[error("the provider cannot be reached")]
    Unavailable(#[source] anyhow::Error),
    /// The claims do not fulfil `SORTIE_OIDC_REQUIRED_…`.
    #[error("not admitted: {0}")]
    NotAdmitted(&'static str),
    /// Too many failed sign-ins of this address.
    #[error("too many failed sign-ins; wait {0:?}")]
    Wait(Duration),
    /// The user is disabled.
    #[error("the account is disabled")]
    Disabled { user_id: String },
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Issue(#[from] IssueError),
}

impl From<KeyError> for OidcError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Unavailable => Self::Unavailable(anyhow::anyhow!("it returns no keys")),
            KeyError::Claims(error) => Self::Unbelievable(error.to_string()),
        }
    }
}

impl OidcError {
    /// The error with its causes, for the log.
    pub(super) fn source_text(&self) -> String {
        match self {
            Self::Unavailable(source) => format!("{self}: {source:#}"),
            _ => self.to_string(),
        }
    }
}
