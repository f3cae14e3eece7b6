//! Refresh tokens, by their hash.

use super::{Catalog, CatalogError};

/// A refresh token as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct RefreshTokenRow {
    /// SHA-256 of the token, hexadecimal.
    pub(crate) token_hash: String,
    /// The sign-in it descends from.
    pub(crate) family: String,
    /// Whose it is.
    pub(crate) user_id: String,
    /// Issued at.
    pub(crate) created_ms: i64,
    /// Worthless from then on.
    pub(crate) expires_ms: i64,
    /// When it was exchanged for the next one.
    pub(crate) spent_ms: Option<i64>,
}

impl Catalog {
    /// Keeps a new token.
    pub(crate) async fn insert_refresh_token(
        &self,
        row: &RefreshTokenRow,
    ) -> Result<(), CatalogError> {
        sqlx::query(
            "INSERT INTO refresh_tokens (token_hash, family, user_id, created_ms, expires_ms, spent_ms) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&row.token_hash)
        .bind(&row.family)
        .bind(&row.user_id)
        .bind(row.created_ms)
        .bind(row.expires_ms)
        .bind(row.spent_ms)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Looks a token up.
    pub(crate) async fn refresh_token(
        &self,
        token_hash: &str,
    ) -> Result<Option<RefreshTokenRow>, CatalogError> {
        Ok(sqlx::query_as(
            "SELECT token_hash, family, user_id, created_ms, expires_ms, spent_ms \
             FROM refresh_tokens WHERE token_hash = $1",
        )
        .bind(token_hash)
        .fetch_optional(&self.pool)
        .await?)
    }

    /// Marks a token as spent; `false` if somebody else was quicker (or it is gone).
    pub(crate) async fn spend_refresh_token(
        &self,
        token_hash: &str,
        now_ms: i64,
    ) -> Result<bool, CatalogError> {
        let done = sqlx::query(
            "UPDATE refresh_tokens SET spent_ms = $1 WHERE token_hash = $2 AND spent_ms IS NULL",
        )
        .bind(now_ms)
        .bind(token_hash)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Whether a sign-in is still alive (has any token left).
    pub(crate) async fn family_alive(&self, family: &str) -> Result<bool, CatalogError> {
        let rows: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM refresh_tokens WHERE family = $1")
            .bind(family)
            .fetch_one(&self.pool)
            .await?;
        Ok(rows > 0)
    }

    /// Whose a sign-in is, if it is still alive.
    pub(crate) async fn family_owner(&self, family: &str) -> Result<Option<String>, CatalogError> {
        Ok(
            sqlx::query_scalar("SELECT user_id FROM refresh_tokens WHERE family = $1 LIMIT 1")
                .bind(family)
                .fetch_optional(&self.pool)
                .await?,
        )
    }

    /// Ends a sign-in: none of its tokens is worth anything any more.
    pub(crate) async fn revoke_family(&self, family: &str) -> Result<(), CatalogError> {
        sqlx::query("DELETE FROM refresh_tokens WHERE family = $1")
            .bind(family)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Ends all of a person's sign-ins, but for one.
    pub(crate) async fn revoke_user_tokens(
        &self,
        user_id: &str,
        except_family: Option<&str>,
    ) -> Result<(), CatalogError> {
        sqlx::query("DELETE FROM refresh_tokens WHERE user_id = $1 AND family <> $2")
            .bind(user_id)
            .bind(except_family.unwrap_or_default())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Forgets what a sign-in spent before `before_ms`.
    pub(crate) async fn purge_spent_tokens(
        &self,
        family: &str,
        before_ms: i64,
    ) -> Result<(), CatalogError> {
        sqlx::query("DELETE FROM refresh_tokens WHERE family = $1 AND spent_ms < $2")
            .bind(family)
            .bind(before_ms)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Forgets what expired before `now_ms`.
    pub(crate) async fn purge_refresh_tokens(&self, now_ms: i64) -> Result<(), CatalogError> {
        sqlx::query("DELETE FROM refresh_tokens WHERE expires_ms < $1")
            .bind(now_ms)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
