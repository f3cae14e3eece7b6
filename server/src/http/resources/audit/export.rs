//! The whole log, or what the filters leave of it, as a file: oldest first, streamed.

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use sortie_api::AuditEntry;

use super::{FilterQuery, entry};
use crate::db::{Action, AuditEvent, AuditFilter, Database, DatabaseError};
use crate::http::extract::caller::Caller;
use crate::http::{ApiError, ApiResult, AppState};

/// Rows that are in memory at a time.
const BATCH: u32 = 500;

const COLUMNS: &str =
    "seq,at,actor_id,actor_name,via,address,action,subject,detail,result,hash\r\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// One JSON object a line.
    JsonLines,
    /// RFC 4180, with a header line.
    Csv,
}

/// Streams it. That somebody took a copy is written down first, so it is in the copy.
pub(in crate::http) async fn export(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<FilterQuery>,
) -> ApiResult<Response> {
    let (format, media_type, name) = match query.format.as_deref() {
        Some("jsonl") => (Format::JsonLines, "application/jsonl", "audit.jsonl"),
        Some("csv") => (Format::Csv, "text/csv; charset=utf-8", "audit.csv"),
        _ => return Err(ApiError::invalid("format must be jsonl or csv.")),
    };
    let filter = query.filter(&state).await?;
    let actor = caller.actor();
    let detail = query.again();
    let event = AuditEvent::done(&actor, Action::AuditExport, name).detail(&detail);
    state.database.audit(state.clock.now_ms(), &event).await?;
    let mut response =
        Body::from_stream(lines(state.database.clone(), filter, format)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""))
        .map_err(ApiError::internal)?;
    headers.insert(header::CONTENT_DISPOSITION, disposition);
    Ok(response)
}

/// The file in pieces of some rows. A database that fails in between cuts the answer off, so that nobody takes it
/// for whole.
fn lines(
    database: Database,
    filter: AuditFilter,
    format: Format,
) -> impl futures_util::Stream<Item = Result<Bytes, DatabaseError>> {
    let beginning = Place {
        head: match format {
            Format::JsonLines => "",
            Format::Csv => COLUMNS,
        },
        cursor: None,
    };
    stream::try_unfold(Some(beginning), move |place| {
        let (database, filter) = (database.clone(), filter.clone());
        async move {
            let Some(Place { head, cursor }) = place else {
                return Ok(None);
            };
            let rows = database.audit_batch(&filter, cursor, BATCH).await?;
            let next = rows
                .last()
                .filter(|_| rows.len() == BATCH as usize)
                .map(|last| Place {
                    head: "",
                    cursor: Some((last.at_ms, last.seq)),
                });
            let mut text = head.to_owned();
            for row in rows {
                let entry = entry(row)?;
                match format {
                    Format::JsonLines => json_line(&mut text, &entry),
                    Format::Csv => csv_line(&mut text, &entry),
                }
            }
            Ok(Some((Bytes::from(text), next)))
        }
    })
}

/// Where an export is.
struct Place {
    /// What comes before the next rows.
    head: &'static str,
    /// The time and number of the last row.
    cursor: Option<(i64, i64)>,
}

fn json_line(text: &mut String, entry: &AuditEntry) {
    // Texts and whole numbers: there is nothing in an entry that JSON cannot hold.
    *text += &serde_json::to_string(entry).unwrap_or_default();
    text.push('\n');
}

fn csv_line(text: &mut String, entry: &AuditEntry) {
    let seq = entry.seq.to_string();
    let fields = [
        seq.as_str(),
        &entry.at,
        &entry.actor_id,
        &entry.actor_name,
        entry.via.name(),
        entry.address.as_deref().unwrap_or_default(),
        &entry.action,
        &entry.subject,
        &entry.detail,
        entry.result.name(),
        &entry.hash,
    ];
    for (at, field) in fields.into_iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        csv_field(text, field);
    }
    text.push_str("\r\n");
}

/// One field, always in quotes. What a spreadsheet would take for a formula begins with an apostrophe, which makes
/// it text there (OWASP, *CSV Injection*).
fn csv_field(text: &mut String, field: &str) {
    text.push('"');
    if field.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) {
        text.push('\'');
    }
    for letter in field.chars() {
        if letter == '"' {
            text.push('"');
        }
        text.push(letter);
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(field: &str, expected: &str) {
        let mut text = String::new();
        csv_field(&mut text, field);
        assert_eq!(text, expected);
    }

    #[test]
    fn a_field_is_text_whatever_is_in_it() {
        check("", "\"\"");
        check("talk.webm", "\"talk.webm\"");
        check("a,\"b\"\r\nc", "\"a,\"\"b\"\"\r\nc\"");
        check("=1+1", "\"'=1+1\"");
        check("+1", "\"'+1\"");
        check("-1", "\"'-1\"");
        check("@SUM(A1)", "\"'@SUM(A1)\"");
        check("\t=1", "\"'\t=1\"");
        check("＝1", "\"'＝1\"");
    }
}
