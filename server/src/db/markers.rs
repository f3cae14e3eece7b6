//! Markers of recordings.

use std::collections::BTreeSet;

use sortie_api::MarkerKind;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::recordings::{lock_recording, signed};
use super::{Action, Actor, AuditEvent, Database, DatabaseError, audit, unknown_text};

/// Largest number of markers of one recording.
pub(crate) const MARKERS_MAX: u16 = 1000;

const SELECT: &str = "SELECT m.id, m.time_ms, m.kind, m.text, m.created_ms, u.username FROM markers AS m \
     LEFT JOIN users AS u ON u.id = m.author_id";

/// Row of a marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MarkerRow {
    pub(crate) id: String,
    /// From the start of the file.
    pub(crate) time_ms: u64,
    pub(crate) kind: MarkerKind,
    pub(crate) text: String,
    /// Unix time in ms.
    pub(crate) created_ms: i64,
    /// Name of the author; `None` if the user was deleted. An insert ignores it.
    pub(crate) username: Option<String>,
}

/// Change of a marker; `None` leaves a field unchanged.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MarkerChange<'a> {
    pub(crate) time_ms: Option<u64>,
    pub(crate) text: Option<&'a str>,
}

/// Outcome of an insert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MarkerInsertion {
    Done,
    /// The recording has a marker with this ID.
    Exists(MarkerRow),
    /// The recording has [`MARKERS_MAX`] markers.
    TooMany,
    /// The recording is deleted.
    Gone,
}

fn kind_to_text(kind: MarkerKind) -> &'static str {
    match kind {
        MarkerKind::Note => "note",
        MarkerKind::Pause => "pause",
        MarkerKind::Gap => "gap",
        MarkerKind::Part => "part",
        MarkerKind::EncoderRestart => "encoder_restart",
    }
}

fn kind_from_text(text: &str) -> Result<MarkerKind, sqlx::Error> {
    Ok(match text {
        "note" => MarkerKind::Note,
        "pause" => MarkerKind::Pause,
        "gap" => MarkerKind::Gap,
        "part" => MarkerKind::Part,
        "encoder_restart" => MarkerKind::EncoderRestart,
        _ => return Err(unknown_text("markers.kind", text)),
    })
}

impl<'r> sqlx::FromRow<'r, AnyRow> for MarkerRow {
    fn from_row(row: &'r AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            time_ms: row.try_get::<i64, _>("time_ms")?.unsigned_abs(),
            kind: kind_from_text(row.try_get("kind")?)?,
            text: row.try_get("text")?,
            created_ms: row.try_get("created_ms")?,
            username: row.try_get("username")?,
        })
    }
}

