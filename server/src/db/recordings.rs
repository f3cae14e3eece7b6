//! Rows of recordings and uploads.

#[cfg(test)]
mod tests;

use sortie_api::RecordingStatus;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Database, DatabaseError, ProtectedLimit, candidates, parts, unknown_text};

pub(super) const SELECT: &str = "SELECT r.id, r.session_id, r.user_id, u.username, r.filename, r.size_bytes, \
    r.duration_ms, r.format, r.storage_backend, r.storage_path, r.status, r.failure, r.interrupted, \
    r.upload_length, r.upload_metadata, r.idempotency_key, r.kind, r.upload_concat, r.final_id, r.protected, r.deleting, r.forward_pending, r.created_ms, r.completed_ms, \
    r.part_of, r.part, r.left_out \
    FROM recordings AS r LEFT JOIN users AS u ON u.id = r.user_id";

/// Kind of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UploadKind {
    Recording,
    /// Partial upload: stored raw, not listed, deleted once joined or expired.
    Partial,
    /// Recording joined from partial uploads.
    Final,
}

/// Row of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordingRow {
    /// Unique, never reused; also the id of its upload.
    pub(crate) id: String,
    pub(crate) session_id: String,
    pub(crate) user_id: String,
    /// Owner's name; `None` if the user was deleted.
    pub(crate) username: Option<String>,
    /// File name of downloads.
    pub(crate) filename: String,
    /// Stored bytes, as last written.
    pub(crate) size_bytes: i64,
    /// Duration in ms, as last written.
    pub(crate) duration_ms: i64,
    /// `webm`, `mkv`, `mp4` or empty.
    pub(crate) format: String,
    pub(crate) storage_backend: String,
    /// Path or key within the back end.
    pub(crate) storage_path: String,
    pub(crate) status: RecordingStatus,
    /// Reason of a failure, for users.
    pub(crate) failure: Option<String>,
    /// Finished without a stop by its sender.
    pub(crate) interrupted: bool,
    /// Length of the upload, once declared.
    pub(crate) upload_length: Option<i64>,
    /// `Upload-Metadata` as received.
    pub(crate) upload_metadata: String,
    /// Hash of the idempotency key.
    pub(crate) idempotency_key: Option<String>,
    pub(crate) kind: UploadKind,
    /// `Upload-Concat` as received.
    pub(crate) upload_concat: String,
    /// Final upload that this partial upload belongs to.
    pub(crate) final_id: Option<String>,
    /// Never deleted automatically.
    pub(crate) protected: bool,
    /// Being deleted; the row is removed after its object.
    pub(crate) deleting: bool,
    /// Not yet confirmed by the central server that recordings are forwarded to.
    pub(crate) forward_pending: bool,
    /// Unix time in ms.
    pub(crate) created_ms: i64,
    /// Unix time in ms at which it became ready or failed.
    pub(crate) completed_ms: Option<i64>,
    /// Id of the first part; `None` for the first or only part.
    pub(crate) part_of: Option<String>,
    /// Number of this part, from 1. An insert ignores it and assigns the next number.
    pub(crate) part: i64,
    /// Ranges that players do not get; see [`crate::left_out::Accounts`].
    pub(crate) left_out: Option<String>,
}

/// Limits of open uploads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenLimit {
    pub(crate) of_user: u32,
    pub(crate) of_session: u32,
    /// Limit of protected bytes, for an upload that continues a protected recording. `None`: no limit.
    pub(crate) protected: Option<ProtectedLimit>,
}

/// Numbers of open uploads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenUploads {
    pub(crate) of_user: u64,
    pub(crate) of_session: u64,
}

impl OpenUploads {
    /// Returns the limit that is reached, if any.
    pub(crate) fn reached(self, limit: OpenLimit) -> Option<u32> {
        if self.of_session >= u64::from(limit.of_session) {
            return Some(limit.of_session);
        }
        (self.of_user >= u64::from(limit.of_user)).then_some(limit.of_user)
    }
}

/// Bytes of one user's recordings, as last written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UserBytes {
    pub(crate) closed_bytes: u64,
    /// Id and bytes of each open upload, complete partial uploads included.
    pub(crate) open: Vec<(String, u64)>,
}

