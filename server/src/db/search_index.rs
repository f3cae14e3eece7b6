//! Search index of recordings: a folded text for each, whose trigrams the database indexes.
//!
//! Triggers queue every recording whose text may have changed. [`SearchIndex::update`] folds the texts of the queue, in the
//! background and before each search.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Row};

use super::search_terms::folded;
use super::statement::Statement;
use super::{Database, DatabaseError};
use crate::tags;

/// Recordings of one transaction.
const BATCH: usize = 500;
/// Longest text in bytes.
const TEXT_MAX: usize = 256 * 1024;
/// Bits of a place below the time.
const PLACE_BITS: u32 = 20;

/// Returns the first place of a time in ms; places are ordered like times.
pub(super) fn first_place(created_ms: i64) -> i64 {
    created_ms.clamp(0, (1 << 42) - 1) << PLACE_BITS
}

/// Returns the time of a place in ms.
pub(super) fn time_of(place: i64) -> i64 {
    place >> PLACE_BITS
}

/// Creates PostgreSQL's index of trigrams, which needs an extension. Returns whether the database has it.
pub(super) async fn add_trigrams(pool: &AnyPool) -> Result<bool, DatabaseError> {
    let mut connection = pool.acquire().await?;
    let exists = "SELECT COUNT(*) FROM pg_class WHERE relname = 'recording_texts_trigrams'";
    let known: i64 = sqlx::query_scalar(exists)
        .fetch_one(&mut *connection)
        .await?;
    if known > 0 {
        return Ok(true);
    }
    for statement in [
        "CREATE EXTENSION IF NOT EXISTS pg_trgm",
        "CREATE INDEX IF NOT EXISTS recording_texts_trigrams ON recording_texts USING gin (text gin_trgm_ops)",
    ] {
        if let Err(error) = sqlx::query(statement).execute(&mut *connection).await {
            tracing::warn!(
                "search is slow: the database does not have the extension pg_trgm ({error}). CREATE EXTENSION pg_trgm, then \
                 restart"
            );
            return Ok(false);
        }
    }
    Ok(true)
}

/// Tables `recording_texts` and `search_queue`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SearchIndex<'d> {
    pub(super) database: &'d Database,
}

impl SearchIndex<'_> {
    /// Updates the texts of the recordings that were queued last; returns whether more are queued.
    pub(crate) async fn update(self) -> Result<bool, DatabaseError> {
        let mut connection = self.database.pool.acquire().await?;
        let first: Option<i64> = sqlx::query_scalar("SELECT number FROM search_queue LIMIT 1")
            .fetch_optional(&mut *connection)
            .await?;
        if first.is_none() {
            return Ok(false);
        }
        drop(connection);
        let mut transaction = self.database.begin().await?;
        // One server at a time: another could store an earlier text later.
        sqlx::query("UPDATE locks SET name = name WHERE name = 'search'")
            .execute(&mut *transaction)
            .await?;
        let queued: Vec<(i64, String)> = sqlx::query_as(AssertSqlSafe(format!(
            "SELECT number, recording_id FROM search_queue ORDER BY number DESC LIMIT {BATCH}"
        )))
        .fetch_all(&mut *transaction)
        .await?;
        let mut ids: BTreeSet<String> = queued.iter().map(|(_, id)| id.clone()).collect();
        ids.extend(firsts(&mut transaction, &ids).await?);
        set_texts(&mut transaction, &ids).await?;
        let mut done = Statement::new("DELETE FROM search_queue WHERE number IN (");
        done.bind_all(queued.iter().map(|(number, _)| *number));
        done.text += ")";
        done.execute(&mut transaction).await?;
        transaction.commit().await?;
        Ok(queued.len() == BATCH)
    }
}

/// Returns the first parts of recordings.
async fn firsts(
    connection: &mut AnyConnection,
    ids: &BTreeSet<String>,
) -> Result<Vec<String>, DatabaseError> {
    let mut statement =
        Statement::new("SELECT part_of FROM recordings WHERE part_of IS NOT NULL AND id IN (");
    statement.bind_all(ids.iter().cloned());
    statement.text += ")";
    let rows = statement.fetch_all(connection).await?;
    Ok(rows
        .iter()
        .map(|row| row.try_get("part_of"))
        .collect::<Result<_, _>>()?)
}

/// Replaces the texts of recordings; further parts and recordings that are gone have none.
async fn set_texts(
    connection: &mut AnyConnection,
    ids: &BTreeSet<String>,
) -> Result<(), DatabaseError> {
    let mut old = Statement::new("DELETE FROM recording_texts WHERE recording_id IN (");
    old.bind_all(ids.iter().cloned());
    old.text += ")";
    old.execute(connection).await?;
    let mut texts = texts(connection, ids).await?;
    for text in &mut texts {
        text.truncate();
    }
    place(connection, &mut texts).await?;
    if texts.is_empty() {
        return Ok(());
    }
    let mut new = Statement::new("INSERT INTO recording_texts (place, recording_id, text) VALUES ");
    for (number, text) in texts.into_iter().enumerate() {
        let values = [
            new.bind(text.place),
            new.bind(text.recording_id),
            new.bind(text.text),
        ];
        let comma = if number > 0 { ", " } else { "" };
        new.text += &format!("{comma}({})", values.join(", "));
    }
    new.execute(connection).await
}

