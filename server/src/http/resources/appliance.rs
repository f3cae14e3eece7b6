//! The recorder on board, for administrators: `/api/appliance`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use sortie_api::{Appliance as Shown, ProblemCode, SignalState, Space, TestSignal};

use crate::appliance::Appliance;
use crate::db::{Action, AuditEvent};
use crate::http::extract::caller::Caller;
use crate::http::extract::json::JsonBody;
use crate::http::routes::{Routes, routes};
use crate::http::{ApiError, ApiResult, AppState};
use crate::storage::Disk;

/// What the audit log calls it.
const SUBJECT: &str = "appliance";

pub(in crate::http) fn routes() -> Routes {
    routes! {
        GET "/api/appliance" => show,
        POST "/api/appliance/recording/start" => start,
        POST "/api/appliance/recording/stop" => stop,
        POST "/api/appliance/test-signal" => switch_signal,
    }
}

fn on_board(state: &AppState) -> ApiResult<&dyn Appliance> {
    // Without one there are no such routes.
    let missing = || ApiError::internal(anyhow::anyhow!("there is no recorder on board"));
    state.appliance.as_deref().ok_or_else(missing)
}

/// What the recorder is doing, with what only the server knows; `None` without one.
pub(crate) async fn shown(state: &AppState) -> Option<Shown> {
    let appliance = state.appliance.as_ref()?;
    let mut shown = appliance.state();
    shown.threshold_percent = state.retention.rule().high_percent;
    let disk = Disk::of(state.config.storage.folder()).await.ok();
    #[expect(
        clippy::cast_precision_loss,
        reason = "hours, of which people read two digits"
    )]
    let hours = |bytes: u64| bytes as f64 / appliance.bytes_per_second().max(1) as f64 / 3600.0;
    shown.space = disk.map(|disk| Space {
        used_bytes: disk.used_bytes,
        free_bytes: disk.free_bytes,
        hours_left: hours(disk.free_bytes),
    });
    Some(shown)
}

async fn answer(state: &AppState) -> ApiResult<Json<Shown>> {
    on_board(state)?;
    let missing = || ApiError::not_found("There is no recorder on board.");
    shown(state).await.map(Json).ok_or_else(missing)
}

async fn show(State(state): State<AppState>) -> ApiResult<Json<Shown>> {
    answer(&state).await
}

async fn start(State(state): State<AppState>, caller: Caller) -> ApiResult<Json<Shown>> {
    on_board(&state)?
        .start()
        .map_err(|reason| ApiError::new(ProblemCode::Conflict, reason))?;
    written_down(&state, &caller, Action::Start).await?;
    answer(&state).await
}

async fn stop(State(state): State<AppState>, caller: Caller) -> ApiResult<Json<Shown>> {
    on_board(&state)?.stop();
    written_down(&state, &caller, Action::Stop).await?;
    answer(&state).await
}

async fn switch_signal(
    State(state): State<AppState>,
    JsonBody(TestSignal { state: signal }): JsonBody<TestSignal>,
) -> ApiResult<StatusCode> {
    if signal == SignalState::NoDevice {
        return Err(ApiError::invalid(
            "state must be steady, no_signal, no_lock or unsupported.",
        ));
    }
    if !on_board(&state)?.switch_signal(signal) {
        return Err(ApiError::new(
            ProblemCode::Conflict,
            "This is no test source: its signal comes from outside.",
        ));
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn written_down(state: &AppState, caller: &Caller, action: Action) -> ApiResult<()> {
    let actor = caller.actor();
    let event = AuditEvent::done(&actor, action, SUBJECT).detail("by hand");
    Ok(state.database.audit(state.clock.now_ms(), &event).await?)
}
