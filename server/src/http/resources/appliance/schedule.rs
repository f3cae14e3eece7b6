//! Schedule of auto-record: `/api/appliance/schedule`.

use axum::Json;
use axum::extract::State;
use sortie_api::{ApplianceSchedule, Schedule, ScheduleStatus, Weekday};

use super::recorder;
use crate::appliance_control::change_schedule;
use crate::http::extract::caller::Caller;
use crate::http::extract::json::JsonBody;
use crate::http::{ApiError, ApiResult, HttpState};

/// Windows that the audit log names.
const DESCRIBED: usize = 8;
/// Longest name of a time zone, longer than every IANA name.
const ZONE_MAX: usize = 64;

pub(super) async fn show(State(state): State<HttpState>) -> ApiResult<Json<ApplianceSchedule>> {
    let appliance = recorder(&state)?;
    let schedule = state.database.settings().schedule().await?;
    Ok(Json(shown(schedule, appliance.schedule())))
}

pub(super) async fn update(
    State(state): State<HttpState>,
    caller: Caller,
    JsonBody(mut schedule): JsonBody<Schedule>,
) -> ApiResult<Json<ApplianceSchedule>> {
    let appliance = recorder(&state)?;
    check(&schedule)?;
    if let Some(zone) = &schedule.time_zone
        && !(is_zone_name(zone) && appliance.has_time_zone(zone))
    {
        // The name may have any length: the error repeats its beginning only.
        let zone: String = zone.chars().take(50).collect();
        return Err(ApiError::invalid(format!(
            "time_zone: the appliance has no time zone {zone:?}. Enter an IANA name such as Europe/Berlin, or leave it out \
             for the time zone of the appliance."
        )));
    }
    for window in &mut schedule.windows {
        window.days.sort_unstable();
        window.days.dedup();
    }
    let description = describe(&schedule);
    change_schedule(&state, schedule.clone(), description, caller.actor()).await?;
    Ok(Json(shown(schedule, appliance.schedule())))
}

fn check(schedule: &Schedule) -> ApiResult<()> {
    schedule.check().map_err(|fault| {
        let field = fault.field.name();
        ApiError::invalid(match fault.window {
            Some(index) => format!("windows[{index}].{field}: {}", fault.reason),
            None => format!("{field}: {}", fault.reason),
        })
    })
}

/// Whether this has the form of an IANA name. Other texts are no file names for the time zone database.
fn is_zone_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+-".contains(&byte);
    !name.is_empty() && name.len() <= ZONE_MAX && name.bytes().all(is_allowed)
}

fn shown(schedule: Schedule, status: ScheduleStatus) -> ApplianceSchedule {
    ApplianceSchedule {
        enabled: schedule.enabled,
        time_zone: schedule.time_zone,
        windows: schedule.windows,
        status,
    }
}

/// Describes a schedule for the audit log: `on: Mon Tue 08:00–18:00, Sat 22:00–06:00 (Europe/Berlin)`.
fn describe(schedule: &Schedule) -> String {
    let windows: Vec<_> = schedule
        .windows
        .iter()
        .take(DESCRIBED)
        .map(|window| {
            let days: Vec<_> = window.days.iter().map(|day| short_name(*day)).collect();
            format!("{} {}–{}", days.join(" "), window.start, window.end)
        })
        .collect();
    let mut text = if schedule.enabled { "on: " } else { "off: " }.to_owned();
    text += &match windows.is_empty() {
        true => "no windows".to_owned(),
        false => windows.join(", "),
    };
    if let Some(more) = schedule
        .windows
        .len()
        .checked_sub(DESCRIBED)
        .filter(|it| *it > 0)
    {
        text += &format!(", {more} more");
    }
    if let Some(zone) = &schedule.time_zone {
        text += &format!(" ({zone})");
    }
    text
}

fn short_name(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Mon",
        Weekday::Tuesday => "Tue",
        Weekday::Wednesday => "Wed",
        Weekday::Thursday => "Thu",
        Weekday::Friday => "Fri",
        Weekday::Saturday => "Sat",
        Weekday::Sunday => "Sun",
    }
}

#[cfg(test)]
mod tests {
    use sortie_api::ScheduleWindow;

    use super::*;

    #[test]
    fn audit_detail_names_the_first_windows() {
        let window = ScheduleWindow {
            days: vec![Weekday::Monday, Weekday::Friday],
            start: "22:00".to_owned(),
            end: "06:00".to_owned(),
        };
        let mut schedule = Schedule {
            enabled: true,
            time_zone: Some("Europe/Berlin".to_owned()),
            windows: vec![window; 10],
        };
        let text = describe(&schedule);
        assert!(text.starts_with("on: Mon Fri 22:00–06:00, "), "{text}");
        assert!(text.ends_with(", 2 more (Europe/Berlin)"), "{text}");
        schedule.windows.truncate(DESCRIBED);
        assert!(!describe(&schedule).contains("more"));
        assert_eq!(describe(&Schedule::default()), "off: no windows");
    }

    #[test]
    fn zone_names_are_no_paths_out_of_the_database() {
        for (name, expected) in [
            ("Europe/Berlin", true),
            ("Etc/GMT+5", true),
            ("America/Argentina/Buenos_Aires", true),
            ("../../etc/passwd", false),
            ("", false),
            ("Europe/Berlin\0", false),
        ] {
            assert_eq!(is_zone_name(name), expected, "{name}");
        }
        assert!(!is_zone_name(&"a".repeat(65)));
    }
}
