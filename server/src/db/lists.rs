//! Lists of recordings, independent of the number of rows.
//!
//! A page begins after the last row of the previous page (keyset), never at an offset. It is read from the index of its
//! order as one merged range per status, so its cost depends neither on the number of recordings nor on the depth. A
//! filter without an index (a search) reads a bounded number of rows per page; the page may then be short or empty,
//! with a position from which the next page continues. Further parts of a recording are listed with the first part.

use sortie_api::RecordingStatus;
use sqlx::{AssertSqlSafe, Row};

use super::recordings::{SELECT, status_to_text};
use super::search::Search;
use super::statement::Statement;
use super::{Database, DatabaseError, Page, Position, RecordingRow, labels};
use crate::labels::LabelKind;

/// Rows read for one page of a search.
const STRETCH: i64 = if cfg!(test) { 20 } else { 5_000 };

const STATUSES: [RecordingStatus; 5] = [
    RecordingStatus::Recording,
    RecordingStatus::Uploading,
    RecordingStatus::Processing,
    RecordingStatus::Ready,
    RecordingStatus::Failed,
];

/// Sort key; equal values are ordered by id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sort {
    #[default]
    Created,
    Duration,
    Size,
}

impl Sort {
    fn column(self) -> &'static str {
        match self {
            Self::Created => "created_ms",
            Self::Duration => "duration_ms",
            Self::Size => "size_bytes",
        }
    }
}

/// Filter and order of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct List {
    pub(crate) user_id: Option<String>,
    pub(crate) session_id: Option<String>,
    /// Statuses; empty: any.
    pub(crate) statuses: Vec<RecordingStatus>,
    pub(crate) protected: Option<bool>,
    /// Unix time in ms, inclusive.
    pub(crate) from_ms: Option<i64>,
    /// Unix time in ms, exclusive.
    pub(crate) to_ms: Option<i64>,
    /// Part of an id, a session's id, a file name or the owner's name.
    pub(crate) search: Option<String>,
    /// Index entries that the recording must have; only with [`Sort::Created`].
    pub(crate) labels: Vec<String>,
    pub(crate) sort: Sort,
    pub(crate) ascending: bool,
}

/// Table `recordings`: pages of filtered and sorted lists.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lists<'d> {
    pub(super) database: &'d Database,
}

impl Lists<'_> {
    /// Returns a page of at most `limit` rows after `after`.
    pub(crate) async fn page(
        self,
        list: &List,
        after: Option<&Position>,
        limit: u32,
    ) -> Result<Page<RecordingRow>, DatabaseError> {
        let mut end = None;
        if list.is_searched() {
            let statement = list.end_of_stretch(after);
            let row = sqlx::query_with(AssertSqlSafe(statement.text), statement.arguments)
                .fetch_optional(&self.database.pool)
                .await?;
            if let Some(row) = row {
                end = Some(Position {
                    value: row.try_get("k")?,
                    id: row.try_get("id")?,
                });
            }
        }
        let limit = limit as usize;
        let search = list.search.as_deref().map(Search::new);
        let inexact = search.filter(Search::is_inexact);
        // One row more than requested shows whether there is a next page. A broad pattern may find rows that do not
        // match, so all rows of the range are read.
        let most = match &inexact {
            Some(_) => usize::try_from(STRETCH).unwrap_or(usize::MAX),
            None => limit,
        };
        let statement = list.page(after, end.as_ref(), most.saturating_add(1));
        let mut rows: Vec<RecordingRow> =
            sqlx::query_as_with(AssertSqlSafe(statement.text), statement.arguments)
                .fetch_all(&self.database.pool)
                .await?;
        if let Some(search) = inexact {
            rows.retain(|row| {
                let texts = [&row.id, &row.session_id, &row.filename];
                let mut texts = texts.into_iter().chain(&row.username);
                texts.any(|text| search.finds(text))
            });
        }
        let next = if rows.len() > limit {
            rows.truncate(limit);
            rows.last().map(|row| list.position(row))
        } else {
            end
        };
        Ok(Page { rows, next })
    }
}

/// Side of a range of positions.
#[derive(Clone, Copy)]
struct Bound<'a> {
    value: i64,
    id: &'a str,
    comparison: &'static str,
}

