//! Recorder of an appliance: `/api/appliance`.

mod history;
mod picture;
mod schedule;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use sortie_api::{Appliance as ApplianceView, ProblemCode, SignalState, TestSignal};

use crate::appliance::Appliance;
use crate::appliance_control::{self, ControlError, SUBJECT};
use crate::db::DatabaseError;
use crate::http::extract::caller::Caller;
use crate::http::extract::json::JsonBody;
use crate::http::routes::{Routes, routes};
use crate::http::{ApiError, ApiResult, HttpState};

pub(in crate::http) use crate::appliance_control::view;

/// Detail of commands in the audit log.
const BY_HAND: &str = "by hand";

pub(in crate::http) fn routes() -> Routes {
    routes! {
        GET "/api/appliance" => show,
        GET "/api/appliance/history" => history::show,
        GET "/api/appliance/picture" => picture::show,
        POST "/api/appliance/recording/start" => start,
        POST "/api/appliance/recording/stop" => stop,
        GET "/api/appliance/schedule" => schedule::show,
        PUT "/api/appliance/schedule" => schedule::update,
        POST "/api/appliance/test-signal" => switch_signal,
    }
}

fn recorder(state: &HttpState) -> ApiResult<&dyn Appliance> {
    // Without an appliance, the routes are not registered.
    let missing = || ApiError::internal(anyhow::anyhow!("no appliance is configured"));
    state.appliance.as_deref().ok_or_else(missing)
}

fn answer(state: &HttpState) -> ApiResult<Json<ApplianceView>> {
    recorder(state)?;
    let missing = || ApiError::not_found("This server has no recorder.");
    view(state).map(Json).ok_or_else(missing)
}

async fn show(State(state): State<HttpState>) -> ApiResult<Json<ApplianceView>> {
    answer(&state)
}

async fn start(State(state): State<HttpState>, caller: Caller) -> ApiResult<Json<ApplianceView>> {
    appliance_control::start(&state, caller.actor(), BY_HAND.to_owned()).await?;
    answer(&state)
}

async fn stop(State(state): State<HttpState>, caller: Caller) -> ApiResult<Json<ApplianceView>> {
    appliance_control::stop(&state, caller.actor(), BY_HAND.to_owned()).await?;
    answer(&state)
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

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Refused(reason) => Self::new(ProblemCode::Conflict, reason),
            ControlError::Database(error) => match error.downcast::<DatabaseError>() {
                Ok(error) => error.into(),
                Err(error) => Self::internal(error),
            },
        }
    }
}
