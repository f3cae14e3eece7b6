//! Recordings in several parts: rows that refer to a first part.
//!
//! Statements that add a part or delete a recording lock the first part's row first, so that no part is added to a
//! recording that is being deleted.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, Row as _};

use super::recordings::SELECT;
use super::statement::placeholders;
use super::{Database, DatabaseError, List, Page, RecordingRow};

/// Most parts of one recording.
const PARTS_MAX: u16 = 1000;

/// Most further parts of all recordings of a page.
const PAGE_PARTS_MAX: u16 = 2 * PARTS_MAX;

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
        "UPDATE recordings SET deleting = 0 WHERE id = $1 AND deleting = 0 AND part_of IS NULL AND status <> 'trashed'",
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
    if last >= i64::from(PARTS_MAX) {
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
    /// Returns the further part of a recording with this number.
    pub(crate) async fn numbered(
        self,
        first: &str,
        number: i64,
    ) -> Result<Option<RecordingRow>, DatabaseError> {
        let sql = format!("{SELECT} WHERE r.part_of = $1 AND r.part = $2");
        Ok(sqlx::query_as(AssertSqlSafe(sql))
            .bind(first)
            .bind(number)
            .fetch_optional(&self.database.pool)
            .await?)
    }

    /// Returns a page with the further parts of its recordings, in order of recording and part. A page with more than
    /// [`PAGE_PARTS_MAX`] further parts is cut before the recording that exceeds the limit; the next page begins with
    /// that recording.
    pub(crate) async fn of_page(
        self,
        list: &List,
        mut page: Page<RecordingRow>,
    ) -> Result<(Page<RecordingRow>, Vec<RecordingRow>), DatabaseError> {
        // One row more than allowed shows an excess, so that an ordinary page needs no count.
        let most = usize::from(PAGE_PARTS_MAX);
        let further = self.fetch(&ids(&page.rows), Some(most + 1)).await?;
        if further.len() <= most {
            return Ok((page, further));
        }
        let parts = self.count(&ids(&page.rows)).await?;
        let mut total = 0;
        let excess = page.rows.iter().position(|row| {
            total += parts.get(&row.id).copied().unwrap_or(0);
            total > most
        });
        // A recording has fewer parts than a page may have.
        if let Some(excess) = excess.filter(|&excess| excess > 0) {
            page.rows.truncate(excess);
            page.next = page.rows.last().map(|row| list.position(row));
        }
        let further = self.of(&ids(&page.rows)).await?;
        Ok((page, further))
    }

    /// Returns the further parts of these recordings, in order of recording and part.
    pub(crate) async fn of(self, first: &[&str]) -> Result<Vec<RecordingRow>, DatabaseError> {
        self.fetch(first, None).await
    }

    async fn fetch(
        self,
        first: &[&str],
        limit: Option<usize>,
    ) -> Result<Vec<RecordingRow>, DatabaseError> {
        if first.is_empty() {
            return Ok(Vec::new());
        }
        let limit = limit.map_or_else(String::new, |limit| format!(" LIMIT {limit}"));
        let sql = format!(
            "{SELECT} WHERE r.part_of IN ({}) ORDER BY r.part_of, r.part{limit}",
            placeholders(1, first.len())
        );
        let mut query = sqlx::query_as(AssertSqlSafe(sql));
        for id in first {
            query = query.bind((*id).to_owned());
        }
        Ok(query.fetch_all(&self.database.pool).await?)
    }

    /// Counts the further parts of these recordings; those without a further part are absent.
    async fn count(self, first: &[&str]) -> Result<HashMap<String, usize>, DatabaseError> {
        let sql = format!(
            "SELECT part_of, COUNT(*) AS parts FROM recordings WHERE part_of IN ({}) GROUP BY part_of",
            placeholders(1, first.len())
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for id in first {
            query = query.bind((*id).to_owned());
        }
        let mut parts = HashMap::new();
        for row in query.fetch_all(&self.database.pool).await? {
            let count: i64 = row.try_get("parts")?;
            parts.insert(
                row.try_get("part_of")?,
                usize::try_from(count).unwrap_or(usize::MAX),
            );
        }
        Ok(parts)
    }
}

fn ids(rows: &[RecordingRow]) -> Vec<&str> {
    rows.iter().map(|row| row.id.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at_most, database, growing};
    use super::*;
    use crate::db::Insertion;

    /// Inserts a recording with that many further parts.
    async fn seed(database: &Database, first: &str, further: i64) -> Result<(), DatabaseError> {
        let inserted = database
            .recordings()
            .insert(&growing(first), at_most(9), None)
            .await?;
        assert_eq!(inserted, Insertion::Done);
        sqlx::query(
            "WITH RECURSIVE n(i) AS (SELECT CAST($1 AS BIGINT) UNION ALL SELECT i - 1 FROM n WHERE i > 0) \
             INSERT INTO recordings (id, session_id, user_id, filename, storage_backend, storage_path, status, kind, \
             created_ms, part_of, part) SELECT CAST($2 AS TEXT) || '-' || CAST(i AS TEXT), '', 'ann', '', 'local', '', \
             'ready', 'recording', 1, $2, i + 1 FROM n WHERE i > 0",
        )
        .bind(further)
        .bind(first)
        .execute(&database.pool)
        .await?;
        Ok(())
    }

    /// Recordings of each page, with the numbers of their further parts.
    async fn pages(database: &Database) -> Result<Vec<Vec<(String, usize)>>, DatabaseError> {
        let (list, mut after, mut pages) = (List::default(), None, Vec::new());
        loop {
            let page = database.lists().page(&list, after.as_ref(), 10).await?;
            let (page, further) = database.parts().of_page(&list, page).await?;
            let counted = page.rows.iter().map(|row| {
                let parts = further
                    .iter()
                    .filter(|part| part.part_of.as_ref() == Some(&row.id));
                (row.id.clone(), parts.count())
            });
            let counted: Vec<_> = counted.collect();
            let total: usize = counted.iter().map(|(_, parts)| parts).sum();
            assert_eq!(total, further.len(), "parts of other recordings");
            assert!(further.is_sorted_by_key(|part| (&part.part_of, part.part)));
            pages.push(counted);
            after = page.next;
            if after.is_none() {
                return Ok(pages);
            }
        }
    }

    #[tokio::test]
    async fn page_ends_before_the_recording_whose_parts_exceed_the_limit()
    -> Result<(), DatabaseError> {
        let folder = tempfile::tempdir().expect("a folder");
        let database = database(folder.path()).await?;
        // Listed from the last id to the first, while parts are read in the order of the ids.
        for (first, further) in [("a", 5), ("b", 999), ("c", 999), ("d", 0), ("e", 999)] {
            seed(&database, first, further).await?;
        }
        let page = |rows: &[(&str, usize)]| -> Vec<(String, usize)> {
            rows.iter()
                .map(|(id, parts)| ((*id).to_owned(), *parts))
                .collect()
        };
        let expected = [
            page(&[("e", 999), ("d", 0), ("c", 999)]),
            page(&[("b", 999), ("a", 5)]),
        ];
        assert_eq!(pages(&database).await?, expected);
        Ok(())
    }

    #[tokio::test]
    async fn page_with_exactly_as_many_parts_as_allowed_is_whole() -> Result<(), DatabaseError> {
        let folder = tempfile::tempdir().expect("a folder");
        let database = database(folder.path()).await?;
        for (first, further) in [("a", 2), ("b", 999), ("c", 999)] {
            seed(&database, first, further).await?;
        }
        let counted = pages(&database).await?;
        assert_eq!(counted.len(), 1, "{counted:?}");
        let total: usize = counted[0].iter().map(|(_, parts)| parts).sum();
        assert_eq!(total, usize::from(PAGE_PARTS_MAX));
        Ok(())
    }
}
