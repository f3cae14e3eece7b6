//! Session, recording and file name that the metadata of an upload names.

use sortie_tus::metadata::Metadata;

use crate::db::SessionRow;
use crate::http::extract::caller::Caller;
use crate::http::file::plain_filename;
use crate::http::resources::{recordings, sessions};
use crate::http::{ApiResult, HttpState};

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
