//! Completed recordings in the order of their completion, for clients that poll.

use sqlx::AssertSqlSafe;

use super::recordings::SELECT;
use super::{Database, DatabaseError, Page, Position, RecordingRow};

/// Table `recordings`: rows that became ready or failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Completed<'d> {
    pub(super) database: &'d Database,
}

impl Completed<'_> {
    /// Returns a page of recordings and further parts that were completed at `from_ms` or later, oldest completion
    /// first. Equal times are ordered by ID.
    pub(crate) async fn page(
        self,
        user_id: Option<&str>,
        from_ms: i64,
        after: Option<&Position>,
        limit: u32,
    ) -> Result<Page<RecordingRow>, DatabaseError> {
        let only = match user_id {
            Some(_) => "AND r.user_id = $5",
            None => "",
        };
        // A position after the start of the range replaces it; the empty ID comes before every other.
        let (completed_ms, id) = after.map_or((from_ms, ""), |after| (after.value, &after.id));
        let sql = format!(
            "{SELECT} WHERE r.completed_ms IS NOT NULL AND (r.completed_ms, r.id) > ($1, $2) \
             AND r.completed_ms >= $3 AND r.kind <> 'partial' AND r.deleting = 0 AND r.status <> 'trashed' {only} \
             ORDER BY r.completed_ms, r.id LIMIT $4"
        );
        let mut query = sqlx::query_as(AssertSqlSafe(sql))
            .bind(completed_ms)
            .bind(id.to_owned())
            .bind(from_ms)
            .bind(Page::<RecordingRow>::query_limit(limit));
        if let Some(user_id) = user_id {
            query = query.bind(user_id.to_owned());
        }
        let rows: Vec<RecordingRow> = query.fetch_all(&self.database.pool).await?;
        Ok(Page::new(rows, limit, |row| Position {
            value: row.completed_ms.unwrap_or_default(),
            id: row.id.clone(),
        }))
    }
}