impl List {
    /// Position of a row in this list.
    pub(super) fn position(&self, row: &RecordingRow) -> Position {
        Position {
            value: match self.sort {
                Sort::Created => row.created_ms,
                Sort::Duration => row.duration_ms,
                Sort::Size => row.size_bytes,
            },
            id: row.id.clone(),
        }
    }

    /// Whether rows that do not match must be excluded without an index.
    fn is_searched(&self) -> bool {
        self.search.is_some()
            || !self.labels.is_empty()
            || self.checks_time()
            || self.checks_protection()
    }

    /// In a list ordered by time, a time is a position.
    fn checks_time(&self) -> bool {
        self.sort != Sort::Created && (self.from_ms.is_some() || self.to_ms.is_some())
    }

    /// Protected recordings have an index ordered by time.
    fn checks_protection(&self) -> bool {
        match self.protected {
            None => false,
            Some(true) => self.sort != Sort::Created,
            Some(false) => true,
        }
    }

    /// Returns the last position of the range, if the list continues after it.
    fn end_of_stretch(&self, after: Option<&Position>) -> Statement {
        let mut statement = Statement::default();
        self.places(&mut statement, after, None, false);
        statement.text += &format!(" LIMIT 1 OFFSET {}", STRETCH - 1);
        statement
    }

    /// Returns the rows after `after` up to and including `end`.
    fn page(&self, after: Option<&Position>, end: Option<&Position>, limit: usize) -> Statement {
        let mut statement = Statement {
            text: format!("{SELECT} JOIN ("),
            ..Statement::default()
        };
        self.places(&mut statement, after, end, true);
        let direction = self.direction();
        statement.text += &format!(
            " LIMIT {limit}) AS p ON p.id = r.id ORDER BY p.k {direction}, p.id {direction}"
        );
        statement
    }

    /// Selects value and id of each recording in order, from an index alone unless it is `searched`.
    fn places(
        &self,
        statement: &mut Statement,
        after: Option<&Position>,
        end: Option<&Position>,
        searched: bool,
    ) {
        if !self.labels.is_empty() {
            return self.labelled_places(statement, after, end, searched);
        }
        let column = self.sort.column();
        let mut same = String::new();
        for (name, wanted) in [("user_id", &self.user_id), ("session_id", &self.session_id)] {
            if let Some(wanted) = wanted {
                let value = statement.bind(wanted.clone());
                same += &format!(" AND r.{name} = {value}");
            }
        }
        if self.protected == Some(true) && !self.checks_protection() {
            same += " AND r.protected = 1";
        }
        for bound in self.bounds(after, end) {
            let value = statement.bind(bound.value);
            let id = statement.bind(bound.id.to_owned());
            same += &format!(
                " AND (r.{column}, r.id) {} ({value}, {id})",
                bound.comparison
            );
        }
        if searched {
            self.checks(statement, &mut same);
        }
        let statuses = if self.statuses.is_empty() {
            &STATUSES[..]
        } else {
            &self.statuses
        };
        let direction = self.direction();
        let order = format!("ORDER BY k {direction}, id {direction}");
        // The inner order lets PostgreSQL merge the ranges; SQLite does so anyway.
        let ranges: Vec<String> = statuses
            .iter()
            .map(|status| {
                format!(
                    "SELECT k, id FROM (SELECT r.{column} AS k, r.id AS id FROM recordings AS r \
                     WHERE r.kind <> 'partial' AND r.part_of IS NULL AND r.status = '{}'{same} {order}) AS {0}",
                    status_to_text(*status)
                )
            })
            .collect();
        statement.text += &format!("{} {order}", ranges.join(" UNION ALL "));
    }

