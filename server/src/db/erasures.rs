//! Erasures of users: requested, then carried out in the background.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Action, Actor, AuditEvent, Database, DatabaseError};

/// Row of an erasure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ErasureRow {
    pub(crate) user_id: String,
    /// Unix time in ms.
    pub(crate) requested_ms: i64,
    /// Unix time in ms; `None` while pending.
    pub(crate) completed_ms: Option<i64>,
}

impl<'r> sqlx::FromRow<'r, AnyRow> for ErasureRow {
    fn from_row(row: &'r AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            user_id: row.try_get("user_id")?,
            requested_ms: row.try_get("requested_ms")?,
            completed_ms: row.try_get("completed_ms")?,
        })
    }
}

/// Table `erasures`: requests and their completion.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Erasures<'d> {
    pub(super) database: &'d Database,
}

impl Erasures<'_> {
    /// Stores a request; `false` if the user's erasure was requested before.
    pub(crate) async fn request(
        self,
        user_id: &str,
        actor: &Actor,
        now_ms: i64,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.pool.begin().await?;
        let done = sqlx::query(
            "INSERT INTO erasures (user_id, requested_ms) VALUES ($1, $2) ON CONFLICT (user_id) DO NOTHING",
        )
        .bind(user_id)
        .bind(now_ms)
        .execute(&mut *transaction)
        .await?;
        let event = AuditEvent::done(actor, Action::UserErase, user_id).detail("requested");
        let log = self.database.audit();
        log.commit_change(transaction, done.rows_affected() == 1, now_ms, &event)
            .await
    }

    pub(crate) async fn get(self, user_id: &str) -> Result<Option<ErasureRow>, DatabaseError> {
        // No ID contains NUL, which PostgreSQL refuses.
        if user_id.contains('\0') {
            return Ok(None);
        }
        Ok(sqlx::query_as(
            "SELECT user_id, requested_ms, completed_ms FROM erasures WHERE user_id = $1",
        )
        .bind(user_id)
        .fetch_optional(&self.database.pool)
        .await?)
    }

    /// Returns the users whose erasure is pending, at most 100, oldest request first.
    pub(crate) async fn pending(self) -> Result<Vec<String>, DatabaseError> {
        Ok(sqlx::query_scalar(
            "SELECT user_id FROM erasures WHERE completed_ms IS NULL ORDER BY requested_ms, user_id LIMIT 100",
        )
        .fetch_all(&self.database.pool)
        .await?)
    }

    /// Marks an erasure as completed; `false` if it was before.
    pub(crate) async fn complete(self, user_id: &str, now_ms: i64) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.pool.begin().await?;
        let done = sqlx::query(
            "UPDATE erasures SET completed_ms = $1 WHERE user_id = $2 AND completed_ms IS NULL",
        )
        .bind(now_ms)
        .bind(user_id)
        .execute(&mut *transaction)
        .await?;
        let actor = Actor::system();
        let event = AuditEvent::done(&actor, Action::UserErase, user_id).detail("completed");
        let log = self.database.audit();
        log.commit_change(transaction, done.rows_affected() == 1, now_ms, &event)
            .await
    }
}
