//! The index in the file of a recording.

use std::io;
use std::ops::Range;

use futures_util::TryStreamExt as _;
use sortie_api::ProblemCode;
use sortie_media::{SeekIndex, SeekIndexReader};

use super::{Disposition, check_state};
use crate::db::RecordingRow;
use crate::http::{ApiError, ApiResult, HttpState};
use crate::storage::{Storage, StorageError};

/// Reads the index of a recording that is ready.
pub(in crate::http) async fn read_index(
    state: &HttpState,
    row: &RecordingRow,
) -> ApiResult<SeekIndex> {
    check_state(row, Disposition::Attachment)?;
    let mut reader = SeekIndexReader::new(row.size_bytes.unsigned_abs());
    while let Some(range) = reader.wanted() {
        let bytes = bytes(&*state.storage, &row.storage_path, range).await?;
        reader.push(&bytes);
    }
    reader.finish().map_err(|reason| {
        let detail = format!("{reason} Download the whole recording instead.");
        ApiError::new(ProblemCode::Conflict, detail)
    })
}

async fn bytes(
    storage: &dyn Storage,
    path: &str,
    range: Range<u64>,
) -> Result<Vec<u8>, StorageError> {
    let mut bytes = Vec::with_capacity(usize::try_from(range.end - range.start).unwrap_or(0));
    let mut pieces = storage.read(path, range).await?;
    loop {
        match pieces.try_next().await {
            Ok(Some(piece)) => bytes.extend_from_slice(&piece),
            Ok(None) => return Ok(bytes),
            // The file is shorter than its row says: the reader reports what is missing.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(bytes),
            Err(error) => return Err(error.into()),
        }
    }
}
