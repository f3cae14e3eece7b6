//! Final uploads and the partial ones they are made of.

use super::recordings::{SELECT, insert};
use super::{Database, DatabaseError, RecordingRow};

impl Database {
    /// The final upload that was created with this `Upload-Concat`. Ids are never reused, so the same value
    /// means the same parts.
    pub(crate) async fn final_upload(
        &self,
        upload_concat: &str,
    ) -> Result<Option<RecordingRow>, DatabaseError> {
        let sql =
            format!("{SELECT} WHERE r.kind = 'final' AND r.upload_concat = $1 AND r.deleting = 0");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(upload_concat)
            .fetch_optional(&self.pool)
            .await?)
    }

    /// Adds a final upload and takes its parts for it; `false`, and nothing done, if one of them is gone or
    /// belongs to another one already.
    pub(crate) async fn insert_final(
        &self,
        row: &RecordingRow,
        parts: &[String],
    ) -> Result<bool, DatabaseError> {
        // Always in the same order: two that want the same parts wait for one another, but not in a ring.
        let mut parts: Vec<_> = parts.iter().collect();
        parts.sort_unstable();
        let mut transaction = self.pool.begin().await?;
        insert(row).execute(&mut *transaction).await?;
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
        transaction.commit().await?;
        Ok(true)
    }

    /// Marks the partial uploads nobody needs any more for deletion: those whose final upload is complete or
    /// gone, and complete ones that nobody has joined since `before_ms`. Where a final upload has fewer bytes than its
    /// parts, because one of them was gone, the others stay until it has been complete since `before_ms`.
    pub(crate) async fn mark_spent_parts(&self, before_ms: i64) -> Result<(), DatabaseError> {
        sqlx::query(
            "UPDATE recordings SET deleting = 1 WHERE deleting = 0 AND final_id IS NOT NULL \
             AND final_id NOT IN (SELECT id FROM recordings WHERE status IN ('recording', 'uploading', 'processing')) \
             AND final_id NOT IN (SELECT f.id FROM recordings AS f WHERE f.kind = 'final' AND f.completed_ms > $1 \
             AND f.upload_length < (SELECT SUM(p.upload_length) FROM recordings AS p WHERE p.final_id = f.id))",
        )
        .bind(before_ms)
        .execute(&self.pool)
        .await?;
        sqlx::query(
            "UPDATE recordings SET deleting = 1 WHERE deleting = 0 AND kind = 'partial' \
             AND final_id IS NULL AND completed_ms <= $1",
        )
        .bind(before_ms)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
