//! Settings in the database: `/api/admin/settings`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::Value;
use sortie_api::{RECORDING_AUTO_RECORD, STORAGE_THRESHOLD_PERCENT, Settings};

use crate::appliance_control::change_settings;
use crate::http::extract::caller::Caller;
use crate::http::extract::json::JsonBody;
use crate::http::routes::{Routes, routes};
use crate::http::{ApiError, ApiResult, HttpState};

pub(in crate::http) fn routes() -> Routes {
    routes! {
        GET "/api/admin/settings" => show,
        PUT "/api/admin/settings" => update,
    }
}

async fn show(State(state): State<HttpState>) -> ApiResult<Json<Settings>> {
    let auto_record = state.database.settings().auto_record().await?;
    let mut settings =
        Settings::from([(RECORDING_AUTO_RECORD.to_owned(), auto_record.to_string())]);
    if state.appliance.is_some() {
        let threshold = state.retention.rule().high_percent.unwrap_or(0);
        settings.insert(STORAGE_THRESHOLD_PERCENT.to_owned(), threshold.to_string());
    }
    Ok(Json(settings))
}

async fn update(
    State(state): State<HttpState>,
    caller: Caller,
    JsonBody(body): JsonBody<BTreeMap<String, Value>>,
) -> ApiResult<StatusCode> {
    let changes = body
        .into_iter()
        .map(|setting| checked(setting, state.appliance.is_some()))
        .collect::<ApiResult<Settings>>()?;
    change_settings(&state, changes, caller.actor()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Checks that a setting exists and that its value is allowed.
fn checked((name, value): (String, Value), appliance: bool) -> ApiResult<(String, String)> {
    if appliance && name == STORAGE_THRESHOLD_PERCENT {
        return match value {
            Value::String(value) if value.parse::<u8>().is_ok_and(|percent| percent < 100) => {
                Ok((name, value))
            }
            _ => Err(ApiError::invalid(format!(
                "{name} must be a text from \"0\" (off) to \"99\"."
            ))),
        };
    }
    if name != RECORDING_AUTO_RECORD {
        // The name may have any length: the error repeats its beginning only.
        let name: String = name.chars().take(50).collect();
        return Err(ApiError::invalid(format!(
            "There is no setting {name:?}. Available: {RECORDING_AUTO_RECORD}."
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
    fn unknown_settings_and_values_are_rejected() {
        for percent in ["0", "80", "99", "100", "-1", "8 ", ""] {
            let setting = (STORAGE_THRESHOLD_PERCENT.to_owned(), json!(percent));
            let allowed = matches!(percent, "0" | "80" | "99");
            assert_eq!(checked(setting.clone(), true).is_ok(), allowed, "{percent}");
            assert!(
                checked(setting, false).is_err(),
                "only an appliance has this setting"
            );
        }
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
            let result = checked((name.to_owned(), value.clone()), false);
            assert_eq!(result.is_ok(), allowed, "{name} {value}");
        }
    }
}
