//! Recordings in several parts: rows that refer to a first part.
//!
//! Statements that add a part or delete a recording lock the first part's row first, so that no part is added to a
//! recording that is being deleted.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, Row as _};

use super::recordings::SELECT;
use super::{Database, DatabaseError, List, Page, RecordingRow};

/// Most parts of one recording.
const PARTS_MAX: i64 = 1000;

/// Most further parts of all recordings of a page.
const PAGE_PARTS_MAX: i64 = 2 * PARTS_MAX;

/// Returns `$1, $2, …` for that many values.
fn placeholders(values: usize) -> String {
    let names: Vec<_> = (1..=values).map(|place| format!("${place}")).collect();
    names.join(", ")
}

/// Number of a part to be inserted.
pub(super) enum NextNumber {
    Free(i64),
    NoFirstPart,
    TooMany,
}

/// Locks the first part and returns the number of the next one.
pub(super) async fn next_number(
    connection: &mut sqlx::AnyConnection,
    first: &str,
) -> Result<NextNumber, DatabaseError> {
    let locked = sqlx::query(
        "UPDATE recordings SET deleting = 0 WHERE id = $1 AND deleting = 0 AND part_of IS NULL",
    )
    .bind(first)
    .execute(&mut *connection)
    .await?;
    if locked.rows_affected() != 1 {
        return Ok(NextNumber::NoFirstPart);
    }
    let last: i64 =
        sqlx::query_scalar("SELECT COALESCE(MAX(part), 1) FROM recordings WHERE part_of = $1")
            .bind(first)
            .fetch_one(&mut *connection)
            .await?;
    if last >= PARTS_MAX {
        return Ok(NextNumber::TooMany);
    }
    Ok(NextNumber::Free(last + 1))
}

/// Applies the protection of the first part to a new part, and returns it.
pub(super) async fn inherit(
    connection: &mut sqlx::AnyConnection,
    first: &str,
    id: &str,
) -> Result<bool, DatabaseError> {
    sqlx::query(
        "UPDATE recordings SET protected = (SELECT f.protected FROM recordings AS f WHERE f.id = $1) WHERE id = $2",
    )
    .bind(first)
    .bind(id)
    .execute(&mut *connection)
    .await?;
    let protected: i64 = sqlx::query_scalar("SELECT protected FROM recordings WHERE id = $1")
        .bind(id)
        .fetch_one(connection)
        .await?;
    Ok(protected != 0)
}

/// Marks the further parts of a recording for deletion, after its first part. Returns them in order.
pub(super) async fn mark_deleting(
    connection: &mut sqlx::AnyConnection,
    first: &str,
) -> Result<Vec<String>, DatabaseError> {
    sqlx::query("UPDATE recordings SET deleting = 1 WHERE part_of = $1")
        .bind(first)
        .execute(&mut *connection)
        .await?;
    Ok(
        sqlx::query_scalar("SELECT id FROM recordings WHERE part_of = $1 ORDER BY part")
            .bind(first)
            .fetch_all(connection)
            .await?,
    )
}

/// Table `recordings`: further parts of recordings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'d> {
    pub(super) database: &'d Database,
}

impl Parts<'_> {
    /// Cuts a page at the first row whose parts exceed [`PAGE_PARTS_MAX`]; the next page begins with that row.
    pub(crate) async fn limit_page(
        self,
        list: &List,
        mut page: Page<RecordingRow>,
    ) -> Result<Page<RecordingRow>, DatabaseError> {
        let ids: Vec<&str> = page.rows.iter().map(|row| row.id.as_str()).collect();
        if ids.is_empty() {
            return Ok(page);
        }
        let sql = format!(
            "SELECT part_of, COUNT(*) AS parts FROM recordings WHERE part_of IN ({}) GROUP BY part_of",
            placeholders(ids.len())
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for id in ids {
            query = query.bind(id.to_owned());
        }
        let mut parts = HashMap::new();
        for row in query.fetch_all(&self.database.pool).await? {
            let count: i64 = row.try_get("parts")?;
            parts.insert(row.try_get::<String, _>("part_of")?, count);
        }
        let mut total = 0;
        let excess = page.rows.iter().position(|row| {
            total += parts.get(&row.id).copied().unwrap_or(0);
            total > PAGE_PARTS_MAX
        });
        // A recording has fewer parts than a page may have.
        if let Some(excess) = excess.filter(|&excess| excess > 0) {
            page.rows.truncate(excess);
            page.next = page.rows.last().map(|row| list.position(row));
        }
        Ok(page)
    }

    /// Returns the further parts of these recordings, in order of recording and part.
    pub(crate) async fn of(self, first: &[&str]) -> Result<Vec<RecordingRow>, DatabaseError> {
        if first.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "{SELECT} WHERE r.part_of IN ({}) ORDER BY r.part_of, r.part",
            placeholders(first.len())
        );
        let mut query = sqlx::query_as(AssertSqlSafe(sql));
        for id in first {
            query = query.bind((*id).to_owned());
        }
        Ok(query.fetch_all(&self.database.pool).await?)
    }
}
