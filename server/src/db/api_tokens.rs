//! API tokens, stored by hash.

use sortie_api::TokenScope;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::users::lock_user;
use super::{Database, DatabaseError, Page, Position, words_from_text, words_to_text};

const COLUMNS: &str = "api_tokens.id, api_tokens.user_id, api_tokens.name, api_tokens.token_hash, \
     api_tokens.prefix, api_tokens.scopes, api_tokens.created_ms, api_tokens.expires_ms, api_tokens.last_used_ms";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiTokenRow {
    pub(crate) id: String,
    pub(crate) user_id: String,
    /// Description by the owner.
    pub(crate) name: String,
    /// SHA-256 of the token in hex.
    pub(crate) token_hash: String,
    /// First characters, for display.
    pub(crate) prefix: String,
    /// At least one.
    pub(crate) scopes: Vec<TokenScope>,
    /// Unix time in ms.
    pub(crate) created_ms: i64,
    /// Unix time in ms of the expiry.
    pub(crate) expires_ms: Option<i64>,
    /// Unix time in ms of the last use, accurate to about a minute.
    pub(crate) last_used_ms: Option<i64>,
}

const SCOPES: [TokenScope; 3] = [TokenScope::Record, TokenScope::Read, TokenScope::Admin];

fn scope_to_text(scope: TokenScope) -> &'static str {
    match scope {
        TokenScope::Record => "record",
        TokenScope::Read => "read",
        TokenScope::Admin => "admin",
    }
}

impl<'r> sqlx::FromRow<'r, AnyRow> for ApiTokenRow {
    fn from_row(row: &'r AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            user_id: row.try_get("user_id")?,
            name: row.try_get("name")?,
            token_hash: row.try_get("token_hash")?,
            prefix: row.try_get("prefix")?,
            scopes: words_from_text("scopes", row.try_get("scopes")?, &SCOPES, scope_to_text)?,
            created_ms: row.try_get("created_ms")?,
            expires_ms: row.try_get("expires_ms")?,
            last_used_ms: row.try_get("last_used_ms")?,
        })
    }
}

/// Joins tokens with their owners and leaves out those that ended with all other tokens of the owner.
const ALIVE: &str = "JOIN users ON users.id = api_tokens.user_id \
     AND users.token_generation = api_tokens.generation";

/// Outcome of an insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenInsertion {
    Done,
    /// The owner has the largest number of tokens.
    TooMany,
    /// The owner is deleted or disabled, or the requesting sign-in has ended.
    SignedOut,
}

/// Table `api_tokens`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ApiTokens<'d> {
    pub(super) database: &'d Database,
}

