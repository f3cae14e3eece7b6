//! Recordings of a user who is being deleted.

use super::audit::append;
use super::{Action, Actor, AuditEvent, Database, DatabaseError};

/// Recordings per transaction.
const BATCH: i64 = 200;

impl Database {
    /// Counts a user's recordings, except those being deleted.
    pub(crate) async fn count_recordings_of(&self, user_id: &str) -> Result<u64, DatabaseError> {
        let count: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM recordings WHERE user_id = $1 AND kind <> 'partial' AND deleting = 0",
        )
        .bind(user_id)
        .fetch_one(&self.pool)
        .await?;
        Ok(count.unsigned_abs())
    }

    /// Transfers some of a user's recordings and partial uploads to the actor; returns their number, 0 when none
    /// remain.
    pub(crate) async fn transfer_recordings(
        &self,
        from: &str,
        actor: &Actor,
        now_ms: i64,
    ) -> Result<u64, DatabaseError> {
        let mut transaction = self.pool.begin().await?;
        let moved: Vec<(String, String)> = sqlx::query_as(
            "UPDATE recordings SET user_id = $1, idempotency_key = NULL WHERE id IN \
             (SELECT id FROM recordings WHERE user_id = $2 LIMIT $3) RETURNING id, kind",
        )
        .bind(&actor.id)
        .bind(from)
        .bind(BATCH)
        .fetch_all(&mut *transaction)
        .await?;
        let detail = format!("transferred from {from}");
        for (id, _) in moved.iter().filter(|(_, kind)| kind != "partial") {
            let event = AuditEvent::done(actor, Action::Change, id).detail(&detail);
            append(&mut transaction, now_ms, &event).await?;
        }
        transaction.commit().await?;
        self.notify_audit();
        Ok(moved.len() as u64)
    }

    /// Returns some of a user's recordings and partial uploads that are not being deleted. Further parts follow the
    /// first part.
    pub(crate) async fn recordings_to_delete_of(
        &self,
        user_id: &str,
    ) -> Result<Vec<String>, DatabaseError> {
        Ok(sqlx::query_scalar(
            "SELECT id FROM recordings WHERE user_id = $1 AND deleting = 0 AND part_of IS NULL LIMIT $2",
        )
        .bind(user_id)
        .bind(BATCH)
        .fetch_all(&self.pool)
        .await?)
    }
}
