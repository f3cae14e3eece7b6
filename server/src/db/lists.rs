//! Lists of recordings, independent of the number of rows.
//!
//! A page begins after the last row of the previous page (keyset), never at an offset. It is read from the index of its
//! order as one merged range per status, so its cost depends neither on the number of recordings nor on the depth. A
//! filter without an index reads a bounded number of rows per page; the page may then be short or empty, with a position
//! from which the next page continues. Further parts of a recording are listed with the first part.
//!
//! A search reads some rows in order first, which suffices for words that many recordings have, and for lists of few
//! recordings. For the rest of its page it reads the index of trigrams, which suffices for words that few recordings have.
//! It reads a bounded number of matches of it, so that a filter that excludes most of them cannot read all. The index is
//! asked for the rarest trigrams of the words only, because it reads the entries of all that it is asked for; the texts that
//! it finds are then compared. PostgreSQL reads all entries before the first match, so that one statement reads them once,
//! and texts are compared in order instead if all trigrams are common.

use std::borrow::Cow;

use sortie_api::RecordingStatus;
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AssertSqlSafe, FromRow as _, Row as _};

use super::pool::is_sqlite;
use super::recordings::{SELECT, signed, status_to_text};
use super::search_index::{first_place, time_of};
use super::search_terms::{SearchTerms, fts_query, pattern};
use super::statement::Statement;
use super::{Database, DatabaseError, Page, Position, RecordingRow, labels};
use crate::labels::LabelKind;

/// Rows read in order for one page of a filter without an index.
const STRETCH: i64 = if cfg!(test) { 20 } else { 5_000 };
/// The same for a search, whose rows cost more.
const SEARCH_STRETCH: i64 = if cfg!(test) { 20 } else { 2_000 };
/// The same for a search in the order of the index of trigrams, which is read behind it.
const INDEXED_STRETCH: i64 = if cfg!(test) { 10 } else { 500 };
/// Matches of a search that are read for one page.
const MATCHES: i64 = if cfg!(test) { 20 } else { 2_000 };

/// Trigrams that the index is asked for.
const RAREST: usize = 3;
/// Newest texts that tell how rare a trigram is.
const SAMPLE: i64 = 500;
/// Texts of the sample with a common trigram.
const COMMON: i64 = SAMPLE / if cfg!(test) { 5 } else { 50 };
/// Texts that PostgreSQL compares in order for one page.
const TEXTS: i64 = if cfg!(test) { 30 } else { 30_000 };

/// Largest number of matches with the same time.
const SAME_TIME: usize = 10_000;

/// Statuses of a list that names none: those of all recordings outside of the trash.
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
    Active,
}

impl Sort {
    fn column(self) -> &'static str {
        match self {
            Self::Created => "created_ms",
            Self::Duration => "duration_ms",
            Self::Size => "size_bytes",
            Self::Active => "active_ms",
        }
    }
}