impl ApiTokens<'_> {
    /// Stores a new token, unless the owner has `most` already or the requesting `sign_in` has ended.
    pub(crate) async fn insert(
        self,
        row: &ApiTokenRow,
        most: i64,
        sign_in: Option<&str>,
    ) -> Result<TokenInsertion, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        // Concurrent insertions count the owner's tokens one after the other.
        if !lock_user(&mut transaction, &row.user_id).await? {
            transaction.rollback().await?;
            return Ok(TokenInsertion::SignedOut);
        }
        let alive = match sign_in {
            None => "",
            Some(_) => {
                "AND EXISTS (SELECT 1 FROM sign_ins WHERE sign_ins.id = $11 \
                 AND sign_ins.user_id = users.id AND sign_ins.generation = users.generation)"
            }
        };
        let sql = format!(
            "INSERT INTO api_tokens \
             (id, user_id, name, token_hash, prefix, scopes, created_ms, expires_ms, generation) \
             SELECT $1, users.id, $2, $3, $4, $5, $6, $7, users.token_generation FROM users \
             WHERE users.id = $8 AND users.disabled = 0 \
             AND (SELECT COUNT(*) FROM api_tokens WHERE user_id = $9) < $10 {alive}"
        );
        let mut insert = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(&row.id)
            .bind(&row.name)
            .bind(&row.token_hash)
            .bind(&row.prefix)
            .bind(words_to_text(&row.scopes, scope_to_text))
            .bind(row.created_ms)
            .bind(row.expires_ms)
            .bind(&row.user_id)
            .bind(&row.user_id)
            .bind(most);
        if let Some(sign_in) = sign_in {
            insert = insert.bind(sign_in.to_owned());
        }
        let done = insert.execute(&mut *transaction).await?;
        transaction.commit().await?;
        if done.rows_affected() == 1 {
            return Ok(TokenInsertion::Done);
        }
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM api_tokens WHERE user_id = $1")
            .bind(&row.user_id)
            .fetch_one(&self.database.pool)
            .await?;
        Ok(if count >= most {
            TokenInsertion::TooMany
        } else {
            TokenInsertion::SignedOut
        })
    }

    /// Ends all of a user's tokens, including tokens whose insertion is in progress; returns their number.
    pub(crate) async fn revoke_of(self, user_id: &str) -> Result<u64, DatabaseError> {
        sqlx::query("UPDATE users SET token_generation = token_generation + 1 WHERE id = $1")
            .bind(user_id)
            .execute(&self.database.pool)
            .await?;
        let done = sqlx::query(
            "DELETE FROM api_tokens WHERE user_id = $1 \
             AND generation < (SELECT token_generation FROM users WHERE id = $2)",
        )
        .bind(user_id)
        .bind(user_id)
        .execute(&self.database.pool)
        .await?;
        Ok(done.rows_affected())
    }

    pub(crate) async fn by_hash(
        self,
        token_hash: &str,
    ) -> Result<Option<ApiTokenRow>, DatabaseError> {
        let sql =
            format!("SELECT {COLUMNS} FROM api_tokens {ALIVE} WHERE api_tokens.token_hash = $1");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(token_hash)
            .fetch_optional(&self.database.pool)
            .await?)
    }

    pub(crate) async fn get(self, id: &str) -> Result<Option<ApiTokenRow>, DatabaseError> {
        let sql = format!("SELECT {COLUMNS} FROM api_tokens {ALIVE} WHERE api_tokens.id = $1");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(id)
            .fetch_optional(&self.database.pool)
            .await?)
    }

    /// Returns a user's tokens, newest first; their number is limited by [`ApiTokens::insert`].
    pub(crate) async fn of(self, user_id: &str) -> Result<Vec<ApiTokenRow>, DatabaseError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM api_tokens {ALIVE} WHERE api_tokens.user_id = $1 \
             ORDER BY api_tokens.created_ms DESC, api_tokens.id DESC"
        );
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(user_id)
            .fetch_all(&self.database.pool)
            .await?)
    }

    /// Returns a page of all users' tokens with the owners' names, newest first.
    pub(crate) async fn page(
        self,
        after: Option<&Position>,
        limit: u32,
    ) -> Result<Page<(ApiTokenRow, String)>, DatabaseError> {
        let condition = match after {
            Some(_) => "WHERE (api_tokens.created_ms, api_tokens.id) < ($1, $2)",
            None => "",
        };
        let sql = format!(
            "SELECT {COLUMNS}, users.username FROM api_tokens {ALIVE} \
             {condition} ORDER BY api_tokens.created_ms DESC, api_tokens.id DESC LIMIT {}",
            Page::<ApiTokenRow>::query_limit(limit)
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        if let Some(after) = after {
            query = query.bind(after.value).bind(after.id.clone());
        }
        let rows = query.fetch_all(&self.database.pool).await?;
        let read = |row: &AnyRow| {
            let token = sqlx::FromRow::from_row(row)?;
            Ok((token, row.try_get("username")?))
        };
        let rows = rows
            .iter()
            .map(read)
            .collect::<Result<Vec<(ApiTokenRow, String)>, sqlx::Error>>()?;
        Ok(Page::new(rows, limit, |(row, _)| Position {
            value: row.created_ms,
            id: row.id.clone(),
        }))
    }

    /// Deletes a token; `false` if it does not exist.
    pub(crate) async fn delete(self, id: &str) -> Result<bool, DatabaseError> {
        let done = sqlx::query("DELETE FROM api_tokens WHERE id = $1")
            .bind(id)
            .execute(&self.database.pool)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Stores the time of a use, unless that was done after `not_since_ms`.
    pub(crate) async fn touch(
        self,
        id: &str,
        now_ms: i64,
        not_since_ms: i64,
    ) -> Result<(), DatabaseError> {
        sqlx::query(
            "UPDATE api_tokens SET last_used_ms = $1 \
             WHERE id = $2 AND (last_used_ms IS NULL OR last_used_ms <= $3)",
        )
        .bind(now_ms)
        .bind(id)
        .bind(not_since_ms)
        .execute(&self.database.pool)
        .await?;
        Ok(())
    }
}
