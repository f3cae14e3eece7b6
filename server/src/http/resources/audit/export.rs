//! Export of the audit log as a file: oldest row first, streamed.

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use csv::{QuoteStyle, Terminator, WriterBuilder};
use futures_util::stream;
use sortie_api::AuditEntry;

use super::{FilterQuery, entry};
use crate::db::{Action, AuditEvent, AuditFilter, Database};
use crate::http::extract::caller::Caller;
use crate::http::{ApiError, ApiResult, HttpState};

/// Rows of one query, which are in memory together.
const BATCH: u32 = 500;

const CSV_HEADER: &str =
    "seq,at,actor_id,actor_name,via,address,action,subject,detail,result,hash\r\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// One JSON object for each line.
    JsonLines,
    /// RFC 4180, with a header line.
    Csv,
}

/// Streams the rows. The export itself is logged first, so the file contains it.
pub(in crate::http) async fn export(
    State(state): State<HttpState>,
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
    let detail = query.to_query(&filter);
    let event = AuditEvent::done(&actor, Action::AuditExport, name).detail(&detail);
    state.audit(&event).await?;
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

/// Chunks of the file. A database error truncates the response body, so that the client notices.
fn lines(
    database: Database,
    filter: AuditFilter,
    format: Format,
) -> impl futures_util::Stream<Item = anyhow::Result<Bytes>> {
    let start = Progress {
        header: match format {
            Format::JsonLines => "",
            Format::Csv => CSV_HEADER,
        },
        cursor: None,
    };
    stream::try_unfold(Some(start), move |progress| {
        let (database, filter) = (database.clone(), filter.clone());
        async move {
            let Some(Progress { header, cursor }) = progress else {
                return Ok(None);
            };
            let rows = database.audit().batch(&filter, cursor, BATCH).await?;
            let is_full = rows.len() == BATCH as usize;
            let next = rows.last().filter(|_| is_full).map(|last| Progress {
                header: "",
                cursor: Some((last.at_ms, last.seq)),
            });
            let mut bytes = header.as_bytes().to_vec();
            for row in rows {
                let entry = entry(row)?;
                match format {
                    Format::JsonLines => {
                        serde_json::to_writer(&mut bytes, &entry)?;
                        bytes.push(b'\n');
                    }
                    Format::Csv => write_csv(&mut bytes, &csv_fields(&entry))?,
                }
            }
            Ok(Some((Bytes::from(bytes), next)))
        }
    })
}

/// Progress of an export.
struct Progress {
    /// Text that precedes the next rows.
    header: &'static str,
    /// Time and number of the last row.
    cursor: Option<(i64, i64)>,
}

fn csv_fields(entry: &AuditEntry) -> [String; 11] {
    [
        entry.seq.to_string(),
        entry.at.clone(),
        entry.actor_id.clone(),
        entry.actor_name.clone(),
        entry.via.name().to_owned(),
        entry.address.clone().unwrap_or_default(),
        entry.action.clone(),
        entry.subject.clone(),
        entry.detail.clone(),
        entry.result.name().to_owned(),
        entry.hash.clone(),
    ]
}

/// Writes a line of CSV. A field that a spreadsheet would evaluate as a formula gets a leading apostrophe (OWASP, *CSV
/// Injection*).
fn write_csv(bytes: &mut Vec<u8>, fields: &[String]) -> csv::Result<()> {
    let is_formula = |field: &str| {
        field.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
    };
    let mut writer = WriterBuilder::new()
        .quote_style(QuoteStyle::Always)
        .terminator(Terminator::CRLF)
        .from_writer(bytes);
    writer.write_record(fields.iter().map(|field| match is_formula(field) {
        true => format!("'{field}"),
        false => field.clone(),
    }))?;
    writer.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(field: &str, expected: &str) {
        let mut bytes = Vec::new();
        write_csv(&mut bytes, &[field.to_owned()]).unwrap();
        assert_eq!(bytes, format!("{expected}\r\n").into_bytes());
    }

    #[test]
    fn csv_fields_are_quoted_and_formulas_escaped() {
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