/// Filter and order of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct List {
    pub(crate) id: Option<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) session_id: Option<String>,
    /// Statuses; empty: any but `trashed`.
    pub(crate) statuses: Vec<RecordingStatus>,
    pub(crate) protected: Option<bool>,
    /// Unix time in ms, inclusive.
    pub(crate) from_ms: Option<i64>,
    /// Unix time in ms, exclusive.
    pub(crate) to_ms: Option<i64>,
    /// ID of the recording or its session, or words in its title, file name, tags, application, labels, markers or the
    /// owner's name.
    pub(crate) search: Option<String>,
    /// Index entries that the recording must have; only with [`Sort::Created`].
    pub(crate) labels: Vec<String>,
    /// Tags without regard to case that the recording must have; only with [`Sort::Created`].
    pub(crate) tags: Vec<String>,
    pub(crate) source: Option<String>,
    /// Shortest duration in ms, inclusive.
    pub(crate) min_ms: Option<i64>,
    /// Longest duration in ms, inclusive.
    pub(crate) max_ms: Option<i64>,
    /// User who must not have watched the recording.
    pub(crate) unwatched_by: Option<String>,
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
        let (mut connection, list, mut end) = self.begin(list, after).await?;
        // One row more than requested shows whether there is a next page.
        let most = (limit as usize).saturating_add(1);
        let statement = list.page(after, end.as_ref(), most);
        let mut rows = records(statement, &mut connection).await?;
        if rows.len() < most
            && let Some(reached) = &end
            && let Some(terms) = self.indexed_terms(&list, &mut connection).await?
        {
            let missing = most - rows.len();
            let further = list.by_trigrams(&terms, reached, missing, &mut connection);
            let further = further.await?;
            rows.extend(further.rows);
            end = further.next;
        }
        let next = if rows.len() == most {
            rows.truncate(limit as usize);
            rows.last().map(|row| list.position(row))
        } else {
            end
        };
        Ok(Page { rows, next })
    }

    /// Begins to read a list after `after`. Returns the list, or that of the ID which is searched for, and the end of the
    /// rows that are read in order, if rows must be excluded without an index.
    pub(super) async fn begin<'l>(
        self,
        list: &'l List,
        after: Option<&Position>,
    ) -> Result<(PoolConnection<Any>, Cow<'l, List>, Option<Position>), DatabaseError> {
        if list.search.is_some()
            && let Err(error) = self.database.search_index().update().await
        {
            // A background task will do it; until then the search does not find the latest changes.
            tracing::warn!(%error, "the search index was not updated");
        }
        let mut connection = self.database.pool.acquire().await?;
        let by_id = self.by_id(list, &mut connection).await?;
        let list = by_id.map_or(Cow::Borrowed(list), Cow::Owned);
        let mut end = None;
        if list.is_searched() {
            let rows = list.row_number(self.stretch(&list), after);
            let rows = rows.fetch_all(&mut connection);
            end = rows.await?.first().map(Position::of).transpose()?;
        }
        Ok((connection, list, end))
    }

    /// Rows of a list that are read in order for one page.
    fn stretch(self, list: &List) -> i64 {
        match list.terms() {
            None => STRETCH,
            Some(terms) if self.is_indexed(&terms) && list.sort == Sort::Created => INDEXED_STRETCH,
            Some(_) => SEARCH_STRETCH,
        }
    }

    /// Whether the index of trigrams can find the words of a search.
    fn is_indexed(self, terms: &SearchTerms) -> bool {
        self.database.has_trigrams && terms.is_indexable()
    }

    /// Returns the words of a search if the index of trigrams can find them.
    pub(super) async fn indexed_terms(
        self,
        list: &List,
        connection: &mut AnyConnection,
    ) -> Result<Option<IndexedTerms>, DatabaseError> {
        let Some(terms) = list.terms().filter(|terms| self.is_indexed(terms)) else {
            return Ok(None);
        };
        Ok(Some(IndexedTerms::new(terms, connection).await?))
    }

    /// Returns the list of the recording or the session whose ID is searched for; `None` if there is neither.
    async fn by_id(
        self,
        list: &List,
        connection: &mut AnyConnection,
    ) -> Result<Option<List>, DatabaseError> {
        let Some(id) = list.search.as_deref().map(str::trim) else {
            return Ok(None);
        };
        for column in ["id", "session_id"] {
            let known: Option<i64> = sqlx::query_scalar(AssertSqlSafe(format!(
                "SELECT created_ms FROM recordings WHERE {column} = $1 AND kind <> 'partial' AND part_of IS NULL LIMIT 1"
            )))
            .bind(id)
            .fetch_optional(&mut *connection)
            .await?;
            if known.is_none() {
                continue;
            }
            let mut found = List {
                search: None,
                ..list.clone()
            };
            if column == "id" {
                found.id = Some(id.to_owned());
            } else if list
                .session_id
                .as_deref()
                .is_none_or(|session| session == id)
            {
                found.session_id = Some(id.to_owned());
            } else {
                continue;
            }
            return Ok(Some(found));
        }
        Ok(None)
    }
}

/// Words of a search that the index of trigrams can find.
pub(super) struct IndexedTerms {
    terms: SearchTerms,
    /// Rarest trigrams of the words among the newest recordings.
    rarest: Vec<String>,
    /// Whether many recordings have all of them.
    is_common: bool,
}

