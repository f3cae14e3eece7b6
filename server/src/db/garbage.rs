//! Queries of the garbage collection.

use super::recordings::SELECT;
use super::{Database, DatabaseError, RecordingRow};

impl Database {
    /// Returns the rows with these ids, of any kind and in no order. Intended for at most a few hundred ids.
    pub(crate) async fn recordings_with_ids(
        &self,
        ids: &[&str],
    ) -> Result<Vec<RecordingRow>, DatabaseError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let places: Vec<_> = (1..=ids.len()).map(|place| format!("${place}")).collect();
        let sql = format!("{SELECT} WHERE r.id IN ({})", places.join(", "));
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql));
        for id in ids {
            query = query.bind(*id);
        }
        Ok(query.fetch_all(&self.pool).await?)
    }

    /// Returns ready recordings of this back end in the order of their ids, after `after`.
    pub(crate) async fn ready_recordings(
        &self,
        storage_backend: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<RecordingRow>, DatabaseError> {
        let sql = format!(
            "{SELECT} WHERE r.id > $1 AND r.status = 'ready' AND r.kind <> 'partial' AND r.deleting = 0 \
             AND r.storage_backend = $2 ORDER BY r.id LIMIT $3"
        );
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(after)
            .bind(storage_backend)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?)
    }

    /// Whether the table has a row.
    pub(crate) async fn has_recordings(&self) -> Result<bool, DatabaseError> {
        let any: Option<i64> = sqlx::query_scalar("SELECT 1 FROM recordings LIMIT 1")
            .fetch_optional(&self.pool)
            .await?;
        Ok(any.is_some())
    }

    /// Marks a recording whose object is missing: `ready` → `failed`. `false` in another state.
    pub(crate) async fn mark_lost(&self, id: &str, failure: &str) -> Result<bool, DatabaseError> {
        let done = sqlx::query(
            "UPDATE recordings SET status = 'failed', failure = $1 \
             WHERE id = $2 AND status = 'ready' AND kind <> 'partial' AND deleting = 0",
        )
        .bind(failure)
        .bind(id)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }
}
