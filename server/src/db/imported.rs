//! Recordings imported from the storage folder of an appliance, finished or failed.

use std::ops::Range;

use sortie_api::{Amount, EndReason, RecordingStatus};
use sqlx::{AssertSqlSafe, Row as _};

use super::recordings::{signed, status_to_text};
use super::{Action, Actor, AuditEvent, Database, DatabaseError, GoneRecording, audit, library};

#[derive(Clone, Debug)]
pub(crate) struct ImportedRow {
    pub(crate) id: String,
    pub(crate) session_id: String,
    pub(crate) user_id: String,
    /// Application of the session.
    pub(crate) app_id: String,
    /// Name in the storage folder and of downloads.
    pub(crate) name: String,
    pub(crate) size_bytes: u64,
    pub(crate) duration_ms: u64,
    /// Modification time, Unix time in ms; `None` if it is not known.
    pub(crate) modified_ms: Option<i64>,
    /// Folder in which it was seen; `None` if it is not known.
    pub(crate) folder: Option<String>,
    /// Reason of a failure; `None` if the file is playable.
    pub(crate) failure: Option<String>,
    /// Finished without a stop.
    pub(crate) interrupted: bool,
    /// Kept until a central server has confirmed it.
    pub(crate) forward_pending: bool,
    /// Unix time in ms.
    pub(crate) created_ms: i64,
    /// Unix time in ms at which it became ready or failed.
    pub(crate) completed_ms: i64,
}

/// File of a recording, as it was when it was last read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedFile {
    /// Name in the storage folder.
    pub name: String,
    /// Size when it was last read, in bytes.
    pub size_bytes: u64,
    /// Modification time, Unix time in ms; `None` if it is not known.
    pub modified_ms: Option<i64>,
    /// Folder in which it was last seen; `None` if it is not known.
    pub folder: Option<String>,
    /// Whether it cannot be played.
    pub is_failed: bool,
}

/// Limit of the recordings of [`Imported::recorded`].
const RECORDED_MAX: i64 = 2_000;

/// Setting that exists while recordings are forwarded to a central server.
const FORWARDING: &str = "forwarding";

/// Condition of a file that is forwarded if forwarding is on and it is complete.
pub(super) const FORWARDED_FILE: &str = "storage_backend = 'local' AND storage_path LIKE '%.mp4'";

/// Condition of a complete recording: ready, or in the trash.
const COMPLETE: &str = "status IN ('ready', 'trashed')";

/// Condition that forwarding is on.
pub(super) const FORWARDING_IS_ON: &str =
    "EXISTS (SELECT 1 FROM settings WHERE name = 'forwarding')";

/// Table `recordings`: files of the storage folder of an appliance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Imported<'d> {
    pub(super) database: &'d Database,
}

