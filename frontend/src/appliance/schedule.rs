use sortie_api::{Appliance, ScheduleStatus};

/// Describes the state of the schedule for the settings: `Armed until 18:00.`
pub fn schedule_status(status: &ScheduleStatus) -> String {
    if let Some(problem) = &status.problem {
        return problem.clone();
    }
    match (status.armed, &status.next_change_local) {
        (true, Some(until)) => format!("Armed until {until}."),
        (true, None) => "Always armed.".to_owned(),
        (false, Some(until)) => format!("Off until {until}."),
        (false, None) => "Off.".to_owned(),
    }
}

/// Says what the schedule does to auto-record, for the page; `None` without auto-record or without a schedule.
pub fn state_by_schedule(now: &Appliance) -> Option<String> {
    let status = now.schedule.as_ref().filter(|_| now.auto_record)?;
    if let Some(problem) = &status.problem {
        return Some(problem.clone());
    }
    let until = status.next_change_local.as_ref();
    Some(match (status.armed, until) {
        (true, Some(until)) => format!("Auto-record is armed until {until}."),
        (true, None) => return None,
        (false, Some(until)) => format!("By the schedule, auto-record is off until {until}."),
        (false, None) => "By the schedule, auto-record is off.".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::appliance::{Button, button};

    fn appliance(auto_record: bool, schedule: &serde_json::Value) -> Appliance {
        let told = json!({
            "signal": { "state": "no_signal" },
            "recorder": "waiting",
            "duration_seconds": 0.0,
            "dropped_frames": 0,
            "auto_record": auto_record,
            "schedule": schedule,
        });
        serde_json::from_value(told).expect("as a device says it")
    }

    #[test]
    fn page_says_until_when_auto_record_is_armed_or_off() {
        let on = json!({ "armed": true, "next_change_local": "18:00", "zone": "UTC" });
        let off = json!({ "armed": false, "next_change_local": "Mon 08:00", "zone": "UTC" });
        let wrong = json!({ "armed": true, "zone": "UTC", "problem": "The clock is wrong." });
        let always = json!({ "armed": true, "zone": "UTC" });
        for (schedule, status, page) in [
            (
                &on,
                "Armed until 18:00.",
                Some("Auto-record is armed until 18:00."),
            ),
            (
                &off,
                "Off until Mon 08:00.",
                Some("By the schedule, auto-record is off until Mon 08:00."),
            ),
            (&wrong, "The clock is wrong.", Some("The clock is wrong.")),
            (&always, "Always armed.", None),
        ] {
            let now = appliance(true, schedule);
            assert_eq!(
                schedule_status(now.schedule.as_ref().expect("it is there")),
                status
            );
            assert_eq!(state_by_schedule(&now).as_deref(), page);
            assert_eq!(state_by_schedule(&appliance(false, schedule)), None);
        }
        assert_eq!(state_by_schedule(&appliance(true, &json!(null))), None);
    }

    #[test]
    fn wait_for_a_signal_can_be_cancelled_outside_of_the_schedule() {
        let off = json!({ "armed": false, "zone": "UTC" });
        // Only a start by hand waits then.
        assert_eq!(button(&appliance(true, &off)), Button::Stop);
        let on = json!({ "armed": true, "zone": "UTC" });
        assert!(matches!(
            button(&appliance(true, &on)),
            Button::CannotStart(_)
        ));
    }
}