/// Adds a marker at each of these times, unless the recording has it already.
pub(super) async fn add_gaps(
    connection: &mut sqlx::AnyConnection,
    recording_id: &str,
    gaps_ms: &BTreeSet<u64>,
) -> Result<(), DatabaseError> {
    let system = Actor::system();
    for &time_ms in gaps_ms {
        sqlx::query(
            "INSERT INTO markers (id, recording_id, author_id, time_ms, kind, text, created_ms) \
             SELECT $1, r.id, $2, $3, $4, 'Damaged data', r.created_ms FROM recordings AS r WHERE r.id = $5 \
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(format!("{recording_id}.gap-{time_ms}"))
        .bind(&system.id)
        .bind(signed(time_ms))
        .bind(kind_to_text(MarkerKind::Gap))
        .bind(recording_id)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Table `markers`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Markers<'d> {
    pub(super) database: &'d Database,
}

impl Markers<'_> {
    /// Returns the markers of a recording in the order of time.
    pub(crate) async fn of(self, recording_id: &str) -> Result<Vec<MarkerRow>, DatabaseError> {
        let sql = format!("{SELECT} WHERE m.recording_id = $1 ORDER BY m.time_ms, m.id");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(recording_id)
            .fetch_all(&self.database.pool)
            .await?)
    }

    /// Returns a marker of a recording.
    pub(crate) async fn get(
        self,
        recording_id: &str,
        id: &str,
    ) -> Result<Option<MarkerRow>, DatabaseError> {
        // No ID contains NUL, which PostgreSQL refuses.
        if id.contains('\0') {
            return Ok(None);
        }
        let sql = format!("{SELECT} WHERE m.recording_id = $1 AND m.id = $2");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(recording_id)
            .bind(id)
            .fetch_optional(&self.database.pool)
            .await?)
    }

    /// Inserts a marker of the actor, and audits it.
    pub(crate) async fn insert(
        self,
        recording_id: &str,
        row: &MarkerRow,
        actor: &Actor,
    ) -> Result<MarkerInsertion, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        if !lock_recording(&mut transaction, recording_id).await? {
            return Ok(MarkerInsertion::Gone);
        }
        let sql = format!("{SELECT} WHERE m.recording_id = $1 AND m.id = $2");
        let existing = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(recording_id)
            .bind(&row.id)
            .fetch_optional(&mut *transaction)
            .await?;
        if let Some(existing) = existing {
            return Ok(MarkerInsertion::Exists(existing));
        }
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM markers WHERE recording_id = $1")
            .bind(recording_id)
            .fetch_one(&mut *transaction)
            .await?;
        if count >= i64::from(MARKERS_MAX) {
            return Ok(MarkerInsertion::TooMany);
        }
        sqlx::query(
            "INSERT INTO markers (id, recording_id, author_id, time_ms, kind, text, created_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(&row.id)
        .bind(recording_id)
        .bind(&actor.id)
        .bind(signed(row.time_ms))
        .bind(kind_to_text(row.kind))
        .bind(&row.text)
        .bind(row.created_ms)
        .execute(&mut *transaction)
        .await?;
        // Without the text, which may be personal data.
        let event = AuditEvent::done(actor, Action::Change, recording_id).detail("marker added");
        audit::append(&mut transaction, row.created_ms, &event).await?;
        transaction.commit().await?;
        self.database.audit().wake_followers();
        Ok(MarkerInsertion::Done)
    }

    /// Changes a marker, and audits it; `false` if the recording has none with this ID.
    pub(crate) async fn change(
        self,
        recording_id: &str,
        id: &str,
        change: MarkerChange<'_>,
        actor: &Actor,
        now_ms: i64,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        let done = sqlx::query(
            "UPDATE markers SET time_ms = COALESCE($1, time_ms), text = COALESCE($2, text) \
             WHERE recording_id = $3 AND id = $4",
        )
        .bind(change.time_ms.map(signed))
        .bind(change.text)
        .bind(recording_id)
        .bind(id)
        .execute(&mut *transaction)
        .await?;
        let event = AuditEvent::done(actor, Action::Change, recording_id).detail("marker changed");
        let log = self.database.audit();
        log.commit_change(transaction, done.rows_affected() == 1, now_ms, &event)
            .await
    }

    /// Deletes a marker, and audits it; `false` if the recording has none with this ID.
    pub(crate) async fn delete(
        self,
        recording_id: &str,
        id: &str,
        actor: &Actor,
        now_ms: i64,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        let done = sqlx::query("DELETE FROM markers WHERE recording_id = $1 AND id = $2")
            .bind(recording_id)
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        let event = AuditEvent::done(actor, Action::Change, recording_id).detail("marker deleted");
        let log = self.database.audit();
        log.commit_change(transaction, done.rows_affected() == 1, now_ms, &event)
            .await
    }

    /// Deletes the markers that a user has set in recordings of any owner.
    pub(crate) async fn erase_author(self, author_id: &str) -> Result<(), DatabaseError> {
        sqlx::query("DELETE FROM markers WHERE author_id = $1")
            .bind(author_id)
            .execute(&self.database.pool)
            .await?;
        Ok(())
    }
}
