//! Bounded counts of the recordings in a list.

use sortie_api::{RecordingCount, RecordingTotals};
use sqlx::{AnyConnection, Row};

use super::lists::{Lists, Order, read_place};
use super::statement::Statement;
use super::{DatabaseError, List, Sort};

/// Largest count.
const COUNT_MAX: usize = if cfg!(test) { 30 } else { 10_000 };
/// Largest number of a search's matches that are read.
const MATCHES_MAX: i64 = if cfg!(test) { 40 } else { 10_000 };
/// Beginning of the statement with totals.
const TOTALS: &str = "SELECT COUNT(*) AS recordings, \
    CAST(COALESCE(SUM(r.size_bytes + (SELECT COALESCE(SUM(x.size_bytes), 0) FROM recordings AS x \
    WHERE x.part_of = r.id)), 0) AS BIGINT) AS bytes, \
    CAST(COALESCE(SUM(r.protected), 0) AS BIGINT) AS protected, \
    COUNT(CASE WHEN r.status IN ('recording', 'uploading') THEN 1 END) AS open, \
    CAST(COALESCE(SUM(r.forward_pending), 0) AS BIGINT) AS forward_pending FROM recordings AS r JOIN (";

/// Number of recordings, and what they have.
#[derive(Default)]
struct Sum {
    recordings: u64,
    totals: RecordingTotals,
}

impl Lists<'_> {
    /// Counts the recordings of a list in its order, at most [`COUNT_MAX`]. Without totals an ordinary list is counted
    /// from its index alone.
    pub(crate) async fn count(
        self,
        list: &List,
        with_totals: bool,
    ) -> Result<RecordingCount, DatabaseError> {
        let (mut connection, list, end) = self.begin(list, None).await?;
        let mut is_complete = end.is_none();
        let mut statement = begin(with_totals);
        list.places(&mut statement, None, end.as_ref(), true);
        statement.text += &format!(" LIMIT {COUNT_MAX}");
        let mut sum = Sum::default();
        sum.add(statement, with_totals, &mut connection).await?;
        if let Some(reached) = &end
            && let Some(terms) = self.indexed_terms(&list, &mut connection).await?
        {
            let limit =
                COUNT_MAX.saturating_sub(usize::try_from(sum.recordings).unwrap_or(usize::MAX));
            let is_sqlite = self.database.is_sqlite;
            let order = if terms.is_compared(is_sqlite) {
                if list.sort != Sort::Created {
                    // The texts are in the order of time.
                    return Ok(sum.counted(false, with_totals));
                }
                let end = list.end_of_texts(reached, &mut connection).await?;
                is_complete = end.is_none();
                Order::Place { limit, end }
            } else {
                let matches = MATCHES_MAX;
                let last = list.match_number(matches, &terms, None, is_sqlite);
                is_complete = read_place(last, &mut connection).await?.is_none();
                Order::None { limit, matches }
            };
            let mut statement = begin(with_totals);
            list.match_places(&mut statement, &terms, reached, order, is_sqlite);
            sum.add(statement, with_totals, &mut connection).await?;
        }
        Ok(sum.counted(is_complete, with_totals))
    }
}

/// Returns the beginning of a statement that counts places.
fn begin(with_totals: bool) -> Statement {
    Statement::new(match with_totals {
        true => TOTALS,
        false => "SELECT COUNT(*) AS recordings FROM (",
    })
}

impl Sum {
    fn counted(self, is_complete: bool, with_totals: bool) -> RecordingCount {
        RecordingCount {
            count: self.recordings,
            complete: is_complete && self.recordings < COUNT_MAX as u64,
            totals: with_totals.then_some(self.totals),
        }
    }

    /// Adds the recordings that a statement of [`begin`] selects.
    async fn add(
        &mut self,
        mut statement: Statement,
        with_totals: bool,
        connection: &mut AnyConnection,
    ) -> Result<(), DatabaseError> {
        statement.text += ") AS p";
        if with_totals {
            statement.text += " ON p.id = r.id";
        }
        for row in statement.fetch_all(connection).await? {
            let number = |name| row.try_get(name).map(i64::unsigned_abs);
            self.recordings += number("recordings")?;
            if with_totals {
                self.totals.size_bytes += number("bytes")?;
                self.totals.protected += number("protected")?;
                self.totals.open += number("open")?;
                self.totals.forward_pending += number("forward_pending")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::lists::tests::seed;
    use crate::db::testing::database;

    #[tokio::test]
    async fn count_agrees_with_the_pages_and_is_bounded() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = database(folder.path()).await.expect("a database");
        seed(&database, 200).await;
        for search in [None, Some("100% 1"), Some("100% 1é"), Some("missing")] {
            for user in [None, Some("user-1")] {
                for source in [None, Some("tab")] {
                    let list = List {
                        search: search.map(str::to_owned),
                        user_id: user.map(str::to_owned),
                        source: source.map(str::to_owned),
                        ..List::default()
                    };
                    let (mut rows, mut after) = (Vec::new(), None);
                    loop {
                        let page = database.lists().page(&list, after.as_ref(), 7).await;
                        let page = page.expect("a page");
                        rows.extend(page.rows);
                        after = page.next;
                        if after.is_none() {
                            break;
                        }
                    }
                    let count = database.lists().count(&list, true).await.expect("a count");
                    let quick = database.lists().count(&list, false).await;
                    let quick = quick.expect("a count");
                    assert_eq!((quick.count, quick.complete), (count.count, count.complete));
                    assert!(count.count <= COUNT_MAX as u64, "{list:?} {count:?}");
                    if count.complete {
                        let protected = rows.iter().filter(|row| row.protected).count();
                        assert_eq!(count.count, rows.len() as u64, "{list:?}");
                        let totals = count.totals.expect("totals");
                        assert_eq!(totals.protected, protected as u64, "{list:?}");
                    } else {
                        assert!(rows.len() as u64 >= count.count, "{list:?} {count:?}");
                    }
                }
            }
        }
        let few = List {
            session_id: Some("session-4".to_owned()),
            ..List::default()
        };
        let count = database.lists().count(&few, false).await.expect("a count");
        assert!(count.complete && count.count > 5, "{count:?}");
    }
}
