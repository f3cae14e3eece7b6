//! Sign-ins and their refresh tokens, which are stored by hash.
//!
//! A row is valid while its generation is that of its user: a change that ends all sign-ins of a user
//! increments the generation in the statement that changes the password or disables the account. A sign-in inserted
//! meanwhile has the generation with which its password was verified, and is invalid.

use sqlx::any::AnyArguments;

use super::users::lock_user;
use super::{Database, DatabaseError};

const COLUMNS: &str = "sign_ins.id, sign_ins.user_id, sign_ins.created_ms, sign_ins.last_used_ms, \
     sign_ins.address, sign_ins.user_agent";

/// Joins a sign-in with its user and leaves out invalid ones.
const ALIVE: &str = "JOIN users ON users.id = sign_ins.user_id AND users.generation = sign_ins.generation \
     AND users.disabled = 0";

/// Largest number of sign-ins in a list.
const LIST_MAX: i64 = 500;

/// Row of a sign-in.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct SignInRow {
    /// Unique, never reused; the family of its refresh tokens.
    pub(crate) id: String,
    pub(crate) user_id: String,
    /// Unix time in ms of the sign-in.
    pub(crate) created_ms: i64,
    /// Unix time in ms of the last use, accurate to about a minute.
    pub(crate) last_used_ms: i64,
    /// IP address of the sign-in or of the last refresh; may be empty.
    pub(crate) address: String,
    /// `User-Agent` of the sign-in or of the last refresh; may be empty.
    pub(crate) user_agent: String,
}

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
    fn insert(&self) -> sqlx::query::Query<'_, sqlx::Any, AnyArguments> {
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

/// Outcome of a refresh token's exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rotation {
    /// The token is spent and its successor stored.
    Done,
    /// Another request has spent the token, or it does not exist.
    Spent,
    Ended,
}

/// Largest difference between the clocks of servers on one database.
const FUTURE_LEEWAY_MS: i64 = 5 * 60 * 1000;

/// Tables `sign_ins` and `refresh_tokens`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignIns<'d> {
    pub(super) database: &'d Database,
}

