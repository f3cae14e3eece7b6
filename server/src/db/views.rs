//! Recordings that users have watched.

use sqlx::AssertSqlSafe;

use super::statement::placeholders;
use super::{Database, DatabaseError};

/// Table `recording_views`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Views<'d> {
    pub(super) database: &'d Database,
}

impl Views<'_> {
    /// Marks a recording as watched by a user, or removes the mark. Does nothing for a recording or a user that is gone.
    pub(crate) async fn set(
        self,
        user_id: &str,
        recording_id: &str,
        viewed: bool,
        now_ms: i64,
    ) -> Result<(), DatabaseError> {
        let id = format!("{user_id} {recording_id}");
        if !viewed {
            sqlx::query("DELETE FROM recording_views WHERE id = $1")
                .bind(id)
                .execute(&self.database.pool)
                .await?;
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO recording_views (id, user_id, recording_id, viewed_ms) \
             SELECT $1, u.id, r.id, $2 FROM users AS u CROSS JOIN recordings AS r WHERE u.id = $3 AND r.id = $4 \
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(id)
        .bind(now_ms)
        .bind(user_id)
        .bind(recording_id)
        .execute(&self.database.pool)
        .await?;
        Ok(())
    }

    /// Returns those of these recordings that a user has watched.
    pub(crate) async fn of(
        self,
        user_id: &str,
        recording_ids: &[&str],
    ) -> Result<Vec<String>, DatabaseError> {
        if recording_ids.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT recording_id FROM recording_views WHERE user_id = $1 AND recording_id IN ({})",
            placeholders(2, recording_ids.len())
        );
        let mut query = sqlx::query_scalar(AssertSqlSafe(sql)).bind(user_id.to_owned());
        for id in recording_ids {
            query = query.bind((*id).to_owned());
        }
        Ok(query.fetch_all(&self.database.pool).await?)
    }
}