impl Imported<'_> {
    /// Inserts a recording; `false` if its file has a row already.
    pub(crate) async fn insert(self, row: &ImportedRow) -> Result<bool, DatabaseError> {
        let done = sqlx::query(
            "INSERT INTO recordings (id, session_id, user_id, filename, storage_backend, storage_path, status, \
             size_bytes, duration_ms, format, interrupted, upload_length, created_ms, completed_ms, failure, forward_pending, \
             source, app_id, ended_because, file_modified_ms, file_folder) \
             SELECT $1, $2, $3, $4, 'local', $4, $5, $6, $7, 'mp4', $8, $6, $9, $10, $11, $12, 'hdmi', $13, $14, $15, $16 \
             WHERE NOT EXISTS (SELECT 1 FROM recordings WHERE storage_backend = 'local' AND storage_path = $4)",
        )
        .bind(&row.id)
        .bind(&row.session_id)
        .bind(&row.user_id)
        .bind(&row.name)
        .bind(status_to_text(match row.failure {
            None => RecordingStatus::Ready,
            Some(_) => RecordingStatus::Failed,
        }))
        .bind(signed(row.size_bytes))
        .bind(signed(row.duration_ms))
        .bind(i64::from(row.interrupted))
        .bind(row.created_ms)
        .bind(row.completed_ms)
        .bind(&row.failure)
        .bind(i64::from(row.forward_pending))
        .bind(&row.app_id)
        .bind(library::end_reason_to_text(Some(match row.interrupted {
            true => EndReason::Interrupted,
            false => EndReason::Stopped,
        })))
        .bind(row.modified_ms)
        .bind(&row.folder)
        .execute(&self.database.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Marks the recording of this file for deletion, with an audit row that has the reason. Returns its id; `None`,
    /// without a change, if it is protected, not ready or not confirmed by a central server.
    pub(crate) async fn mark_for_deletion(
        self,
        name: &str,
        actor: &Actor,
        detail: &str,
        now_ms: i64,
    ) -> Result<Option<String>, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        let id: Option<String> = sqlx::query_scalar(
            "UPDATE recordings SET deleting = 1 WHERE storage_backend = 'local' AND storage_path = $1 \
             AND status = 'ready' AND protected = 0 AND deleting = 0 AND forward_pending = 0 RETURNING id",
        )
        .bind(name)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(id) = id else {
            return Ok(None);
        };
        let event = AuditEvent::done(actor, Action::Delete, &id).detail(detail);
        audit::append(&mut transaction, now_ms, &event).await?;
        transaction.commit().await?;
        self.database.audit().wake_followers();
        Ok(Some(id))
    }

    /// Sets whether recordings of the storage folder are kept until a central server has confirmed them; those that become
    /// complete later, too.
    pub(crate) async fn set_forwarding(self, on: bool) -> Result<(), DatabaseError> {
        let mut transaction = self.database.begin().await?;
        let setting = match on {
            true => {
                "INSERT INTO settings (name, value) VALUES ($1, 'on') ON CONFLICT (name) DO NOTHING"
            }
            false => "DELETE FROM settings WHERE name = $1",
        };
        sqlx::query(setting)
            .bind(FORWARDING)
            .execute(&mut *transaction)
            .await?;
        // Recordings of earlier versions may be pending without being forwarded.
        let sql = format!(
            "UPDATE recordings SET forward_pending = CASE WHEN {FORWARDED_FILE} AND {COMPLETE} THEN $1 ELSE 0 END \
             WHERE forward_pending <> CASE WHEN {FORWARDED_FILE} AND {COMPLETE} THEN $1 ELSE 0 END"
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(i64::from(on))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Returns the names of the files that a central server has not confirmed.
    pub(crate) async fn forward_pending(self) -> Result<Vec<String>, DatabaseError> {
        Ok(sqlx::query_scalar(
            "SELECT storage_path FROM recordings WHERE storage_backend = 'local' AND forward_pending = 1",
        )
        .fetch_all(&self.database.pool)
        .await?)
    }

    /// Stores whether a central server has confirmed this file of this size; `false` if it has no such row (yet).
    pub(crate) async fn set_forward_pending(
        self,
        name: &str,
        size_bytes: u64,
        pending: bool,
    ) -> Result<bool, DatabaseError> {
        let done = sqlx::query(
            "UPDATE recordings SET forward_pending = $1 WHERE storage_backend = 'local' AND storage_path = $2 \
             AND ($1 = 1 OR size_bytes = $3)",
        )
        .bind(i64::from(pending))
        .bind(name)
        .bind(signed(size_bytes))
        .execute(&self.database.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Returns number and bytes of the recordings that a central server has not confirmed.
    pub(crate) async fn unforwarded(self) -> Result<Amount, DatabaseError> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS recordings, CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) AS bytes FROM recordings \
             WHERE forward_pending = 1 AND deleting = 0",
        )
        .fetch_one(&self.database.pool)
        .await?;
        Ok(Amount {
            count: row.try_get::<i64, _>("recordings")?.unsigned_abs(),
            bytes: row.try_get::<i64, _>("bytes")?.unsigned_abs(),
        })
    }

    /// Whether retention may delete a recording only after it was forwarded.
    pub(crate) async fn has_forward_pending(self) -> Result<bool, DatabaseError> {
        let pending: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM (SELECT 1 FROM recordings WHERE status = 'ready' AND storage_backend = 'local' \
             AND forward_pending = 1 AND protected = 0 AND deleting = 0 LIMIT 1) AS pending",
        )
        .fetch_one(&self.database.pool)
        .await?;
        Ok(pending > 0)
    }

    /// Returns ID and time, as Unix time in ms, of the playable recordings that show a moment between the two times, the
    /// newest [`RECORDED_MAX`], oldest first.
    pub(crate) async fn recorded(
        self,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Vec<(String, Range<i64>)>, DatabaseError> {
        let rows = sqlx::query(
            "SELECT id, created_ms, duration_ms FROM recordings WHERE storage_backend = 'local' AND source = 'hdmi' \
             AND status = 'ready' AND deleting = 0 AND created_ms + duration_ms > $1 AND created_ms < $2 \
             ORDER BY created_ms DESC LIMIT $3",
        )
        .bind(from_ms)
        .bind(to_ms)
        .bind(RECORDED_MAX)
        .fetch_all(&self.database.pool)
        .await?;
        rows.iter()
            .rev()
            .map(|row| {
                let begin_ms: i64 = row.try_get("created_ms")?;
                let duration_ms: i64 = row.try_get("duration_ms")?;
                Ok((row.try_get("id")?, begin_ms..begin_ms + duration_ms))
            })
            .collect()
    }

    /// Returns the ID of the recording of this file.
    pub(crate) async fn id(self, name: &str) -> Result<Option<String>, DatabaseError> {
        Ok(sqlx::query_scalar(
            "SELECT id FROM recordings WHERE storage_backend = 'local' AND storage_path = $1",
        )
        .bind(name)
        .fetch_optional(&self.database.pool)
        .await?)
    }

    /// Returns the files of the storage folder: those of ready recordings, and imported ones that cannot be played.
    pub(crate) async fn files(self) -> Result<Vec<ImportedFile>, DatabaseError> {
        let rows = sqlx::query(
            "SELECT storage_path, size_bytes, file_modified_ms, file_folder, status FROM recordings WHERE storage_backend = 'local' \
             AND (status = 'ready' OR (status = 'failed' AND source = 'hdmi')) AND deleting = 0",
        )
        .fetch_all(&self.database.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(ImportedFile {
                    name: row.try_get("storage_path")?,
                    size_bytes: row.try_get::<i64, _>("size_bytes")?.unsigned_abs(),
                    modified_ms: row.try_get("file_modified_ms")?,
                    folder: row.try_get("file_folder")?,
                    is_failed: row.try_get::<String, _>("status")? == "failed",
                })
            })
            .collect()
    }

    /// Stores the modification time of a file, and the folder in which it was seen.
    pub(crate) async fn set_seen(
        self,
        name: &str,
        modified_ms: i64,
        folder: Option<&str>,
    ) -> Result<(), DatabaseError> {
        sqlx::query(
            "UPDATE recordings SET file_modified_ms = $1, file_folder = $2 WHERE storage_backend = 'local' \
             AND storage_path = $3",
        )
        .bind(modified_ms)
        .bind(folder)
        .bind(name)
        .execute(&self.database.pool)
        .await?;
        Ok(())
    }

    /// Updates duration and size of a file that another program has changed, and forgets its activity and the confirmation of
    /// a central server.
    pub(crate) async fn update(
        self,
        name: &str,
        size_bytes: u64,
        duration_ms: u64,
    ) -> Result<(), DatabaseError> {
        let mut transaction = self.database.begin().await?;
        sqlx::query(
            "DELETE FROM recording_activity WHERE recording_id IN \
             (SELECT id FROM recordings WHERE storage_backend = 'local' AND storage_path = $1)",
        )
        .bind(name)
        .execute(&mut *transaction)
        .await?;
        sqlx::query(AssertSqlSafe(format!(
            "UPDATE recordings SET size_bytes = $1, upload_length = $1, duration_ms = $2, active_ms = -1, \
             forward_pending = CASE WHEN {FORWARDING_IS_ON} AND {FORWARDED_FILE} AND {COMPLETE} THEN 1 ELSE 0 END \
             WHERE storage_backend = 'local' AND storage_path = $3 AND status = 'ready'"
        )))
        .bind(signed(size_bytes))
        .bind(signed(duration_ms))
        .bind(name)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Deletes the row of a recording whose file another program has removed or replaced, with an audit row that has the
    /// reason; `false` if there is none.
    pub(crate) async fn delete(
        self,
        name: &str,
        actor: &Actor,
        reason: &str,
        now_ms: i64,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        let row = sqlx::query(
            "DELETE FROM recordings WHERE storage_backend = 'local' AND storage_path = $1 \
             AND (status = 'ready' OR (status = 'failed' AND source = 'hdmi')) AND deleting = 0 \
             RETURNING id, user_id, session_id, part_of",
        )
        .bind(name)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = row else {
            return Ok(false);
        };
        let id: String = row.try_get("id")?;
        let (session_id, part_of): (String, Option<String>) =
            (row.try_get("session_id")?, row.try_get("part_of")?);
        let gone = GoneRecording {
            user_id: row.try_get("user_id")?,
            session_id: Some(&session_id),
            part_of: part_of.as_deref(),
        };
        let gone = gone.to_text();
        let event = AuditEvent::done(actor, Action::Delete, &id).detail(reason);
        audit::append(&mut transaction, now_ms, &event).await?;
        let event = AuditEvent::done(actor, Action::Gone, &id).detail(&gone);
        audit::append(&mut transaction, now_ms, &event).await?;
        transaction.commit().await?;
        self.database.audit().wake_followers();
        Ok(true)
    }

    /// Returns the paths of the recordings in the storage folder.
    pub(crate) async fn paths(self) -> Result<Vec<String>, DatabaseError> {
        Ok(sqlx::query_scalar(
            "SELECT storage_path FROM recordings WHERE storage_backend = 'local'",
        )
        .fetch_all(&self.database.pool)
        .await?)
    }
}