/// Row of `recording_texts`.
struct Text {
    place: i64,
    recording_id: String,
    text: String,
}

impl Text {
    fn of(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let id: String = row.try_get("id")?;
        let mut bits = DefaultHasher::new();
        id.hash(&mut bits);
        let bits = (bits.finish() >> (64 - PLACE_BITS)).cast_signed();
        let mut text = Self {
            place: first_place(row.try_get("created_ms")?) + bits,
            recording_id: id,
            text: String::new(),
        };
        for column in [
            "title",
            "filename",
            "app_id",
            "external_id",
            "session_external_id",
            "username",
            "display_name",
        ] {
            text.add(row.try_get::<Option<&str>, _>(column)?.unwrap_or_default());
        }
        for tag in tags::from_text(row.try_get("tags")?) {
            text.add(&tag);
        }
        if let Some(metadata) = row.try_get::<Option<&str>, _>("metadata")?
            && let Ok(values) = serde_json::from_str(metadata)
        {
            text.add_values(&values);
        }
        Ok(text)
    }

    fn add(&mut self, text: &str) {
        if !text.is_empty() && self.text.len() < TEXT_MAX {
            self.text += &folded(text);
            // No word contains it, so no match spans two texts.
            self.text.push('\n');
        }
    }

    fn add_values(&mut self, value: &serde_json::Value) {
        match value {
            serde_json::Value::String(text) => self.add(text),
            serde_json::Value::Array(values) => values.iter().for_each(|it| self.add_values(it)),
            serde_json::Value::Object(values) => {
                values.values().for_each(|it| self.add_values(it));
            }
            serde_json::Value::Number(number) => self.add(&number.to_string()),
            serde_json::Value::Null | serde_json::Value::Bool(_) => {}
        }
    }

    fn truncate(&mut self) {
        self.text.truncate(self.text.floor_char_boundary(TEXT_MAX));
    }
}

/// Collects the texts of recordings, and of the markers in all their parts.
async fn texts(
    connection: &mut AnyConnection,
    ids: &BTreeSet<String>,
) -> Result<Vec<Text>, DatabaseError> {
    let mut statement = Statement::new(
        "SELECT r.id, r.created_ms, r.title, r.filename, r.app_id, r.external_id, r.tags, r.metadata, \
         s.external_id AS session_external_id, u.username, u.display_name FROM recordings AS r \
         LEFT JOIN users AS u ON u.id = r.user_id LEFT JOIN sessions AS s ON s.id = r.session_id \
         WHERE r.kind <> 'partial' AND r.part_of IS NULL AND r.id IN (",
    );
    statement.bind_all(ids.iter().cloned());
    statement.text += ")";
    let rows = statement.fetch_all(connection).await?;
    let texts: Result<BTreeMap<_, _>, sqlx::Error> = rows
        .iter()
        .map(|row| Text::of(row).map(|text| (text.recording_id.clone(), text)))
        .collect();
    let mut texts = texts?;
    for subject in ["r.id", "r.part_of"] {
        let mut statement = Statement::new(&format!(
            "SELECT {subject} AS first, m.text FROM recordings AS r JOIN markers AS m ON m.recording_id = r.id \
             WHERE {subject} IN ("
        ));
        statement.bind_all(ids.iter().cloned());
        statement.text += ") ORDER BY m.time_ms, m.id";
        for row in statement.fetch_all(connection).await? {
            if let Some(text) = texts.get_mut(row.try_get::<&str, _>("first")?) {
                text.add(row.try_get("text")?);
            }
        }
    }
    Ok(texts.into_values().collect())
}

/// Moves texts to places that no other text has.
async fn place(connection: &mut AnyConnection, texts: &mut [Text]) -> Result<(), DatabaseError> {
    let mut taken = BTreeSet::new();
    loop {
        let mut statement = Statement::new("SELECT place FROM recording_texts WHERE place IN (");
        statement.bind_all(texts.iter().map(|text| text.place));
        statement.text += ")";
        for row in statement.fetch_all(connection).await? {
            taken.insert(row.try_get::<i64, _>("place")?);
        }
        let (mut own, mut is_free) = (BTreeSet::new(), true);
        for text in &mut *texts {
            while taken.contains(&text.place) || !own.insert(text.place) {
                text.place += 1;
                is_free = false;
            }
        }
        if is_free {
            return Ok(());
        }
    }
}

#[cfg(test)]
#[path = "search_index/tests.rs"]
mod tests;
