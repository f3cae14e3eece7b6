//! The audit log, for administrators: `/api/admin/audit`.

mod export;

use axum::Json;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;
use sortie_api::{AuditEntry, AuditResult, AuditVerification};

use crate::clock::rfc3339;
use crate::db::{AuditFilter, AuditRow, DatabaseError};
use crate::http::extract::query;
use crate::http::routes::{Routes, routes};
use crate::http::{ApiError, ApiResult, AppState};

/// Rows of a page when the caller does not say.
const PAGE: u32 = 100;
/// The most rows of a page.
const PAGE_MAX: u32 = 500;

pub(in crate::http) fn routes() -> Routes {
    routes! {
        GET "/api/admin/audit" => list,
        GET "/api/admin/audit/export" => export::export,
        GET "/api/admin/audit/verify" => verify,
    }
}

/// The filters of list and export.
#[derive(Deserialize)]
struct FilterQuery {
    actor: Option<String>,
    action: Option<String>,
    subject: Option<String>,
    result: Option<String>,
    from: Option<String>,
    to: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
    format: Option<String>,
}

impl FilterQuery {
    /// The filter. `actor` is a user's id or name: of a user who is named like an id both are looked for.
    async fn filter(&self, state: &AppState) -> ApiResult<AuditFilter> {
        let text = |name: &str, value: &Option<String>| match value.as_deref() {
            None | Some("") => Ok(None),
            Some(value) if value.len() > 400 || value.contains('\0') => Err(ApiError::invalid(
                format!("{name} is not one: it is too long or has a NUL in it."),
            )),
            Some(value) => Ok(Some(value.to_owned())),
        };
        let result = match self.result.as_deref() {
            None | Some("") => None,
            Some(text) => {
                let known = [AuditResult::Ok, AuditResult::Denied, AuditResult::Failed];
                let found = known.map(AuditResult::name).into_iter();
                Some(
                    found
                        .into_iter()
                        .find(|name| *name == text)
                        .ok_or_else(|| ApiError::invalid("result must be ok, denied or failed."))?,
                )
            }
        };
        let actor_id = text("actor", &self.actor)?;
        let named = match &actor_id {
            Some(name) => state.database.user_by_name(name).await?,
            None => None,
        };
        Ok(AuditFilter {
            actor_id,
            actor_or_id: named.map(|user| user.id),
            action: text("action", &self.action)?,
            subject: text("subject", &self.subject)?,
            result,
            from_ms: query::time("from", self.from.as_deref())?,
            to_ms: query::time("to", self.to.as_deref())?,
        })
    }

    /// The same filters as a query, to follow.
    fn again(&self) -> String {
        let mut serializer = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [
            ("actor", &self.actor),
            ("action", &self.action),
            ("subject", &self.subject),
            ("result", &self.result),
            ("from", &self.from),
            ("to", &self.to),
        ] {
            if let Some(value) = value {
                serializer.append_pair(name, value);
            }
        }
        serializer.finish()
    }
}

fn entry(row: AuditRow) -> Result<AuditEntry, DatabaseError> {
    Ok(AuditEntry {
        seq: row.seq.unsigned_abs(),
        at: rfc3339(row.at_ms),
        via: row.via()?,
        result: row.result()?,
        actor_id: row.actor_id,
        actor_name: row.actor_name,
        address: (!row.address.is_empty()).then_some(row.address),
        action: row.action,
        subject: row.subject,
        detail: row.detail,
        hash: row.hash,
    })
}

async fn list(
    State(state): State<AppState>,
    Query(query): Query<FilterQuery>,
) -> ApiResult<Response> {
    let filter = query.filter(&state).await?;
    let limit = query::limit(query.limit.as_deref(), PAGE, PAGE_MAX)?;
    let cursor = query.cursor.as_deref().map(query::cursor).transpose()?;
    let cursor = cursor
        .map(|(at_ms, seq)| seq.parse().map(|seq| (at_ms, seq)))
        .transpose()
        .map_err(|_| {
            ApiError::invalid("cursor is not one that this server gave; follow the Link header.")
        })?;
    // One row more than asked for tells whether there is a next page.
    let mut rows = state
        .database
        .audit_page(&filter, cursor, limit + 1)
        .await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| more).map(|last| {
        let again = query.again();
        format!(
            "/api/admin/audit?{again}&limit={limit}&cursor={}.{}",
            last.at_ms, last.seq
        )
    });
    let page = rows.into_iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    Ok(query::page(Json(page), next.as_deref()))
}

async fn verify(State(state): State<AppState>) -> ApiResult<Json<AuditVerification>> {
    Ok(Json(state.database.verify_audit().await?))
}