/// Outcome of an insert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Insertion {
    Done,
    /// The user or the session has as many open uploads as allowed.
    TooMany {
        most: u32,
    },
    /// The user has an open upload with the same key and this id.
    Known(String),
    /// The recording to continue is deleted.
    NoFirstPart,
    /// The recording to continue already has the maximum number of parts.
    TooManyParts,
    /// The new part continues a protected recording, and the owner would exceed the limit of protected bytes.
    OverProtected {
        max: u64,
    },
}

/// Planned result of finishing, stored before the object is finished so that a crash in between can resume.
#[derive(Clone, Debug)]
pub(crate) struct Completion {
    pub(crate) upload_length: u64,
    /// Reason of a failure, for users.
    pub(crate) failure: Option<String>,
    pub(crate) size_bytes: u64,
    pub(crate) duration_ms: u64,
    /// `webm`, `mkv`, `mp4` or empty.
    pub(crate) format: &'static str,
    /// File name at the time of planning.
    pub(crate) was_named: String,
    /// New file name, unless the recording was renamed since.
    pub(crate) filename: String,
    /// New path or key.
    pub(crate) storage_path: String,
    /// Finished without a stop by its sender.
    pub(crate) interrupted: bool,
    /// Ranges that players do not get; see [`crate::left_out::Accounts`].
    pub(crate) left_out: Option<String>,
}

pub(super) fn status_to_text(status: RecordingStatus) -> &'static str {
    match status {
        RecordingStatus::Recording => "recording",
        RecordingStatus::Uploading => "uploading",
        RecordingStatus::Processing => "processing",
        RecordingStatus::Ready => "ready",
        RecordingStatus::Failed => "failed",
    }
}

pub(super) fn status_from_text(text: &str) -> Result<RecordingStatus, sqlx::Error> {
    Ok(match text {
        "recording" => RecordingStatus::Recording,
        "uploading" => RecordingStatus::Uploading,
        "processing" => RecordingStatus::Processing,
        "ready" => RecordingStatus::Ready,
        "failed" => RecordingStatus::Failed,
        _ => return Err(unknown_text("recordings.status", text)),
    })
}

fn kind_to_text(kind: UploadKind) -> &'static str {
    match kind {
        UploadKind::Recording => "recording",
        UploadKind::Partial => "partial",
        UploadKind::Final => "final",
    }
}

fn kind_from_text(text: &str) -> Result<UploadKind, sqlx::Error> {
    Ok(match text {
        "recording" => UploadKind::Recording,
        "partial" => UploadKind::Partial,
        "final" => UploadKind::Final,
        _ => return Err(unknown_text("recordings.kind", text)),
    })
}

/// Converts a count to the database's type.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl<'r> sqlx::FromRow<'r, AnyRow> for RecordingRow {
    fn from_row(row: &'r AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            session_id: row.try_get("session_id")?,
            user_id: row.try_get("user_id")?,
            username: row.try_get("username")?,
            filename: row.try_get("filename")?,
            size_bytes: row.try_get("size_bytes")?,
            duration_ms: row.try_get("duration_ms")?,
            format: row.try_get("format")?,
            storage_backend: row.try_get("storage_backend")?,
            storage_path: row.try_get("storage_path")?,
            status: status_from_text(row.try_get("status")?)?,
            failure: row.try_get("failure")?,
            interrupted: row.try_get::<i64, _>("interrupted")? != 0,
            upload_length: row.try_get("upload_length")?,
            upload_metadata: row.try_get("upload_metadata")?,
            idempotency_key: row.try_get("idempotency_key")?,
            kind: kind_from_text(row.try_get("kind")?)?,
            upload_concat: row.try_get("upload_concat")?,
            final_id: row.try_get("final_id")?,
            protected: row.try_get::<i64, _>("protected")? != 0,
            deleting: row.try_get::<i64, _>("deleting")? != 0,
            forward_pending: row.try_get::<i64, _>("forward_pending")? != 0,
            created_ms: row.try_get("created_ms")?,
            completed_ms: row.try_get("completed_ms")?,
            part_of: row.try_get("part_of")?,
            part: row.try_get("part")?,
            left_out: row.try_get("left_out")?,
        })
    }
}

