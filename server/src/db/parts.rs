//! Recordings in several parts: rows that name a first part.
//!
//! Statements that add a part or delete a recording lock the first part's row first, so that no part is added to a
//! recording that is being deleted.

use sqlx::AssertSqlSafe;

use super::recordings::SELECT;
use super::{Database, DatabaseError, RecordingRow};

/// Most parts of one recording.
const PARTS_MAX: i64 = 1000;

/// Number of a part that is about to be inserted.
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

/// Gives a new part the protection of the first one.
pub(super) async fn inherit(
    connection: &mut sqlx::AnyConnection,
    first: &str,
    id: &str,
) -> Result<(), DatabaseError> {
    sqlx::query(
        "UPDATE recordings SET protected = (SELECT f.protected FROM recordings AS f WHERE f.id = $1) WHERE id = $2",
    )
    .bind(first)
    .bind(id)
    .execute(connection)
    .await?;
    Ok(())
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

impl Database {
    /// Further parts of these recordings, in order of recording and part.
    pub(crate) async fn further_parts(
        &self,
        first: &[&str],
    ) -> Result<Vec<RecordingRow>, DatabaseError> {
        if first.is_empty() {
            return Ok(Vec::new());
        }
        let places: Vec<_> = (1..=first.len()).map(|place| format!("${place}")).collect();
        let sql = format!(
            "{SELECT} WHERE r.part_of IN ({}) ORDER BY r.part_of, r.part",
            places.join(", ")
        );
        let mut query = sqlx::query_as(AssertSqlSafe(sql));
        for id in first {
            query = query.bind((*id).to_owned());
        }
        Ok(query.fetch_all(&self.pool).await?)
    }
}
