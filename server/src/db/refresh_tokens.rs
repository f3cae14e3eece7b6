//! Refresh tokens, stored by hash.

use sqlx::any::AnyArguments;

use super::{Database, DatabaseError};

/// Row of a refresh token.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct RefreshTokenRow {
    /// SHA-256 of the token, hexadecimal.
    pub(crate) token_hash: String,
    /// Id of its sign-in.
    pub(crate) family: String,
    pub(crate) user_id: String,
    /// Unix time in ms of its issue.
    pub(crate) created_ms: i64,
    /// Unix time in ms of the expiry.
    pub(crate) expires_ms: i64,
    /// Unix time in ms at which it was exchanged for its successor.
    pub(crate) spent_ms: Option<i64>,
}

impl RefreshTokenRow {
    pub(super) fn insert(&self) -> sqlx::query::Query<'_, sqlx::Any, AnyArguments> {
        sqlx::query(
            "INSERT INTO refresh_tokens (token_hash, family, user_id, created_ms, expires_ms, spent_ms) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&self.token_hash)
        .bind(&self.family)
        .bind(&self.user_id)
        .bind(self.created_ms)
        .bind(self.expires_ms)
        .bind(self.spent_ms)
    }
}

impl Database {
    pub(crate) async fn refresh_token(
        &self,
        token_hash: &str,
    ) -> Result<Option<RefreshTokenRow>, DatabaseError> {
        Ok(sqlx::query_as(
            "SELECT token_hash, family, user_id, created_ms, expires_ms, spent_ms \
             FROM refresh_tokens WHERE token_hash = $1",
        )
        .bind(token_hash)
        .fetch_optional(&self.pool)
        .await?)
    }

    /// Deletes the tokens of a sign-in that were spent before `before_ms`.
    pub(crate) async fn purge_spent_tokens(
        &self,
        family: &str,
        before_ms: i64,
    ) -> Result<(), DatabaseError> {
        sqlx::query("DELETE FROM refresh_tokens WHERE family = $1 AND spent_ms < $2")
            .bind(family)
            .bind(before_ms)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
