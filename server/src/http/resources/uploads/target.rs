//! Session, recording and file name that the metadata of an upload names.

use sortie_tus::metadata::Metadata;

use crate::db::SessionRow;
use crate::http::extract::caller::Caller;
use crate::http::file::plain_filename;
use crate::http::resources::{recordings, sessions};
use crate::http::{ApiError, ApiResult, HttpState};
use crate::labels::Labels;

pub(super) fn filename(metadata: &Metadata) -> Option<String> {
    let name = metadata
        .text("filename")
        .or_else(|| metadata.text("name"))?;
    plain_filename(name)
}

/// ID of the session that a creation names; a recording token implies its own.
pub(super) fn named_session<'a>(caller: &'a Caller, metadata: &'a Metadata) -> Option<&'a str> {
    let named = metadata.text("session_id").filter(|id| !id.is_empty());
    named.or(caller.session.as_deref())
}

/// External ID and metadata of the recording. A next part has none: they belong to the first part.
pub(super) fn labels(metadata: &Metadata) -> ApiResult<Labels> {
    if continues(metadata).is_some() {
        return Ok(Labels::default());
    }
    let external_id = label(metadata, "external_id")?;
    let data = label(metadata, "metadata")?;
    Ok(Labels::parse(external_id, data)?)
}

/// Returns a label; an empty one counts as absent.
fn label<'a>(metadata: &'a Metadata, name: &str) -> ApiResult<Option<&'a str>> {
    let text = metadata.text(name);
    if text.is_none() && metadata.get(name).is_some() {
        return Err(ApiError::invalid(format!(
            "{name} in Upload-Metadata must be UTF-8 text, encoded as base64."
        )));
    }
    Ok(text.filter(|text| !text.is_empty()))
}

/// ID of the recording that an upload continues.
pub(super) fn continues(metadata: &Metadata) -> Option<&str> {
    metadata.text("continues").filter(|id| !id.is_empty())
}

/// Returns the session of an upload: the named one, else that of the continued recording, else a new one.
pub(super) async fn session(
    state: &HttpState,
    caller: &Caller,
    metadata: &Metadata,
) -> ApiResult<SessionRow> {
    match named_session(caller, metadata) {
        Some(id) => sessions::running(state, caller, id).await,
        None => match continues(metadata) {
            Some(id) => {
                let row = recordings::allowed(state, caller, id).await?;
                sessions::running(state, caller, &row.session_id).await
            }
            None => sessions::open(state, caller, "upload").await,
        },
    }
}
