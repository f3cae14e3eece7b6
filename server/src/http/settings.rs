//! Settings, for administrators: `/api/admin/settings`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::Value;
use sortie_api::{RECORDING_AUTO_RECORD, Settings};

use super::access::{Routes, routes};
use super::caller::Caller;
use super::json::JsonBody;
use super::{ApiError, ApiResult, AppState};

pub(super) fn routes() -> Routes {
    routes! {
        GET "/api/admin/settings" => show,
        PUT "/api/admin/settings" => change,
    }
}

async fn show(State(state): State<AppState>) -> ApiResult<Json<Settings>> {
    let auto_record = state.catalog.auto_record().await?;
    Ok(Json(Settings::from([(
        RECORDING_AUTO_RECORD.to_owned(),
        auto_record.to_string(),
    )])))
}

async fn change(
    State(state): State<AppState>,
    caller: Caller,
    JsonBody(body): JsonBody<BTreeMap<String, Value>>,
) -> ApiResult<StatusCode> {
    let changes = body
        .into_iter()
        .map(checked)
        .collect::<ApiResult<Settings>>()?;
    state
        .catalog
        .change_settings(&changes, &caller.actor(), state.clock.now_ms())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A setting that exists, with a value that it may have.
fn checked((name, value): (String, Value)) -> ApiResult<(String, String)> {
    if name != RECORDING_AUTO_RECORD {
        // A stranger's text, of any length: what is enough to recognise it.
        let name: String = name.chars().take(50).collect();
        return Err(ApiError::invalid(format!(
            "There is no setting {name:?}; there is {RECORDING_AUTO_RECORD}."
        )));
    }
    match value {
        Value::String(value) if matches!(value.as_str(), "true" | "false") => Ok((name, value)),
        _ => Err(ApiError::invalid(format!(
            "{name} must be the text \"true\" or \"false\"."
        ))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_exists_is_set_and_only_to_what_it_may_be() {
        for (name, value, allowed) in [
            ("recording_auto_record", json!("true"), true),
            ("recording_auto_record", json!("false"), true),
            ("recording_auto_record", json!(true), false),
            ("recording_auto_record", json!("TRUE"), false),
            ("recording_auto_record", json!(""), false),
            ("recording_auto_record", json!(null), false),
            ("jwt_secret", json!("true"), false),
            ("", json!("true"), false),
        ] {
            let result = checked((name.to_owned(), value.clone()));
            assert_eq!(result.is_ok(), allowed, "{name} {value}");
        }
    }
}