/// Outcome of one attempt to insert.
enum Attempt {
    /// Refused because of an equal key or the limit of open uploads.
    Conflict,
    Ended(Insertion),
}

pub(super) type Insert<'q> =
    sqlx::query::Query<'q, sqlx::Any, <sqlx::Any as sqlx::Database>::Arguments>;

const INSERT: &str = "INSERT INTO recordings (id, session_id, user_id, filename, storage_backend, storage_path, \
    status, upload_length, upload_metadata, idempotency_key, kind, upload_concat, created_ms, part_of, part)";

/// Condition of the index `recordings_user_open`, verbatim.
const OPEN: &str = "status IN ('recording', 'uploading') OR kind = 'partial'";

/// Condition of the index `recordings_user_key`, without the part that holds for every key.
const KEYED: &str = "status IN ('recording', 'uploading') AND deleting = 0";

pub(super) fn insert(row: &RecordingRow) -> Insert<'_> {
    let sql = format!(
        "{INSERT} VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
    );
    bound(sqlx::query(sqlx::AssertSqlSafe(sql)), row, 1)
}

fn bound<'q>(query: Insert<'q>, row: &'q RecordingRow, part: i64) -> Insert<'q> {
    query
        .bind(&row.id)
        .bind(&row.session_id)
        .bind(&row.user_id)
        .bind(&row.filename)
        .bind(&row.storage_backend)
        .bind(&row.storage_path)
        .bind(status_to_text(row.status))
        .bind(row.upload_length)
        .bind(&row.upload_metadata)
        .bind(&row.idempotency_key)
        .bind(kind_to_text(row.kind))
        .bind(&row.upload_concat)
        .bind(row.created_ms)
        .bind(&row.part_of)
        .bind(part)
}

impl Database {
    /// Inserts a recording, unless its owner has an open upload with the same key or too many open uploads.
    pub(crate) async fn insert_recording(
        &self,
        row: &RecordingRow,
        limit: OpenLimit,
    ) -> Result<Insertion, DatabaseError> {
        loop {
            match self.inserted(row, limit).await? {
                Attempt::Conflict => {}
                Attempt::Ended(outcome) => return Ok(outcome),
            }
            let key = row.idempotency_key.as_deref();
            if let Some(id) = self.upload_with(&row.user_id, key).await? {
                return Ok(Insertion::Known(id));
            }
            let open = self.open_uploads(&row.user_id, &row.session_id).await?;
            if let Some(most) = open.reached(limit) {
                return Ok(Insertion::TooMany { most });
            }
            // The conflicting upload has just ended: try again.
        }
    }

    /// Tries once to insert a recording.
    async fn inserted(
        &self,
        row: &RecordingRow,
        limit: OpenLimit,
    ) -> Result<Attempt, DatabaseError> {
        let condition = format!(
            "SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15 \
             WHERE (SELECT COUNT(*) FROM recordings WHERE user_id = $3 AND ({OPEN})) < $16 \
             AND (SELECT COUNT(*) FROM recordings WHERE user_id = $3 AND session_id = $2 AND ({OPEN})) < $17 \
             ON CONFLICT (user_id, idempotency_key) WHERE idempotency_key IS NOT NULL AND {KEYED} DO NOTHING"
        );
        let sql = format!("{INSERT} {condition}");
        let mut transaction = self.pool.begin().await?;
        // Serialises inserts of one user: a condition alone does not see uncommitted rows of another transaction
        // (PostgreSQL, read committed).
        sqlx::query("UPDATE users SET disabled = disabled WHERE id = $1")
            .bind(&row.user_id)
            .execute(&mut *transaction)
            .await?;
        let mut part = 1;
        if let Some(first) = &row.part_of {
            part = match parts::next_number(&mut transaction, first).await? {
                parts::NextNumber::Free(part) => part,
                parts::NextNumber::NoFirstPart => {
                    return Ok(Attempt::Ended(Insertion::NoFirstPart));
                }
                parts::NextNumber::TooMany => return Ok(Attempt::Ended(Insertion::TooManyParts)),
            };
        }
        let insert = bound(sqlx::query(sqlx::AssertSqlSafe(sql)), row, part)
            .bind(i64::from(limit.of_user))
            .bind(i64::from(limit.of_session));
        if insert.execute(&mut *transaction).await?.rows_affected() != 1 {
            return Ok(Attempt::Conflict);
        }
        if let Some(first) = &row.part_of {
            let is_protected = parts::inherit(&mut transaction, first, &row.id).await?;
            if let (true, Some(limit)) = (is_protected, limit.protected) {
                let bytes =
                    candidates::protected_bytes(&mut transaction, &row.id, limit.growing_bytes)
                        .await?;
                if bytes > limit.bytes {
                    let max = limit.bytes;
                    return Ok(Attempt::Ended(Insertion::OverProtected { max }));
                }
            }
        }
        transaction.commit().await?;
        Ok(Attempt::Ended(Insertion::Done))
    }