impl SignIns<'_> {
    /// Stores a new sign-in with its first refresh token; `false` if its user is deleted, disabled or of another
    /// generation than `generation`.
    pub(crate) async fn insert(
        self,
        row: &SignInRow,
        token: &RefreshTokenRow,
        generation: i64,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        if !lock_user(&mut transaction, &row.user_id).await? {
            transaction.rollback().await?;
            return Ok(false);
        }
        let done = sqlx::query(
            "INSERT INTO sign_ins (id, user_id, generation, created_ms, last_used_ms, address, user_agent) \
             SELECT $1, users.id, users.generation, $2, $3, $4, $5 FROM users \
             WHERE users.id = $6 AND users.disabled = 0 AND users.generation = $7",
        )
        .bind(&row.id)
        .bind(row.created_ms)
        .bind(row.last_used_ms)
        .bind(&row.address)
        .bind(&row.user_agent)
        .bind(&row.user_id)
        .bind(generation)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() != 1 {
            transaction.rollback().await?;
            return Ok(false);
        }
        token.insert().execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Returns the sign-in with this id, if it is valid.
    pub(crate) async fn get(self, id: &str) -> Result<Option<SignInRow>, DatabaseError> {
        // PostgreSQL refuses NUL in texts.
        if id.contains('\0') {
            return Ok(None);
        }
        let sql = format!("SELECT {COLUMNS} FROM sign_ins {ALIVE} WHERE sign_ins.id = $1");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(id)
            .fetch_optional(&self.database.pool)
            .await?)
    }

    /// Returns a user's valid sign-ins, most recently used first.
    pub(crate) async fn of(self, user_id: &str) -> Result<Vec<SignInRow>, DatabaseError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM sign_ins {ALIVE} WHERE sign_ins.user_id = $1 \
             ORDER BY sign_ins.last_used_ms DESC, sign_ins.id DESC LIMIT {LIST_MAX}"
        );
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(user_id)
            .fetch_all(&self.database.pool)
            .await?)
    }

    /// Spends a refresh token and stores its successor, in one transaction.
    pub(crate) async fn rotate_refresh_token(
        self,
        spent_hash: &str,
        successor: &RefreshTokenRow,
        address: &str,
        user_agent: &str,
    ) -> Result<Rotation, DatabaseError> {
        let now_ms = successor.created_ms;
        let mut transaction = self.database.begin().await?;
        if !lock_user(&mut transaction, &successor.user_id).await? {
            transaction.rollback().await?;
            return Ok(Rotation::Ended);
        }
        let spent = sqlx::query(
            "UPDATE refresh_tokens SET spent_ms = $1 WHERE token_hash = $2 AND spent_ms IS NULL",
        )
        .bind(now_ms)
        .bind(spent_hash)
        .execute(&mut *transaction)
        .await?;
        if spent.rows_affected() != 1 {
            transaction.rollback().await?;
            return Ok(Rotation::Spent);
        }
        let alive = sqlx::query(
            "UPDATE sign_ins SET last_used_ms = $1, address = $2, user_agent = $3 \
             WHERE id = $4 AND generation = \
             (SELECT users.generation FROM users WHERE users.id = sign_ins.user_id AND users.disabled = 0)",
        )
        .bind(now_ms)
        .bind(address)
        .bind(user_agent)
        .bind(&successor.family)
        .execute(&mut *transaction)
        .await?;
        if alive.rows_affected() != 1 {
            transaction.rollback().await?;
            return Ok(Rotation::Ended);
        }
        successor.insert().execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(Rotation::Done)
    }

    /// Stores the time of a use, unless that was done after `not_since_ms`.
    pub(crate) async fn touch(
        self,
        id: &str,
        now_ms: i64,
        not_since_ms: i64,
    ) -> Result<(), DatabaseError> {
        sqlx::query("UPDATE sign_ins SET last_used_ms = $1 WHERE id = $2 AND last_used_ms <= $3")
            .bind(now_ms)
            .bind(id)
            .bind(not_since_ms)
            .execute(&self.database.pool)
            .await?;
        Ok(())
    }

    /// Ends a sign-in; `false` if it does not exist.
    pub(crate) async fn end(self, id: &str) -> Result<bool, DatabaseError> {
        // Two statements, not one transaction, which would deadlock with a refresh: that locks the token before the
        // sign-in. The first statement decides; a token without a sign-in is invalid.
        let done = sqlx::query("DELETE FROM sign_ins WHERE id = $1")
            .bind(id)
            .execute(&self.database.pool)
            .await?;
        sqlx::query("DELETE FROM refresh_tokens WHERE family = $1")
            .bind(id)
            .execute(&self.database.pool)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Ends a user's sign-ins except `keep`, including sign-ins whose insertion is in progress.
    pub(crate) async fn end_of(
        self,
        user_id: &str,
        keep: Option<&str>,
    ) -> Result<(), DatabaseError> {
        let mut transaction = self.database.begin().await?;
        let generation: Option<i64> = sqlx::query_scalar(
            "UPDATE users SET generation = generation + 1 WHERE id = $1 RETURNING generation",
        )
        .bind(user_id)
        .fetch_optional(&mut *transaction)
        .await?;
        if let (Some(generation), Some(keep)) = (generation, keep) {
            keep_valid(&mut transaction, user_id, keep, generation).await?;
        }
        transaction.commit().await?;
        self.purge_ended(user_id).await
    }

    /// Deletes a user's sign-ins of earlier generations, which are invalid already.
    pub(crate) async fn purge_ended(self, user_id: &str) -> Result<(), DatabaseError> {
        for statement in [
            "DELETE FROM sign_ins WHERE user_id = $1 AND generation < \
             (SELECT generation FROM users WHERE id = $2)",
            "DELETE FROM refresh_tokens WHERE user_id = $1 AND family NOT IN \
             (SELECT id FROM sign_ins WHERE user_id = $2)",
        ] {
            sqlx::query(statement)
                .bind(user_id)
                .bind(user_id)
                .execute(&self.database.pool)
                .await?;
        }
        Ok(())
    }

    /// Restarts the lifetimes of sign-ins that were begun or renewed while the clock was ahead: otherwise they would
    /// last longer by that time.
    pub(crate) async fn bound_future(self, now_ms: i64) -> Result<(), DatabaseError> {
        for statement in [
            "UPDATE sign_ins SET created_ms = $1 WHERE created_ms > $2",
            "UPDATE sign_ins SET last_used_ms = $1 WHERE last_used_ms > $2",
            "UPDATE refresh_tokens SET created_ms = $1, expires_ms = $1 + (expires_ms - created_ms), \
             spent_ms = CASE WHEN spent_ms > $1 THEN $1 ELSE spent_ms END WHERE created_ms > $2",
        ] {
            sqlx::query(statement)
                .bind(now_ms)
                .bind(now_ms.saturating_add(FUTURE_LEEWAY_MS))
                .execute(&self.database.pool)
                .await?;
        }
        Ok(())
    }

    /// Deletes sign-ins that began before `created_ms` or were last used before `last_used_ms`, and refresh tokens that
    /// expired before `now_ms`.
    pub(crate) async fn purge_expired(
        self,
        created_ms: i64,
        last_used_ms: i64,
        now_ms: i64,
    ) -> Result<(), DatabaseError> {
        sqlx::query("DELETE FROM sign_ins WHERE created_ms < $1")
            .bind(created_ms)
            .execute(&self.database.pool)
            .await?;
        sqlx::query("DELETE FROM sign_ins WHERE last_used_ms < $1")
            .bind(last_used_ms)
            .execute(&self.database.pool)
            .await?;
        sqlx::query("DELETE FROM refresh_tokens WHERE expires_ms < $1")
            .bind(now_ms)
            .execute(&self.database.pool)
            .await?;
        Ok(())
    }

    pub(crate) async fn refresh_token(
        self,
        token_hash: &str,
    ) -> Result<Option<RefreshTokenRow>, DatabaseError> {
        Ok(sqlx::query_as(
            "SELECT token_hash, family, user_id, created_ms, expires_ms, spent_ms \
             FROM refresh_tokens WHERE token_hash = $1",
        )
        .bind(token_hash)
        .fetch_optional(&self.database.pool)
        .await?)
    }

    /// Deletes the tokens of a sign-in that were spent before `before_ms`.
    pub(crate) async fn purge_spent_tokens(
        self,
        family: &str,
        before_ms: i64,
    ) -> Result<(), DatabaseError> {
        sqlx::query("DELETE FROM refresh_tokens WHERE family = $1 AND spent_ms < $2")
            .bind(family)
            .bind(before_ms)
            .execute(&self.database.pool)
            .await?;
        Ok(())
    }
}

/// Moves a valid sign-in to its user's new generation.
pub(super) async fn keep_valid(
    transaction: &mut sqlx::AnyConnection,
    user_id: &str,
    id: &str,
    generation: i64,
) -> Result<(), DatabaseError> {
    sqlx::query(
        "UPDATE sign_ins SET generation = $1 WHERE id = $2 AND user_id = $3 AND generation = $4",
    )
    .bind(generation)
    .bind(id)
    .bind(user_id)
    .bind(generation - 1)
    .execute(transaction)
    .await?;
    Ok(())
}
