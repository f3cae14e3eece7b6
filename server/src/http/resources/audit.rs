//! Audit log: `/api/admin/audit`.

mod export;

use std::num::ParseIntError;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use sortie_api::{AuditEntry, AuditResult, AuditVerification};

use crate::clock::rfc3339;
use crate::db::{AuditFilter, AuditRow, DatabaseError};
use crate::http::extract::paging::{ListQuery, invalid_cursor};
use crate::http::extract::query;
use crate::http::routes::{Routes, routes};
use crate::http::{ApiError, ApiResult, HttpState};

/// Tag of the list in cursors.
const ORDER: &str = "audit";

pub(in crate::http) fn routes() -> Routes {
    routes! {
        GET "/api/admin/audit" => list,
        GET "/api/admin/audit/export" => export::export,
        GET "/api/admin/audit/verify" => verify,
    }
}

/// Filters of list and export.
#[derive(Deserialize)]
struct FilterQuery {
    actor: Option<String>,
    action: Option<String>,
    subject: Option<String>,
    result: Option<String>,
    from: Option<String>,
    to: Option<String>,
    format: Option<String>,
}

impl FilterQuery {
    /// Resolves the filters. `actor` is a user's ID or name; if a user has this name, both are matched.
    async fn filter(&self, state: &HttpState) -> ApiResult<AuditFilter> {
        let text = |name: &str, value: &Option<String>| match value.as_deref() {
            None | Some("") => Ok(None),
            Some(value) if value.len() > 400 || value.contains('\0') => Err(ApiError::invalid(
                format!("{name} is not valid: it must have at most 400 bytes and no NUL."),
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
            Some(name) => state.database.users().by_name(name).await?,
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

    /// The filters as a query string for the audit log, with the ID of an actor that was given by name.
    fn to_query(&self, filter: &AuditFilter) -> String {
        let mut serializer = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [
            ("actor", filter.actor_or_id.as_ref().or(self.actor.as_ref())),
            ("action", self.action.as_ref()),
            ("subject", self.subject.as_ref()),
            ("result", self.result.as_ref()),
            ("from", self.from.as_ref()),
            ("to", self.to.as_ref()),
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
    State(state): State<HttpState>,
    query: ListQuery<FilterQuery>,
) -> ApiResult<Response> {
    let filter = query.filter.filter(&state).await?;
    let (limit, after) = (query.limit()?, query.after(ORDER)?);
    let after = after.map(|after| Ok((after.value, after.id.parse()?)));
    let after = after
        .transpose()
        .map_err(|_: ParseIntError| invalid_cursor())?;
    let page = state.database.audit().page(&filter, after, limit).await?;
    let rows = page.rows.into_iter().map(entry);
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    Ok(query.page(ORDER, rows, page.next.as_ref()))
}

async fn verify(State(state): State<HttpState>) -> ApiResult<Json<AuditVerification>> {
    Ok(Json(state.database.audit().verify().await?))
}