impl IndexedTerms {
    async fn new(
        terms: SearchTerms,
        connection: &mut AnyConnection,
    ) -> Result<Self, DatabaseError> {
        let mut statement = Statement::new("SELECT ");
        let trigrams = terms.trigrams();
        for (number, trigram) in trigrams.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            let pattern = statement.bind(pattern(trigram));
            statement.text +=
                &format!("{comma}COUNT(CASE WHEN t.text LIKE {pattern} ESCAPE '!' THEN 1 END)");
        }
        statement.text += &format!(
            " FROM (SELECT text FROM recording_texts ORDER BY place DESC LIMIT {SAMPLE}) AS t"
        );
        let counts = statement.fetch_all(connection).await?;
        let mut counted = Vec::new();
        for (number, trigram) in trigrams.into_iter().enumerate() {
            let count = counts.first().map(|row| row.try_get::<i64, _>(number));
            counted.push((count.transpose()?.unwrap_or(0), trigram));
        }
        counted.sort_by_key(|(count, _)| *count);
        counted.truncate(RAREST);
        Ok(Self {
            terms,
            is_common: counted.first().is_some_and(|(count, _)| *count >= COMMON),
            rarest: counted.into_iter().map(|(_, trigram)| trigram).collect(),
        })
    }

    /// Returns the condition that the text in PostgreSQL's table `t` contains every word, by the index.
    fn found(&self, statement: &mut Statement) -> String {
        let mut conditions = String::new();
        for trigram in &self.rarest {
            let pattern = statement.bind(pattern(trigram));
            conditions += &format!(" AND t.text LIKE {pattern} ESCAPE '!'");
        }
        conditions + &self.compared(statement)
    }

    /// Returns the same condition, as an expression so that the index is not used.
    fn compared(&self, statement: &mut Statement) -> String {
        let patterns = self.terms.patterns().map(|pattern| {
            let pattern = statement.bind(pattern);
            format!(" AND t.text || '' LIKE {pattern} ESCAPE '!'")
        });
        patterns.collect()
    }

    /// Whether PostgreSQL compares texts in order rather than reading the index.
    pub(super) fn is_compared(&self, is_sqlite: bool) -> bool {
        self.is_common && !is_sqlite
    }
}

async fn records(
    statement: Statement,
    connection: &mut AnyConnection,
) -> Result<Vec<RecordingRow>, DatabaseError> {
    let query = sqlx::query_as_with(AssertSqlSafe(statement.text), statement.arguments);
    Ok(query.fetch_all(connection).await?)
}

/// Returns the place that a statement selects.
pub(super) async fn read_place(
    statement: Statement,
    connection: &mut AnyConnection,
) -> Result<Option<i64>, DatabaseError> {
    let rows = statement.fetch_all(connection).await?;
    Ok(rows.first().map(|row| row.try_get("place")).transpose()?)
}

/// Order in which matches are read.
#[derive(Clone, Copy)]
pub(super) enum Order {
    /// That of the list: all matches are read and sorted.
    Value { limit: usize },
    /// That of the places, which is that of the list except for rows with the same time; before `end`.
    Place { limit: usize, end: Option<i64> },
    /// All rows with this time.
    At { time: i64 },
    /// None; at most `matches` are read.
    None { limit: usize, matches: i64 },
}

/// Column with the place of a match.
fn place_column(is_sqlite: bool) -> &'static str {
    if is_sqlite { "f.rowid" } else { "t.place" }
}

/// Returns the condition that the text in the table `t` contains every word.
fn contains(statement: &mut Statement, terms: &SearchTerms) -> String {
    terms
        .patterns()
        .map(|pattern| format!(" AND t.text LIKE {} ESCAPE '!'", statement.bind(pattern)))
        .collect()
}

