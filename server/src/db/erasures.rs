//! Erasures of users: requested, then carried out in the background.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Action, Actor, AuditEvent, Database, DatabaseError, shares};

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
    /// Stores a request and disables the user; `false` if the user's erasure was requested before.
    pub(crate) async fn request(
        self,
        user_id: &str,
        actor: &Actor,
        now_ms: i64,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        // Changes of the user that were begun before are complete; later ones find the request.
        sqlx::query("UPDATE users SET disabled = 1, generation = generation + 1 WHERE id = $1")
            .bind(user_id)
            .execute(&mut *transaction)
            .await?;
        shares::delete_of_creator(&mut transaction, user_id).await?;
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

    /// Returns users whose erasure is pending, at most 100, in the order of their requests after `after`: time of the
    /// request and ID.
    pub(crate) async fn pending(
        self,
        after: Option<(i64, &str)>,
    ) -> Result<Vec<ErasureRow>, DatabaseError> {
        let (requested_ms, user_id) = after.unwrap_or((i64::MIN, ""));
        Ok(sqlx::query_as(
            "SELECT user_id, requested_ms, completed_ms FROM erasures WHERE completed_ms IS NULL \
             AND (requested_ms, user_id) > ($1, $2) ORDER BY requested_ms, user_id LIMIT 100",
        )
        .bind(requested_ms)
        .bind(user_id.to_owned())
        .fetch_all(&self.database.pool)
        .await?)
    }

    /// Marks an erasure as completed; `false` if it was before.
    pub(crate) async fn complete(self, user_id: &str, now_ms: i64) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.begin().await?;
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

#[cfg(test)]
mod tests {
    use super::super::testing::database;
    use super::*;

    #[tokio::test]
    async fn pages_of_pending_erasures_are_complete() -> Result<(), DatabaseError> {
        let folder = tempfile::tempdir().expect("a folder");
        let database = database(folder.path()).await?;
        let erasures = database.erasures();
        for number in 0..150 {
            let id = format!("u{number:03}");
            erasures.request(&id, &Actor::system(), number / 2).await?;
        }
        erasures.complete("u120", 1000).await?;
        let first = erasures.pending(None).await?;
        assert_eq!(first.len(), 100);
        let last = &first[99];
        let after = Some((last.requested_ms, last.user_id.as_str()));
        let second = erasures.pending(after).await?;
        assert_eq!(second.len(), 49);
        assert_eq!(second[0].user_id, "u100");
        Ok(())
    }
}
