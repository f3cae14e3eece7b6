//! Recorder of an appliance: `/api/appliance`.

mod picture;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use sortie_api::{Appliance as ApplianceView, ProblemCode, SignalState, Space, TestSignal};

use crate::appliance::Appliance;
use crate::db::{Action, AuditEvent};
use crate::http::extract::caller::Caller;
use crate::http::extract::json::JsonBody;
use crate::http::routes::{Routes, routes};
use crate::http::{ApiError, ApiResult, HttpState};
use crate::storage::Disk;

/// Subject in the audit log.
const SUBJECT: &str = "appliance";

pub(in crate::http) fn routes() -> Routes {
    routes! {
        GET "/api/appliance" => show,
        GET "/api/appliance/picture" => picture::show,
        POST "/api/appliance/recording/start" => start,
        POST "/api/appliance/recording/stop" => stop,
        POST "/api/appliance/test-signal" => switch_signal,
    }
}

fn recorder(state: &HttpState) -> ApiResult<&dyn Appliance> {
    // Without an appliance, the routes are not registered.
    let missing = || ApiError::internal(anyhow::anyhow!("no appliance is configured"));
    state.appliance.as_deref().ok_or_else(missing)
}

/// State of the recorder with the server's settings and disk space; `None` without an appliance.
pub(in crate::http) async fn view(state: &HttpState) -> Option<ApplianceView> {
    let appliance = state.appliance.as_ref()?;
    let mut shown = appliance.state();
    shown.threshold_percent = state.retention.rule().high_percent;
    let disk = Disk::of(state.config.storage.folder()).await.ok();
    #[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
    let hours = |bytes: u64| bytes as f64 / appliance.bytes_per_second().max(1) as f64 / 3600.0;
    shown.space = disk.map(|disk| Space {
        used_bytes: disk.used_bytes,
        free_bytes: disk.free_bytes,
        hours_left: hours(disk.free_bytes),
    });
    Some(shown)
}

async fn answer(state: &HttpState) -> ApiResult<Json<ApplianceView>> {
    recorder(state)?;
    let missing = || ApiError::not_found("This server has no recorder.");
    view(state).await.map(Json).ok_or_else(missing)
}

async fn show(State(state): State<HttpState>) -> ApiResult<Json<ApplianceView>> {
    answer(&state).await
}

async fn start(State(state): State<HttpState>, caller: Caller) -> ApiResult<Json<ApplianceView>> {
    recorder(&state)?
        .start()
        .map_err(|reason| ApiError::new(ProblemCode::Conflict, reason))?;
    audit(&state, &caller, Action::Start).await?;
    answer(&state).await
}

async fn stop(State(state): State<HttpState>, caller: Caller) -> ApiResult<Json<ApplianceView>> {
    recorder(&state)?.stop();
    audit(&state, &caller, Action::Stop).await?;
    answer(&state).await
}

async fn switch_signal(
    State(state): State<HttpState>,
    JsonBody(TestSignal { state: signal }): JsonBody<TestSignal>,
) -> ApiResult<StatusCode> {
    if signal == SignalState::NoDevice {
        return Err(ApiError::invalid(
            "state must be steady, no_signal, no_lock or unsupported.",
        ));
    }
    if !recorder(&state)?.switch_signal(signal) {
        return Err(ApiError::new(
            ProblemCode::Conflict,
            "The source is not a test source, so its signal cannot be set.",
        ));
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn audit(state: &HttpState, caller: &Caller, action: Action) -> ApiResult<()> {
    let actor = caller.actor();
    let event = AuditEvent::done(&actor, action, SUBJECT).detail("by hand");
    Ok(state.audit(&event).await?)
}
