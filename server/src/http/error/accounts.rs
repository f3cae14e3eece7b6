//! Conversion of account errors to problems.

use axum::http::{HeaderValue, header};
use sortie_api::ProblemCode;

use super::ApiError;
#[cfg(feature = "sso")]
use crate::accounts::oidc::OidcError;
use crate::accounts::{
    IssueError, MOST_API_TOKENS, PasswordError, RefreshError, SignInError, TokenCreationError,
    TokenError,
};

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Expired => {
                Self::unauthenticated("Your sign-in has expired. Sign in again.")
            }
            TokenError::Invalid => Self::unauthenticated("The token is not valid. Sign in again."),
            TokenError::Disabled => Self::unauthenticated(
                "This account is disabled. Ask an administrator to enable it.",
            ),
            // Not 401: the client would renew its token and retry forever.
            TokenError::SessionEnded => Self::new(
                ProblemCode::SessionNotRunning,
                "The session has ended, so this recording token is no longer valid.",
            ),
            TokenError::Unavailable => Self::new(
                ProblemCode::Unavailable,
                "The token cannot be verified now. Try again.",
            )
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("30")),
            TokenError::Database(error) => error.into(),
        }
    }
}

impl From<IssueError> for ApiError {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::Database(error) => error.into(),
            IssueError::Token(error) => Self::internal(error),
        }
    }
}

impl From<PasswordError> for ApiError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::new(
                ProblemCode::Unavailable,
                "The server is handling too many sign-ins. Try again in a few seconds.",
            )
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("3")),
            PasswordError::Hash(_) | PasswordError::System(_) => Self::internal(error),
        }
    }
}

impl From<RefreshError> for ApiError {
    fn from(error: RefreshError) -> Self {
        match error {
            RefreshError::Reused { .. } => TokenError::Expired.into(),
            RefreshError::Token(error) => error.into(),
            RefreshError::Database(error) => error.into(),
            RefreshError::Issue(error) => error.into(),
        }
    }
}

impl From<SignInError> for ApiError {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::WrongCredentials { .. } => Self::new(
                ProblemCode::WrongCredentials,
                "The user name or password is wrong.",
            )
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            SignInError::Disabled { .. } => {
                Self::forbidden("This account is disabled. Ask an administrator to enable it.")
            }
            SignInError::Wait(wait) => {
                let seconds = wait.as_millis().div_ceil(1000);
                let unit = if seconds == 1 { "second" } else { "seconds" };
                Self::new(
                    ProblemCode::TooManyRequests,
                    format!("Too many failed sign-ins. Try again in {seconds} {unit}."),
                )
                .with_header(
                    header::RETRY_AFTER,
                    HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX)),
                )
            }
            SignInError::Password(error) => error.into(),
            SignInError::Database(error) => error.into(),
            SignInError::Issue(error) => error.into(),
        }
    }
}

impl From<TokenCreationError> for ApiError {
    fn from(error: TokenCreationError) -> Self {
        match error {
            TokenCreationError::TooMany => Self::new(
                ProblemCode::Conflict,
                format!("You already have {MOST_API_TOKENS} tokens. Revoke one first."),
            ),
            TokenCreationError::Token(error) => error.into(),
            TokenCreationError::Issue(error) => error.into(),
            TokenCreationError::Database(error) => error.into(),
        }
    }
}

#[cfg(feature = "sso")]
impl From<OidcError> for ApiError {
    fn from(error: OidcError) -> Self {
        match error {
            OidcError::Off => Self::not_found("This server has no OpenID provider."),
            OidcError::NoAttempt => Self::new(
                ProblemCode::BadRequest,
                "No sign-in was started in this browser in the last ten minutes. Sign in again.",
            ),
            OidcError::Refused(ref reason) => Self::new(
                ProblemCode::Forbidden,
                format!("The provider did not sign you in ({reason}). Sign in again."),
            ),
            OidcError::NotAdmitted(_) => Self::forbidden(
                "Your account at the provider has no access to this server. Ask an administrator for access.",
            ),
            OidcError::Wait(wait) => {
                let seconds = wait.as_millis().div_ceil(1000).max(1);
                Self::new(
                    ProblemCode::TooManyRequests,
                    format!("Too many failed sign-ins. Try again in {seconds} s."),
                )
                .with_header(
                    header::RETRY_AFTER,
                    HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX)),
                )
            }
            OidcError::Unbelievable(_) => Self::new(
                ProblemCode::Unauthenticated,
                "The provider's answer could not be verified. The server log has the reason.",
            ),
            OidcError::Unavailable(source) => Self::new(
                ProblemCode::Unavailable,
                "The provider cannot be reached now. Try again.",
            )
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("5"))
            .caused_by(source),
            OidcError::Disabled { .. } => {
                Self::forbidden("This account is disabled. Ask an administrator to enable it.")
            }
            OidcError::Database(error) => error.into(),
            OidcError::Issue(error) => error.into(),
        }
    }
}