/// Returns the position before all rows with this time.
fn at_time(value: i64) -> Position {
    Position {
        value,
        id: String::new(),
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
                Sort::Active => row.library.active_ms.map_or(-1, signed),
            },
            id: row.id.clone(),
        }
    }

    /// Statuses of the list.
    fn statuses(&self) -> &[RecordingStatus] {
        match self.statuses.is_empty() {
            true => &STATUSES,
            false => &self.statuses,
        }
    }

    /// Returns the condition that a status is one of the list's.
    fn among_statuses(&self) -> String {
        let statuses = self.statuses().iter().copied().map(status_to_text);
        let statuses: Vec<_> = statuses.map(|status| format!("'{status}'")).collect();
        format!(" IN ({})", statuses.join(", "))
    }

    /// Whether rows that do not match must be excluded without an index.
    fn is_searched(&self) -> bool {
        self.search.is_some()
            || self.is_labelled()
            || self.source.is_some()
            || self.unwatched_by.is_some()
            || self.checks_time()
            || self.checks_duration()
            || self.checks_protection()
    }

    /// Whether the list is read from the index of a label or a tag.
    fn is_labelled(&self) -> bool {
        !self.labels.is_empty() || !self.tags.is_empty()
    }

    /// In a list ordered by duration, a duration is a position.
    fn checks_duration(&self) -> bool {
        self.sort != Sort::Duration && (self.min_ms.is_some() || self.max_ms.is_some())
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

    /// Returns the position of a row by its number, counted from 1 after `after`, if the list has that many.
    fn row_number(&self, number: i64, after: Option<&Position>) -> Statement {
        let mut statement = Statement::default();
        self.places(&mut statement, after, None, false);
        statement.text += &format!(" LIMIT 1 OFFSET {}", number - 1);
        statement
    }

    /// Returns the rows after `after` up to and including `end`.
    fn page(&self, after: Option<&Position>, end: Option<&Position>, limit: usize) -> Statement {
        let mut statement = Statement::new(&format!("{SELECT} JOIN ("));
        self.places(&mut statement, after, end, true);
        let direction = self.direction();
        statement.text += &format!(
            " LIMIT {limit}) AS p ON p.id = r.id ORDER BY p.k {direction}, p.id {direction}"
        );
        statement
    }

    /// Returns at most `limit` rows after `after`, found by the index of trigrams, and the position that was reached if it
    /// has further matches.
    async fn by_trigrams(
        &self,
        terms: &IndexedTerms,
        after: &Position,
        limit: usize,
        connection: &mut AnyConnection,
    ) -> Result<Page<RecordingRow>, DatabaseError> {
        if !is_sqlite(connection) {
            return self.on_postgres(terms, after, limit, connection).await;
        }
        let by_place = self.sort == Sort::Created;
        let end = self.match_number(MATCHES, terms, by_place.then_some(after), true);
        let end = read_place(end, connection).await?;
        if !by_place && end.is_some() {
            return Ok(Self::too_many(after));
        }
        // Behind all matches of the same time.
        let end = end.map(|place| self.behind(place));
        // FTS5 returns rows in the order of their places, like the times of the recordings. Reading ends with the page.
        let order = match by_place {
            true => Order::Place { limit, end },
            false => Order::Value { limit },
        };
        let mut rows = records(self.matches(terms, after, order, true), connection).await?;
        if by_place && rows.len() == limit {
            self.complete_time(&mut rows, terms, after, limit, connection)
                .await?;
        }
        Ok(Page {
            rows,
            next: end.map(at_time),
        })
    }

    /// The same for PostgreSQL, which reads all matches before it sorts them, so that a statement should do so once.
    async fn on_postgres(
        &self,
        terms: &IndexedTerms,
        after: &Position,
        limit: usize,
        connection: &mut AnyConnection,
    ) -> Result<Page<RecordingRow>, DatabaseError> {
        let by_place = self.sort == Sort::Created;
        let mut end = None;
        if terms.is_common {
            if !by_place {
                // The texts are in the order of time.
                return Ok(Self::too_many(after));
            }
            end = self.end_of_texts(after, connection).await?;
        }
        let statement = self.page_of_matches(terms, after, end, limit);
        let found = statement.fetch_all(&mut *connection).await?;
        let cut = found.first().map(|row| row.try_get("cut")).transpose()?;
        let cut: Option<i64> = cut.flatten();
        let mut rows = Vec::with_capacity(found.len());
        for row in &found {
            // Without rows, there is one that has the cut only.
            if row.try_get::<Option<String>, _>("id")?.is_some() {
                rows.push(RecordingRow::from_row(row)?);
            }
        }
        if !by_place {
            return Ok(match cut {
                Some(_) => Self::too_many(after),
                None => Page { rows, next: None },
            });
        }
        if rows.len() == limit {
            self.complete_time(&mut rows, terms, after, limit, connection)
                .await?;
        } else if let Some(place) = cut {
            // The list's filters have excluded matches, and there may be more than were read.
            let before = self.before(place);
            // Positions have an ID, which is empty in one before all rows with its time.
            let advances = match self.ascending {
                true => before > after.value,
                false => (before, "") < (after.value, &*after.id),
            };
            if advances {
                rows.retain(|row| row.created_ms != time_of(place));
                end = Some(before);
            } else {
                // All of them have the same time, and there may be more of it.
                let order = Order::At {
                    time: time_of(place),
                };
                rows = records(self.matches(terms, after, order, false), connection).await?;
                rows.truncate(limit);
                end = Some(self.behind(place));
            }
        }
        Ok(Page {
            rows,
            next: end.map(at_time),
        })
    }

    /// Page of a search that has so many matches that the rows read in order have some of them.
    fn too_many(after: &Position) -> Page<RecordingRow> {
        Page {
            rows: Vec::new(),
            next: Some(after.clone()),
        }
    }

    /// Replaces the last rows of a full page in the order of the places: the order of rows with the same time is another
    /// one, so they may be the wrong ones.
    async fn complete_time(
        &self,
        rows: &mut Vec<RecordingRow>,
        terms: &IndexedTerms,
        after: &Position,
        limit: usize,
        connection: &mut AnyConnection,
    ) -> Result<(), DatabaseError> {
        let Some(time) = rows.last().map(|row| row.created_ms) else {
            return Ok(());
        };
        rows.retain(|row| row.created_ms != time);
        let is_sqlite = is_sqlite(connection);
        let statement = self.matches(terms, after, Order::At { time }, is_sqlite);
        rows.extend(records(statement, connection).await?);
        rows.truncate(limit);
        Ok(())
    }

    /// Returns the time behind all rows with the time of a place.
    fn behind(&self, place: i64) -> i64 {
        match self.ascending {
            true => time_of(place).saturating_add(1),
            false => time_of(place),
        }
    }

    /// Returns the time before all rows with the time of a place.
    fn before(&self, place: i64) -> i64 {
        match self.ascending {
            true => time_of(place),
            false => time_of(place).saturating_add(1),
        }
    }

    /// Returns the time behind the [`TEXTS`] texts after `after`; `None` if there are fewer.
    pub(super) async fn end_of_texts(
        &self,
        after: &Position,
        connection: &mut AnyConnection,
    ) -> Result<Option<i64>, DatabaseError> {
        let mut statement =
            Statement::new("SELECT t.place AS place FROM recording_texts AS t WHERE true");
        self.checks_places("t.place", Some(after), None, &mut statement);
        let direction = self.direction();
        statement.text += &format!(" ORDER BY t.place {direction} LIMIT 1 OFFSET {}", TEXTS - 1);
        let last = read_place(statement, connection).await?;
        Ok(last.map(|place| self.behind(place)))
    }

    /// Returns the place of a match by its number, counted from 1 in the order of the places after `after`, or else in any.
    pub(super) fn match_number(
        &self,
        number: i64,
        terms: &IndexedTerms,
        after: Option<&Position>,
        is_sqlite: bool,
    ) -> Statement {
        let mut statement = Statement::default();
        let column = place_column(is_sqlite);
        if is_sqlite {
            let query = statement.bind(fts_query(&terms.rarest));
            statement.text = format!(
                "SELECT {column} AS place FROM recording_search AS f WHERE f.recording_search MATCH {query}"
            );
        } else {
            statement.text =
                format!("SELECT {column} AS place FROM recording_texts AS t WHERE true");
            let found = terms.found(&mut statement);
            statement.text += &found;
        }
        if after.is_some() {
            self.checks_places(column, after, None, &mut statement);
            statement.text += &format!(" ORDER BY {column} {}", self.direction());
        }
        statement.text += &format!(" LIMIT 1 OFFSET {}", number - 1);
        statement
    }

    /// Excludes the places outside of the list's times, and those before `after` or not before the time `end`.
    fn checks_places(
        &self,
        column: &str,
        after: Option<&Position>,
        end: Option<i64>,
        statement: &mut Statement,
    ) {
        for bound in self.bounds(after, None) {
            let (comparison, place) = if bound.comparison.starts_with('<') {
                ("<", first_place(bound.value.saturating_add(1)))
            } else {
                (">=", first_place(bound.value))
            };
            let place = statement.bind(place);
            statement.text += &format!(" AND {column} {comparison} {place}");
        }
        if let Some(end) = end {
            let comparison = if self.ascending { "<" } else { ">=" };
            statement.text += &format!(" AND {column} {comparison} {}", first_place(end));
        }
    }

    /// Returns the rows after `after` that the index of trigrams finds.
    fn matches(
        &self,
        terms: &IndexedTerms,
        after: &Position,
        order: Order,
        is_sqlite: bool,
    ) -> Statement {
        let mut statement = Statement::new(&format!("{SELECT} JOIN ("));
        self.match_places(&mut statement, terms, after, order, is_sqlite);
        let direction = self.direction();
        statement.text +=
            &format!(") AS p ON p.id = r.id ORDER BY p.k {direction}, p.id {direction}");
        statement
    }

    /// Returns PostgreSQL's statement for at most `limit` rows among the next [`MATCHES`] matches after `after` and before
    /// `end`, with the place of the last of so many matches in `cut`. Without rows, it returns one with `cut` only.
    fn page_of_matches(
        &self,
        terms: &IndexedTerms,
        after: &Position,
        end: Option<i64>,
        limit: usize,
    ) -> Statement {
        let (direction, column) = (self.direction(), self.sort.column());
        let by_place = self.sort == Sort::Created;
        let order = |place: &str| match by_place {
            true => format!(" ORDER BY {place} {direction}"),
            false => String::new(),
        };
        let mut statement = Statement::new(
            "WITH m AS MATERIALIZED (SELECT t.recording_id, t.place FROM recording_texts AS t WHERE true",
        );
        let found = match terms.is_common {
            true => terms.compared(&mut statement),
            false => terms.found(&mut statement),
        };
        statement.text += &found;
        if by_place {
            self.checks_places("t.place", Some(after), end, &mut statement);
        }
        statement.text += &format!(
            "{} LIMIT {MATCHES}) SELECT c.cut, q.* FROM (SELECT (SELECT m.place FROM m{} LIMIT 1 OFFSET {}) AS cut) AS c \
             LEFT JOIN ({SELECT} JOIN (SELECT r.{column} AS k, r.id AS id \
             FROM m AS t JOIN recordings AS r ON r.id = t.recording_id",
            order("t.place"),
            order("m.place"),
            MATCHES - 1
        );
        self.checks_rows(after, &mut statement);
        statement.text += &match by_place {
            true => order("t.place"),
            false => format!(" ORDER BY k {direction}, id {direction}"),
        };
        statement.text += &format!(
            " LIMIT {limit}) AS p ON p.id = r.id) AS q ON true ORDER BY q.{column} {direction}, q.id {direction}"
        );
        statement
    }

    /// Excludes recordings that are not in the list or not after `after`.
    fn checks_rows(&self, after: &Position, statement: &mut Statement) {
        let column = self.sort.column();
        let mut conditions = " WHERE r.kind <> 'partial' AND r.part_of IS NULL".to_owned();
        conditions += &format!(" AND r.status{}", self.among_statuses());
        self.checks_owner(statement, &mut conditions);
        if let Some(protected) = self.protected {
            conditions += &format!(" AND r.protected = {}", i64::from(protected));
        }
        for bound in self.bounds(Some(after), None) {
            let value = statement.bind(bound.value);
            let id = statement.bind(bound.id.to_owned());
            conditions += &format!(
                " AND (r.{column}, r.id) {} ({value}, {id})",
                bound.comparison
            );
        }
        if self.checks_time() {
            self.checks_created(statement, &mut conditions);
        }
        let labels: Vec<_> = self
            .labels
            .iter()
            .map(|it| statement.bind(it.clone()))
            .collect();
        conditions += &labels::has_labels(LabelKind::Recording, "r.id", &labels);
        self.checks_tags("r.id", statement, &mut conditions);
        self.checks_columns(statement, &mut conditions);
        statement.text += &conditions;
    }

    /// Selects value and id of each recording after `after` that the index of trigrams finds.
    pub(super) fn match_places(
        &self,
        statement: &mut Statement,
        terms: &IndexedTerms,
        after: &Position,
        order: Order,
        is_sqlite: bool,
    ) {
        let direction = self.direction();
        let column = self.sort.column();
        let places = place_column(is_sqlite);
        statement.text += &format!("SELECT r.{column} AS k, r.id AS id FROM ");
        let mut conditions = String::new();
        if is_sqlite {
            let query = statement.bind(fts_query(&terms.rarest));
            if let Order::None { matches, .. } = order {
                statement.text += &format!(
                    "(SELECT rowid FROM recording_search WHERE recording_search MATCH {query} LIMIT {matches}) AS f"
                );
            } else {
                statement.text += "recording_search AS f";
                conditions = format!(" AND f.recording_search MATCH {query}");
            }
            // No other order of these joins is quick.
            statement.text += " CROSS JOIN recording_texts AS t ON t.place = f.rowid \
                CROSS JOIN recordings AS r ON r.id = t.recording_id";
        } else {
            statement.text +=
                "(SELECT t.recording_id, t.place FROM recording_texts AS t WHERE true";
            let found = match order {
                Order::Place { .. } | Order::At { .. } => terms.compared(statement),
                Order::Value { .. } | Order::None { .. } => terms.found(statement),
            };
            statement.text += &found;
            if let Order::Place { end, .. } = order {
                self.checks_places(places, Some(after), end, statement);
            }
            statement.text += &match order {
                Order::None { matches, .. } => format!(" LIMIT {matches}"),
                Order::Place { .. } => format!(" ORDER BY t.place {direction}"),
                Order::Value { .. } | Order::At { .. } => String::new(),
            };
            statement.text += ") AS t JOIN recordings AS r ON r.id = t.recording_id";
        }
        self.checks_rows(after, statement);
        if let Order::Place { end, .. } = order
            && is_sqlite
        {
            self.checks_places(places, Some(after), end, statement);
        }
        statement.text += &conditions;
        if is_sqlite {
            let contains = contains(statement, &terms.terms);
            statement.text += &contains;
        }
        statement.text += &match order {
            Order::Value { limit, .. } => {
                format!(" ORDER BY k {direction}, id {direction} LIMIT {limit}")
            }
            Order::Place { limit, .. } => format!(" ORDER BY {places} {direction} LIMIT {limit}"),
            Order::At { time } => {
                let (first, last) = (first_place(time), first_place(time.saturating_add(1)));
                // The limit keeps SQLite from searching once for each recording.
                format!(" AND {places} >= {first} AND {places} < {last} LIMIT {SAME_TIME}")
            }
            Order::None { limit, .. } => format!(" LIMIT {limit}"),
        };
    }

    /// Selects value and id of each recording in order, from an index alone unless it is `searched`.
    pub(super) fn places(
        &self,
        statement: &mut Statement,
        after: Option<&Position>,
        end: Option<&Position>,
        searched: bool,
    ) {
        if self.is_labelled() {
            return self.labelled_places(statement, after, end, searched);
        }
        let column = self.sort.column();
        let mut same = String::new();
        self.checks_owner(statement, &mut same);
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
        let direction = self.direction();
        let order = format!("ORDER BY k {direction}, id {direction}");
        // The inner order lets PostgreSQL merge the ranges; SQLite does so anyway.
        let ranges: Vec<String> = self
            .statuses()
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
        let none = String::new();
        // A tag is read from its own index if there is no label.
        let (index, first) = match self.labels.first() {
            Some(label) => ("recording_labels", label),
            None => ("recording_tags", self.tags.first().unwrap_or(&none)),
        };
        let label = statement.bind(first.clone());
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
            // Expressions, so that no other index than that of the label is used.
            for (column, wanted) in [("id", &self.id), ("session_id", &self.session_id)] {
                if let Some(wanted) = wanted {
                    let value = statement.bind(wanted.clone());
                    same += &format!(" AND COALESCE(r.{column}, '') = {value}");
                }
            }
            same += &format!(" AND COALESCE(r.status, ''){}", self.among_statuses());
            if let Some(protected) = self.protected {
                same += &format!(" AND COALESCE(r.protected, 0) = {}", i64::from(protected));
            }
            let others = self.labels.iter().skip(1);
            let others: Vec<_> = others.map(|label| statement.bind(label.clone())).collect();
            same += &labels::has_labels(LabelKind::Recording, "l.subject_id", &others);
            self.checks_tags("l.subject_id", statement, &mut same);
            self.checks_columns(statement, &mut same);
            self.checks_search(statement, &mut same);
        }
        let direction = self.direction();
        statement.text += &format!(
            "SELECT l.position AS k, l.subject_id AS id FROM {index} AS l{join}{same} \
             ORDER BY k {direction}, id {direction}"
        );
    }

    /// At most one lower and one upper bound, the narrowest: an index can follow only one of each.
    fn bounds<'a>(&self, after: Option<&'a Position>, end: Option<&'a Position>) -> Vec<Bound<'a>> {
        let limit = |value: Option<i64>, comparison| {
            value.map(|value| Bound {
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
        let (from, to) = match self.sort {
            Sort::Created => (self.from_ms, self.to_ms),
            Sort::Duration => (self.min_ms, self.max_ms.map(|ms| ms.saturating_add(1))),
            Sort::Size | Sort::Active => (None, None),
        };
        let (from, to) = (limit(from, ">="), limit(to, "<"));
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
            self.checks_created(statement, conditions);
        }
        if let (true, Some(protected)) = (self.checks_protection(), self.protected) {
            *conditions += &format!(" AND r.protected = {}", i64::from(protected));
        }
        self.checks_columns(statement, conditions);
        self.checks_search(statement, conditions);
    }

    fn checks_owner(&self, statement: &mut Statement, conditions: &mut String) {
        for (column, wanted) in [
            ("id", &self.id),
            ("user_id", &self.user_id),
            ("session_id", &self.session_id),
        ] {
            if let Some(wanted) = wanted {
                let value = statement.bind(wanted.clone());
                *conditions += &format!(" AND r.{column} = {value}");
            }
        }
    }

    fn checks_created(&self, statement: &mut Statement, conditions: &mut String) {
        for (limit, comparison) in [(self.from_ms, ">="), (self.to_ms, "<")] {
            if let Some(limit) = limit {
                let value = statement.bind(limit);
                *conditions += &format!(" AND r.created_ms {comparison} {value}");
            }
        }
    }

    fn checks_tags(&self, subject: &str, statement: &mut Statement, conditions: &mut String) {
        for tag in &self.tags {
            let tag = statement.bind(tag.clone());
            *conditions += &format!(
                " AND EXISTS (SELECT 1 FROM recording_tags AS t WHERE t.subject_id = {subject} AND t.label = {tag})"
            );
        }
    }

    /// Conditions on columns without an index. Expressions keep the databases from using the index of another order.
    fn checks_columns(&self, statement: &mut Statement, conditions: &mut String) {
        if self.checks_duration() {
            for (limit, comparison) in [(self.min_ms, ">="), (self.max_ms, "<=")] {
                if let Some(limit) = limit {
                    let value = statement.bind(limit);
                    *conditions += &format!(" AND r.duration_ms + 0 {comparison} {value}");
                }
            }
        }
        if let Some(source) = &self.source {
            let value = statement.bind(source.clone());
            *conditions += &format!(" AND r.source = {value}");
        }
        if let Some(user) = &self.unwatched_by {
            let value = statement.bind(user.clone());
            *conditions += &format!(
                " AND NOT EXISTS (SELECT 1 FROM recording_views AS v WHERE v.recording_id = r.id AND v.user_id = {value})"
            );
        }
    }

    fn checks_search(&self, statement: &mut Statement, conditions: &mut String) {
        if let Some(terms) = self.terms() {
            *conditions +=
                " AND EXISTS (SELECT 1 FROM recording_texts AS t WHERE t.recording_id = r.id";
            *conditions += &contains(statement, &terms);
            *conditions += ")";
        }
    }

    fn terms(&self) -> Option<SearchTerms> {
        self.search.as_deref().map(SearchTerms::new)
    }

    fn direction(&self) -> &'static str {
        if self.ascending { "ASC" } else { "DESC" }
    }
}

#[cfg(test)]
#[path = "lists/tests.rs"]
pub(super) mod tests;
