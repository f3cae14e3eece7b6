//! Row of a recording, and its texts in the database.

use sortie_api::RecordingStatus;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::db::library::LibraryColumns;
use crate::db::unknown_text;
use crate::labels::Labels;

pub(in crate::db) const SELECT: &str = "SELECT r.id, r.session_id, r.user_id, u.username, r.filename, r.size_bytes, \
    r.duration_ms, r.format, r.storage_backend, r.storage_path, r.status, r.failure, r.interrupted, \
    r.upload_length, r.upload_metadata, r.idempotency_key, r.kind, r.upload_concat, r.final_id, r.protected, r.deleting, r.forward_pending, r.created_ms, r.completed_ms, \
    r.part_of, r.part, r.left_out, r.external_id, r.metadata, r.title, r.app_id, r.source, r.width, r.height, \
    r.video_codec, r.audio_codec, r.active_ms, r.ended_because, r.tags, r.pictures, r.trashed_ms, r.expires_ms \
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
    /// Labels of the first part; further parts have none.
    pub(crate) labels: Labels,
    pub(crate) library: LibraryColumns,
}

pub(in crate::db) fn status_to_text(status: RecordingStatus) -> &'static str {
    match status {
        RecordingStatus::Recording => "recording",
        RecordingStatus::Uploading => "uploading",
        RecordingStatus::Processing => "processing",
        RecordingStatus::Ready => "ready",
        RecordingStatus::Failed => "failed",
        RecordingStatus::Trashed => "trashed",
    }
}

pub(in crate::db) fn status_from_text(text: &str) -> Result<RecordingStatus, sqlx::Error> {
    Ok(match text {
        "recording" => RecordingStatus::Recording,
        "uploading" => RecordingStatus::Uploading,
        "processing" => RecordingStatus::Processing,
        "ready" => RecordingStatus::Ready,
        "failed" => RecordingStatus::Failed,
        "trashed" => RecordingStatus::Trashed,
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
            labels: Labels {
                external_id: row.try_get("external_id")?,
                metadata: row.try_get("metadata")?,
            },
            library: LibraryColumns::from_row(row)?,
        })
    }
}

type Insert<'q> = sqlx::query::Query<'q, sqlx::Any, <sqlx::Any as sqlx::Database>::Arguments>;

pub(super) const INSERT: &str = "INSERT INTO recordings (id, session_id, user_id, filename, storage_backend, storage_path, \
    status, upload_length, upload_metadata, idempotency_key, kind, upload_concat, created_ms, part_of, part, external_id, metadata, \
    title, source, app_id)";
/// Values of [`INSERT`] that [`bound`] binds. The application is that of the session.
pub(super) const VALUES: &str = "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, \
    COALESCE((SELECT s.app_id FROM sessions AS s WHERE s.id = $2), '')";

pub(in crate::db) fn insert(row: &RecordingRow) -> Insert<'_> {
    let sql = format!("{INSERT} VALUES ({VALUES})");
    bound(sqlx::query(sqlx::AssertSqlSafe(sql)), row, 1)
}

pub(super) fn bound<'q>(query: Insert<'q>, row: &'q RecordingRow, part: i64) -> Insert<'q> {
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
        .bind(&row.labels.external_id)
        .bind(&row.labels.metadata)
        .bind(&row.library.title)
        .bind(&row.library.source)
}
