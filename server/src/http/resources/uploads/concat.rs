//! Partial and final uploads (tus 1.0, *Concatenation*).

use axum::http::{HeaderMap, header};
use sortie_api::{ProblemCode, RecordingStatus};
use sortie_tus::header::{self as tus};
use sortie_tus::metadata::Metadata;
use sortie_tus::server::{Creation, Part, UploadLength, join, part_id};

use super::target::{filename, labels, session};
use crate::db::{RecordingRow, UploadKind};
use crate::http::extract::caller::{Caller, is_origin_of};
use crate::http::resources::recordings;
use crate::http::{ApiError, ApiResult, HttpState};

/// Prefix of an upload's path.
const PREFIX: &str = "/api/uploads/";

/// Row of a partial upload. It has an owner and no session.
pub(in crate::http) fn partial(
    state: &HttpState,
    caller: &Caller,
    creation: &Creation,
) -> RecordingRow {
    let mut row = recordings::new_row(
        state,
        "",
        &caller.user_id,
        filename(&creation.metadata),
        creation.length.known(),
        creation.metadata.to_string(),
    );
    row.kind = UploadKind::Partial;
    "partial".clone_into(&mut row.upload_concat);
    row
}

/// Creates a recording of partial uploads in this order; returns its ID.
///
/// A repeated request, after a lost answer or a restart, resumes the same recording.
pub(in crate::http) async fn create(
    state: &HttpState,
    caller: &Caller,
    headers: &HeaderMap,
    metadata: &Metadata,
    urls: &[String],
) -> ApiResult<String> {
    let value = text(headers, tus::UPLOAD_CONCAT);
    if let Some(known) = state.database.final_uploads().by_concat(value).await? {
        let row = recordings::owned(state, caller, &known.id).await?;
        state.uploads.join(&row.id).await?;
        return Ok(row.id);
    }
    let host = text(headers, header::HOST.as_str());
    let mut ids = Vec::with_capacity(urls.len());
    let mut parts = Vec::with_capacity(urls.len());
    let public = state.config.public_path(PREFIX);
    for url in urls {
        let id = part_id(url, &public, |origin| is_origin_of(origin, host))
            .or_else(|_| part_id(url, PREFIX, |origin| is_origin_of(origin, host)))?;
        // Each occurrence would copy the part again.
        if ids.iter().any(|known| known == id) {
            return Err(ApiError::new(
                ProblemCode::BadRequest,
                "Upload-Concat names a partial upload twice. Upload the part again to use it twice.",
            ));
        }
        parts.push(part(&recordings::owned(state, caller, id).await?));
        ids.push(id.to_owned());
    }
    let length = join(parts, state.config.max_size_bytes)?;
    let labels = labels(metadata)?;
    let session = session(state, caller, metadata).await?;
    let mut row = recordings::new_row(
        state,
        &session.id,
        &session.user_id,
        filename(metadata),
        Some(length),
        metadata.to_string(),
    );
    row.kind = UploadKind::Final;
    row.labels = labels;
    row.status = RecordingStatus::Uploading;
    value.clone_into(&mut row.upload_concat);
    if !state
        .uploads
        .concatenate(&row, ids, &caller.actor())
        .await?
    {
        // A concurrent request with the same parts has created the upload.
        if let Some(known) = state.database.final_uploads().by_concat(value).await? {
            let row = recordings::owned(state, caller, &known.id).await?;
            state.uploads.join(&row.id).await?;
            return Ok(row.id);
        }
        return Err(ApiError::new(
            ProblemCode::Conflict,
            "A part of this final upload belongs to another final upload, or has expired.",
        ));
    }
    tracing::info!(
        recording = row.id,
        session = session.id,
        parts = urls.len(),
        user = caller.username,
        "uploads joined"
    );
    Ok(row.id)
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

fn part(row: &RecordingRow) -> Part {
    let length = row.upload_length.map(i64::unsigned_abs);
    Part {
        partial: row.kind == UploadKind::Partial,
        // A partial upload is ready only if all bytes are received.
        offset: match row.status {
            RecordingStatus::Ready => length.unwrap_or_default(),
            _ => 0,
        },
        length: match row.status {
            RecordingStatus::Ready => length.map_or(UploadLength::Deferred, UploadLength::Known),
            _ => UploadLength::Deferred,
        },
    }
}
