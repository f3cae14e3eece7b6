//! Final uploads and their partial uploads.

use super::recordings::{SELECT, insert};
use super::users::lock_user_not_erased;
use super::{AuditEvent, Database, DatabaseError, RecordingRow, audit, labels};
use crate::labels::LabelKind;

/// Table `recordings`: final uploads and their partial uploads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FinalUploads<'d> {
    pub(super) database: &'d Database,
}

impl FinalUploads<'_> {
    /// Returns the final upload created with this `Upload-Concat`. Ids are never reused, so an equal value names the
    /// same parts.
    pub(crate) async fn by_concat(
        self,
        upload_concat: &str,
    ) -> Result<Option<RecordingRow>, DatabaseError> {
        let sql =
            format!("{SELECT} WHERE r.kind = 'final' AND r.upload_concat = $1 AND r.deleting = 0");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(upload_concat)
            .fetch_optional(&self.database.pool)
            .await?)
    }

    /// Inserts a final upload, claims its parts and audits `event`; `false`, without a change, if a part is missing or
    /// claimed already.
    pub(crate) async fn insert(
        self,
        row: &RecordingRow,
        parts: &[String],
        event: &AuditEvent<'_>,
    ) -> Result<bool, DatabaseError> {
        // Sorted, so that two transactions that claim the same parts cannot deadlock.
        let mut parts: Vec<_> = parts.iter().collect();
        parts.sort_unstable();
        let mut transaction = self.database.begin().await?;
        lock_user_not_erased(&mut transaction, &row.user_id).await?;
        insert(row).execute(&mut *transaction).await?;
        let is_set_for_owner = event.actor.id != row.user_id;
        labels::add(
            &mut transaction,
            LabelKind::Recording,
            &row.id,
            &row.labels,
            is_set_for_owner,
        )
        .await?;
        for part in parts {
            let taken = sqlx::query(
                "UPDATE recordings SET final_id = $1 WHERE id = $2 AND kind = 'partial' \
                 AND status = 'ready' AND deleting = 0 AND (final_id IS NULL OR final_id = $1)",
            )
            .bind(&row.id)
            .bind(part)
            .execute(&mut *transaction)
            .await?;
            if taken.rows_affected() != 1 {
                transaction.rollback().await?;
                return Ok(false);
            }
        }
        audit::append(&mut transaction, row.created_ms, event).await?;
        transaction.commit().await?;
        self.database.audit().wake_followers();
        Ok(true)
    }

    /// Marks partial uploads that are no longer needed for deletion: those whose final upload is complete or deleted,
    /// and complete ones that were not joined since `before_ms`. If a final upload has fewer bytes than its parts
    /// together, because a part was missing, the other parts are kept until the final upload has been complete since
    /// `before_ms`.
    pub(crate) async fn mark_spent_parts(self, before_ms: i64) -> Result<(), DatabaseError> {
        sqlx::query(
            "UPDATE recordings SET deleting = 1 WHERE deleting = 0 AND final_id IS NOT NULL \
             AND final_id NOT IN (SELECT id FROM recordings WHERE status IN ('recording', 'uploading', 'processing')) \
             AND final_id NOT IN (SELECT f.id FROM recordings AS f WHERE f.kind = 'final' AND f.completed_ms > $1 \
             AND f.upload_length < (SELECT SUM(p.upload_length) FROM recordings AS p WHERE p.final_id = f.id))",
        )
        .bind(before_ms)
        .execute(&self.database.pool)
        .await?;
        sqlx::query(
            "UPDATE recordings SET deleting = 1 WHERE deleting = 0 AND kind = 'partial' \
             AND final_id IS NULL AND completed_ms <= $1",
        )
        .bind(before_ms)
        .execute(&self.database.pool)
        .await?;
        Ok(())
    }
}
