//! Recordings in the trash.

use super::audit::append;
use super::recordings::lock_recording;
use super::{Action, Actor, AuditEvent, Database, DatabaseError};

/// Parts of a recording, the first one included, that are not complete.
const OPEN: &str = "SELECT COUNT(*) FROM recordings WHERE (id = $1 OR part_of = $1) AND status NOT IN ('ready', 'failed')";

/// Table `recordings`: the trash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trash<'d> {
    pub(super) database: &'d Database,
}

impl Trash<'_> {
    /// Moves a recording with all its parts to the trash, from which it is deleted at `expires_ms`. `false` if it is no first
    /// part, is being deleted or has a part that is not complete.
    pub(crate) async fn put(
        self,
        id: &str,
        actor: &Actor,
        now_ms: i64,
        expires_ms: i64,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        if !lock_recording(&mut transaction, id).await? {
            return Ok(false);
        }
        let open: i64 = sqlx::query_scalar(OPEN)
            .bind(id)
            .fetch_one(&mut *transaction)
            .await?;
        if open > 0 {
            return Ok(false);
        }
        let done = sqlx::query(
            "UPDATE recordings SET trashed_status = status, status = 'trashed', trashed_ms = $1, expires_ms = $2 \
             WHERE id = $3 AND part_of IS NULL AND kind <> 'partial'",
        )
        .bind(now_ms)
        .bind(expires_ms)
        .bind(id)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        sqlx::query(
            "UPDATE recordings SET trashed_status = status, status = 'trashed', trashed_ms = $1 WHERE part_of = $2",
        )
        .bind(now_ms)
        .bind(id)
        .execute(&mut *transaction)
        .await?;
        append(
            &mut transaction,
            now_ms,
            &AuditEvent::done(actor, Action::Trash, id),
        )
        .await?;
        transaction.commit().await?;
        self.database.audit().wake_followers();
        Ok(true)
    }

    /// Restores a recording with all its parts. `false` if it is not in the trash, or is being deleted.
    pub(crate) async fn restore(
        self,
        id: &str,
        actor: &Actor,
        now_ms: i64,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        let done = sqlx::query(
            "UPDATE recordings SET status = trashed_status, trashed_status = NULL, trashed_ms = NULL, expires_ms = NULL \
             WHERE id = $1 AND status = 'trashed' AND part_of IS NULL AND deleting = 0",
        )
        .bind(id)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        sqlx::query(
            "UPDATE recordings SET status = trashed_status, trashed_status = NULL, trashed_ms = NULL \
             WHERE part_of = $1 AND status = 'trashed'",
        )
        .bind(id)
        .execute(&mut *transaction)
        .await?;
        append(
            &mut transaction,
            now_ms,
            &AuditEvent::done(actor, Action::Restore, id),
        )
        .await?;
        transaction.commit().await?;
        self.database.audit().wake_followers();
        Ok(true)
    }
}
