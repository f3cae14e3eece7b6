//! Retention and threshold, for administrators: `/api/admin/retention`.

use axum::Json;
use axum::extract::State;
use sortie_api::{PlannedDeletion, ProblemCode, RetentionPreview, RetentionRule, RetentionRun};

use super::access::{Routes, routes};
use super::caller::Caller;
use super::{ApiError, ApiResult, AppState, recordings};
use crate::catalog::{Action, AuditEvent};
use crate::policy::RunError;

/// Recordings that one request deletes at most; the answer says whether there are more.
const RUN_MAX: u64 = 1000;

pub(super) fn routes() -> Routes {
    routes! {
        GET "/api/admin/retention" => preview,
        POST "/api/admin/retention/run" => run,
    }
}

async fn preview(State(state): State<AppState>) -> ApiResult<Json<RetentionPreview>> {
    let preview = state.retention.preview().await?;
    let mut next = Vec::with_capacity(preview.next.len());
    let mut reasons = Vec::with_capacity(preview.next.len());
    for (id, reason) in preview.next {
        // It may be gone by now.
        if let Some(row) = state.catalog.recording(&id).await? {
            next.push(row);
            reasons.push(PlannedDeletion { id, reason });
        }
    }
    let next = recordings::shown_with_parts(&state, next).await?;
    let RetentionRule {
        days,
        high_percent,
        low_percent,
        next_run_at,
    } = state.retention.rule();
    Ok(Json(RetentionPreview {
        days,
        high_percent,
        low_percent,
        due: preview.due,
        more: preview.more,
        next,
        reasons,
        retrying: state.catalog.deletions_pending().await?,
        next_run_at,
    }))
}

async fn run(State(state): State<AppState>, caller: Caller) -> ApiResult<Json<RetentionRun>> {
    let run = state.retention.run(RUN_MAX, caller.actor()).await;
    let run = run.map_err(|error| match error {
        RunError::Busy => ApiError::new(
            ProblemCode::Conflict,
            "A clean-up is running already, here or on another server. Look again in a moment.",
        ),
        RunError::Catalog(error) => error.into(),
    })?;
    let detail = format!(
        "{} deleted, {} bytes; {} not deleted yet",
        run.deleted,
        run.bytes,
        run.failed.len()
    );
    let actor = caller.actor();
    let event = AuditEvent::done(&actor, Action::CleanUp, "retention").detail(&detail);
    state.catalog.audit(state.clock.now_ms(), &event).await?;
    Ok(Json(run))
}