    /// Selects position and id of each recording with these labels in order, from the index of the first label; with
    /// `searched`, only of those that match the other filters.
    fn labelled_places(
        &self,
        statement: &mut Statement,
        after: Option<&Position>,
        end: Option<&Position>,
        searched: bool,
    ) {
        let label = statement.bind(self.labels.first().cloned().unwrap_or_default());
        let mut same = format!(" WHERE l.label = {label}");
        if let Some(owner) = &self.user_id {
            let value = statement.bind(owner.clone());
            same += &format!(" AND l.owner_id = {value}");
        }
        for bound in self.bounds(after, end) {
            let value = statement.bind(bound.value);
            let id = statement.bind(bound.id.to_owned());
            same += &format!(
                " AND (l.position, l.subject_id) {} ({value}, {id})",
                bound.comparison
            );
        }
        let mut join = "";
        if searched {
            join = " JOIN recordings AS r ON r.id = l.subject_id";
            same += " AND r.part_of IS NULL AND COALESCE(r.kind, '') <> 'partial'";
            if let Some(session) = &self.session_id {
                let value = statement.bind(session.clone());
                // Expressions, so that no other index than that of the label is used.
                same += &format!(" AND COALESCE(r.session_id, '') = {value}");
            }
            if !self.statuses.is_empty() {
                let statuses = self.statuses.iter().copied().map(status_to_text);
                let statuses: Vec<_> = statuses.map(|status| format!("'{status}'")).collect();
                same += &format!(" AND COALESCE(r.status, '') IN ({})", statuses.join(", "));
            }
            if let Some(protected) = self.protected {
                same += &format!(" AND COALESCE(r.protected, 0) = {}", i64::from(protected));
            }
            let others = self.labels.iter().skip(1);
            let others: Vec<_> = others.map(|label| statement.bind(label.clone())).collect();
            same += &labels::has_labels(LabelKind::Recording, "l.subject_id", &others);
            self.checks_search(statement, &mut same);
        }
        let direction = self.direction();
        statement.text += &format!(
            "SELECT l.position AS k, l.subject_id AS id FROM recording_labels AS l{join}{same} \
             ORDER BY k {direction}, id {direction}"
        );
    }

    /// At most one lower and one upper bound, the narrowest: an index can follow only one of each.
    fn bounds<'a>(&self, after: Option<&'a Position>, end: Option<&'a Position>) -> Vec<Bound<'a>> {
        let time = |ms: Option<i64>, comparison| {
            ms.filter(|_| self.sort == Sort::Created)
                .map(|value| Bound {
                    value,
                    id: "",
                    comparison,
                })
        };
        let at = |place: Option<&'a Position>, comparison| {
            place.map(|place| Bound {
                value: place.value,
                id: place.id.as_str(),
                comparison,
            })
        };
        let (from, to) = (time(self.from_ms, ">="), time(self.to_ms, "<"));
        let (lower, upper) = if self.ascending {
            ([at(after, ">"), from], [at(end, "<="), to])
        } else {
            ([at(end, ">="), from], [at(after, "<"), to])
        };
        let key = |bound: &Bound<'a>| (bound.value, bound.id);
        let lower = lower.into_iter().flatten().max_by_key(key);
        let upper = upper.into_iter().flatten().min_by_key(key);
        lower.into_iter().chain(upper).collect()
    }

    /// Conditions checked row by row.
    fn checks(&self, statement: &mut Statement, conditions: &mut String) {
        if self.checks_time() {
            for (limit, comparison) in [(self.from_ms, ">="), (self.to_ms, "<")] {
                if let Some(limit) = limit {
                    let value = statement.bind(limit);
                    *conditions += &format!(" AND r.created_ms {comparison} {value}");
                }
            }
        }
        if let (true, Some(protected)) = (self.checks_protection(), self.protected) {
            *conditions += &format!(" AND r.protected = {}", i64::from(protected));
        }
        self.checks_search(statement, conditions);
    }

    fn checks_search(&self, statement: &mut Statement, conditions: &mut String) {
        if let Some(search) = &self.search {
            let pattern = statement.bind(Search::new(search).pattern());
            let has = |column| format!("lower({column}) LIKE {pattern} ESCAPE '!'");
            *conditions += &format!(
                " AND ({} OR {} OR {} OR r.user_id IN (SELECT id FROM users WHERE {}))",
                has("r.id"),
                has("r.session_id"),
                has("r.filename"),
                has("username"),
            );
        }
    }

    fn direction(&self) -> &'static str {
        if self.ascending { "ASC" } else { "DESC" }
    }
}

#[cfg(test)]
#[path = "lists/tests.rs"]
mod tests;
