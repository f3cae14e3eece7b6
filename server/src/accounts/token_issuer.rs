//! Issue of the token pairs of sign-ins. Stores nothing.

use std::sync::Arc;
use std::time::Duration;

use super::error::IssueError;
use super::lifetimes::Lifetimes;
use super::tokens::{self, AccessTokens};
use crate::db::{RefreshTokenRow, SignInRow, UserRow};

pub(crate) struct SignedIn {
    /// Valid for [`super::tokens::ACCESS_LIFE`].
    pub(crate) access_token: String,
    /// Exchanged once for the next pair.
    pub(crate) refresh_token: String,
    /// Lifetime of the refresh token.
    pub(crate) refresh_life: Duration,
    #[cfg(feature = "sso")]
    pub(super) sign_in_id: String,
    pub(crate) user: UserRow,
}

/// Refresh token with its row.
pub(super) struct RefreshToken {
    pub(super) token: String,
    pub(super) row: RefreshTokenRow,
}

/// Issues access tokens and refresh tokens.
pub(super) struct TokenIssuer {
    access: Arc<AccessTokens>,
    lifetimes: Lifetimes,
}

impl TokenIssuer {
    pub(super) fn new(access: Arc<AccessTokens>, lifetimes: Lifetimes) -> Self {
        Self { access, lifetimes }
    }

    /// Generates the first refresh token of a sign-in, with its row.
    pub(super) fn first(
        &self,
        sign_in: &SignInRow,
        now_ms: i64,
    ) -> Result<RefreshToken, IssueError> {
        let token = self.access.new_refresh_token(&sign_in.id);
        Ok(self.with_row(token.map_err(IssueError::Token)?, sign_in, now_ms))
    }

    /// Creates a refresh token of a sign-in, with its row.
    fn with_row(&self, token: String, sign_in: &SignInRow, now_ms: i64) -> RefreshToken {
        let used = SignInRow {
            last_used_ms: now_ms,
            ..sign_in.clone()
        };
        let row = RefreshTokenRow {
            token_hash: tokens::token_hash(&token),
            family: sign_in.id.clone(),
            user_id: sign_in.user_id.clone(),
            created_ms: now_ms,
            expires_ms: self.lifetimes.expires_ms(&used),
            spent_ms: None,
        };
        RefreshToken { token, row }
    }

    /// Derives the successor of a refresh token, with its row.
    pub(super) fn successor(
        &self,
        token: &str,
        sign_in: &SignInRow,
        now_ms: i64,
    ) -> Result<RefreshToken, IssueError> {
        let next = self.access.successor(&sign_in.id, token);
        Ok(self.with_row(next.map_err(IssueError::Token)?, sign_in, now_ms))
    }

    /// Returns a pair of tokens whose refresh token is stored.
    pub(super) fn pair(
        &self,
        user: UserRow,
        sign_in: &SignInRow,
        refresh_token: String,
        now_ms: i64,
    ) -> Result<SignedIn, IssueError> {
        let access_token = self
            .access
            .issue(&user.id, &sign_in.id, &user.roles, now_ms)
            .map_err(IssueError::Token)?;
        let used = SignInRow {
            last_used_ms: now_ms,
            ..sign_in.clone()
        };
        let left_ms = self.lifetimes.expires_ms(&used).saturating_sub(now_ms);
        Ok(SignedIn {
            access_token,
            refresh_token,
            #[cfg(feature = "sso")]
            sign_in_id: sign_in.id.clone(),
            refresh_life: Duration::from_millis(u64::try_from(left_ms).unwrap_or_default()),
            user,
        })
    }
}
