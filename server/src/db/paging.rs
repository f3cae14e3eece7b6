//! Keyset pages: a page begins after the last row of the page before, so its cost does not depend on its depth.

use sqlx::Row as _;
use sqlx::any::AnyRow;

/// Position of a row in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// Number that the list is ordered by; 0 in a list that is ordered by ID alone.
    pub(crate) value: i64,
    /// ID of the row, which orders rows of equal value.
    pub(crate) id: String,
}

impl Position {
    /// Position in a row with the columns `k` and `id`.
    pub(super) fn of(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            value: row.try_get("k")?,
            id: row.try_get("id")?,
        })
    }
}

/// Part of a list.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub(crate) rows: Vec<T>,
    /// Position after which the next page begins, if there may be one.
    pub(crate) next: Option<Position>,
}

impl<T> Page<T> {
    /// Page of at most `limit` rows, made of the rows of a query with the limit [`Self::query_limit`]: a row beyond
    /// `limit` shows that there is a next page.
    pub(super) fn new(mut rows: Vec<T>, limit: u32, position: impl Fn(&T) -> Position) -> Self {
        let has_next = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = rows.last().filter(|_| has_next).map(position);
        Self { rows, next }
    }

    pub(super) fn query_limit(limit: u32) -> i64 {
        i64::from(limit) + 1
    }
}
