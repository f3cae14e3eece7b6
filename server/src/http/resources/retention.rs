//! Retention and storage threshold: `/api/admin/retention`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use sortie_api::{
    Amount, ConfirmClock, OtherFiles, PlannedDeletion, ProblemCode, RetentionPreview,
    RetentionRule, RetentionRun,
};

use super::recordings;
use crate::db::{Action, AuditEvent};
use crate::http::extract::caller::Caller;
use crate::http::extract::json::OptionalJsonBody;
use crate::http::routes::{Routes, routes};
use crate::http::{ApiError, ApiResult, HttpState};
use crate::retention::RunError;

/// Largest number of recordings that one request deletes; the answer says whether more are left.
const RUN_MAX: u64 = 1000;

pub(in crate::http) fn routes() -> Routes {
    routes! {
        GET "/api/admin/retention" => preview,
        POST "/api/admin/retention/confirm-clock" => confirm_clock,
        POST "/api/admin/retention/run" => run,
    }
}

async fn preview(State(state): State<HttpState>) -> ApiResult<Json<RetentionPreview>> {
    let preview = state.retention.preview().await?;
    let mut next = Vec::with_capacity(preview.next.len());
    let mut reasons = Vec::with_capacity(preview.next.len());
    for (id, reason) in preview.next {
        // The recording may have been deleted meanwhile.
        if let Some(row) = state.database.recordings().get(&id).await? {
            next.push(row);
            reasons.push(PlannedDeletion { id, reason });
        }
    }
    let next = recordings::with_parts(&state, next).await?;
    let RetentionRule {
        days,
        high_percent,
        low_percent,
        next_run_at,
        hold,
    } = state.retention.rule();
    Ok(Json(RetentionPreview {
        days,
        high_percent,
        low_percent,
        due: preview.due,
        more: preview.more,
        next,
        reasons,
        retrying: state.database.recordings().deletions_pending().await?,
        next_run_at,
        hold,
        undated: state
            .database
            .candidates()
            .undated(state.clock.now_ms())
            .await?,
        unforwarded: preview.unforwarded,
        other_files: other_files(&state).await?,
    }))
}

/// Files in the folder of an appliance that are no recordings.
async fn other_files(state: &HttpState) -> ApiResult<OtherFiles> {
    let Some(appliance) = state.appliance.clone() else {
        return Ok(OtherFiles::default());
    };
    let known = state.database.imported().paths().await?;
    let known = known.into_iter().collect();
    let listed = tokio::task::spawn_blocking(move || appliance.other_files(&known));
    listed.await.map_err(ApiError::internal)
}

/// Confirms the server's clock.
async fn confirm_clock(
    State(state): State<HttpState>,
    caller: Caller,
    OptionalJsonBody(body): OptionalJsonBody<ConfirmClock>,
) -> ApiResult<StatusCode> {
    let actor = caller.actor();
    state.retention.clock_watch().confirm(&actor).await?;
    // A schedule is ignored while the clock is before the trusted time.
    state.apply_settings().await?;
    if body.undated {
        let now_ms = state.clock.now_ms();
        let count = state.database.candidates().confirm_undated(now_ms).await?;
        let detail = format!("{count} recordings with a wrong creation time may be deleted");
        let event = AuditEvent::done(&actor, Action::ClockConfirm, "undated").detail(&detail);
        state.database.audit().append(now_ms, &event).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn run(State(state): State<HttpState>, caller: Caller) -> ApiResult<Json<RetentionRun>> {
    let run = state.retention.run(RUN_MAX, caller.actor()).await;
    let run = run.map_err(|error| match error {
        RunError::Busy => ApiError::new(
            ProblemCode::Conflict,
            "A clean-up is already running on this or another server. Try again in a moment.",
        ),
        RunError::ClockInDoubt(hold) => ApiError::new(ProblemCode::Conflict, hold.message),
        RunError::Database(error) => error.into(),
    })?;
    let mut detail = format!(
        "{} deleted, {} bytes; {} not deleted yet",
        run.deleted,
        run.bytes,
        run.failed.len()
    );
    if run.unforwarded.count > 0 {
        let Amount { count, bytes } = run.unforwarded;
        detail += &format!("; {count} kept, {bytes} bytes: not on the central server yet");
    }
    let actor = caller.actor();
    let event = AuditEvent::done(&actor, Action::CleanUp, "retention").detail(&detail);
    state.audit(&event).await?;
    Ok(Json(run))
}