    /// Counts a user's open uploads, and those of one session among them.
    pub(crate) async fn open_uploads(
        &self,
        user_id: &str,
        session_id: &str,
    ) -> Result<OpenUploads, DatabaseError> {
        let sql = format!(
            "SELECT COUNT(*) AS of_user, COUNT(CASE WHEN session_id = $2 THEN 1 END) AS of_session \
             FROM recordings WHERE user_id = $1 AND ({OPEN})"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(user_id)
            .bind(session_id)
            .fetch_one(&self.pool)
            .await?;
        Ok(OpenUploads {
            of_user: row.try_get::<i64, _>("of_user")?.unsigned_abs(),
            of_session: row.try_get::<i64, _>("of_session")?.unsigned_abs(),
        })
    }

    /// Returns the bytes of a user's recordings and partial uploads.
    pub(crate) async fn bytes_of_user(&self, user_id: &str) -> Result<UserBytes, DatabaseError> {
        let closed: i64 = sqlx::query_scalar(
            "SELECT CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) FROM recordings WHERE user_id = $1 \
             AND status IN ('processing', 'ready', 'failed') AND kind <> 'partial'",
        )
        .bind(user_id)
        .fetch_one(&self.pool)
        .await?;
        let sql = format!("SELECT id, size_bytes FROM recordings WHERE user_id = $1 AND ({OPEN})");
        let open = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(user_id)
            .fetch_all(&self.pool)
            .await?;
        let open = open.iter().map(|row| {
            let size_bytes = row.try_get::<i64, _>("size_bytes")?.unsigned_abs();
            Ok((row.try_get("id")?, size_bytes))
        });
        Ok(UserBytes {
            closed_bytes: closed.unsigned_abs(),
            open: open.collect::<Result<_, sqlx::Error>>()?,
        })
    }

    /// Returns the user's open upload with this idempotency key.
    pub(crate) async fn upload_with(
        &self,
        user_id: &str,
        key: Option<&str>,
    ) -> Result<Option<String>, DatabaseError> {
        let Some(key) = key else { return Ok(None) };
        let sql = format!(
            "SELECT id FROM recordings WHERE user_id = $1 AND idempotency_key = $2 AND {KEYED}"
        );
        Ok(sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(user_id)
            .bind(key)
            .fetch_optional(&self.pool)
            .await?)
    }

    /// Returns the recording with this id.
    pub(crate) async fn recording(&self, id: &str) -> Result<Option<RecordingRow>, DatabaseError> {
        // PostgreSQL refuses NUL in texts, even in a query.
        if id.contains('\0') {
            return Ok(None);
        }
        let sql = format!("{SELECT} WHERE r.id = $1");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(id)
            .fetch_optional(&self.pool)
            .await?)
    }

    /// Returns the recordings that were open when the server last stopped.
    pub(crate) async fn unfinished_recordings(&self) -> Result<Vec<RecordingRow>, DatabaseError> {
        let sql = format!(
            "{SELECT} WHERE r.deleting = 0 AND r.status IN ('recording', 'uploading', 'processing')"
        );
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .fetch_all(&self.pool)
            .await?)
    }

    /// Returns the open recordings of a session.
    pub(crate) async fn open_recordings_of_session(
        &self,
        session_id: &str,
    ) -> Result<Vec<String>, DatabaseError> {
        Ok(sqlx::query_scalar(
            "SELECT id FROM recordings WHERE session_id = $1 AND kind <> 'partial' \
             AND status IN ('recording', 'uploading')",
        )
        .bind(session_id)
        .fetch_all(&self.pool)
        .await?)
    }

    /// Marks a stop by the sender: `recording` → `uploading`. `false` in another state.
    pub(crate) async fn mark_uploading(&self, id: &str) -> Result<bool, DatabaseError> {
        let done = sqlx::query(
            "UPDATE recordings SET status = 'uploading' WHERE id = $1 AND status = 'recording'",
        )
        .bind(id)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Stores the declared length of an upload.
    pub(crate) async fn set_upload_length(
        &self,
        id: &str,
        length: u64,
    ) -> Result<(), DatabaseError> {
        sqlx::query("UPDATE recordings SET upload_length = $1 WHERE id = $2")
            .bind(signed(length))
            .bind(id)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Stores the plan of the end: `recording` or `uploading` → `processing`. Also true for a row in `processing`,
    /// whose finish is retried. With a `fence` only if this server still holds the upload's lease.
    pub(crate) async fn mark_processing(
        &self,
        id: &str,
        plan: &Completion,
        fence: Option<i64>,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.pool.begin().await?;
        if let Some(fence) = fence {
            // Locks the lease: a server that takes it over later finds the row in `processing`.
            let held = sqlx::query(
                "UPDATE upload_leases SET fence = fence WHERE upload_id = $1 AND fence = $2",
            )
            .bind(id)
            .bind(fence)
            .execute(&mut *transaction)
            .await?;
            if held.rows_affected() == 0 {
                return Ok(false);
            }
        }
        let done = sqlx::query(
            "UPDATE recordings SET status = 'processing', upload_length = $1, failure = $2, size_bytes = $3, \
             duration_ms = $4, format = $5, filename = CASE WHEN filename = $10 THEN $6 ELSE filename END, \
             storage_path = $7, interrupted = $8, left_out = $11 WHERE id = $9 AND status IN ('recording', 'uploading', 'processing')",
        )
        .bind(signed(plan.upload_length))
        .bind(&plan.failure)
        .bind(signed(plan.size_bytes))
        .bind(signed(plan.duration_ms))
        .bind(plan.format)
        .bind(&plan.filename)
        .bind(&plan.storage_path)
        .bind(i64::from(plan.interrupted))
        .bind(id)
        .bind(&plan.was_named)
        .bind(&plan.left_out)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Completes a finish: `processing` → `ready`, or `failed` if the plan has a failure.
    pub(crate) async fn mark_complete(&self, id: &str, now_ms: i64) -> Result<bool, DatabaseError> {
        let done = sqlx::query(
            "UPDATE recordings SET status = CASE WHEN failure IS NULL THEN 'ready' ELSE 'failed' END, \
             completed_ms = $1 WHERE id = $2 AND status = 'processing'",
        )
        .bind(now_ms)
        .bind(id)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Marks a recording and its further parts as being deleted: they count no bytes and are not served. Returns the
    /// further parts in order; `None` for a partial upload that belongs to a final one.
    pub(crate) async fn mark_deleting(
        &self,
        id: &str,
    ) -> Result<Option<Vec<String>>, DatabaseError> {
        let mut transaction = self.pool.begin().await?;
        let joined: Option<i64> = sqlx::query_scalar(
            "UPDATE recordings SET deleting = CASE WHEN final_id IS NULL THEN 1 ELSE deleting END WHERE id = $1 \
             RETURNING CASE WHEN final_id IS NULL THEN 0 ELSE 1 END",
        )
        .bind(id)
        .fetch_optional(&mut *transaction)
        .await?;
        if joined == Some(1) {
            return Ok(None);
        }
        let parts = parts::mark_deleting(&mut transaction, id).await?;
        transaction.commit().await?;
        Ok(Some(parts))
    }

    /// Returns recordings whose object is not deleted yet.
    pub(crate) async fn deleting_recordings(&self) -> Result<Vec<RecordingRow>, DatabaseError> {
        let sql = format!("{SELECT} WHERE r.deleting = 1");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .fetch_all(&self.pool)
            .await?)
    }

    pub(crate) async fn delete_recording(&self, id: &str) -> Result<bool, DatabaseError> {
        let done = sqlx::query("DELETE FROM recordings WHERE id = $1")
            .bind(id)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() == 1)
    }
}
