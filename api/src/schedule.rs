//! Weekly schedule of auto-record on an appliance.

use serde::{Deserialize, Serialize};

/// Body of `PUT /api/appliance/schedule`: windows of the week in which auto-record is armed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Whether the windows apply. Otherwise, and without windows, auto-record is always armed.
    pub enabled: bool,
    /// IANA name of the time zone of the windows, such as `Europe/Berlin`; absent for the time zone of the appliance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Up to 64 windows. Where they overlap, they count as one.
    pub windows: Vec<ScheduleWindow>,
}

/// Window of a [`Schedule`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ScheduleWindow {
    /// Days on which the window starts, at least one.
    pub days: Vec<Weekday>,
    /// Start, local time of day: `00:00` to `23:59`.
    pub start: String,
    /// End, local time of day: `00:00` to `24:00`. An end before the start is on the next day.
    pub end: String,
}

/// Day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Weekday {
    /// Monday.
    #[serde(rename = "mon")]
    Monday,
    /// Tuesday.
    #[serde(rename = "tue")]
    Tuesday,
    /// Wednesday.
    #[serde(rename = "wed")]
    Wednesday,
    /// Thursday.
    #[serde(rename = "thu")]
    Thursday,
    /// Friday.
    #[serde(rename = "fri")]
    Friday,
    /// Saturday.
    #[serde(rename = "sat")]
    Saturday,
    /// Sunday.
    #[serde(rename = "sun")]
    Sunday,
}

/// Response of `GET` and `PUT /api/appliance/schedule`: the schedule, and whether auto-record is armed now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ApplianceSchedule {
    /// As in [`Schedule`].
    pub enabled: bool,
    /// As in [`Schedule`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// As in [`Schedule`].
    pub windows: Vec<ScheduleWindow>,
    /// State at the time of the response.
    #[serde(flatten)]
    pub status: ScheduleStatus,
}

/// Whether the schedule arms auto-record now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ScheduleStatus {
    /// Whether a signal starts a recording, provided that `recording_auto_record` is on.
    pub armed: bool,
    /// Time at which `armed` changes, Unix time in ms; absent if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_change: Option<i64>,
    /// `next_change` on a clock in `zone`: `18:00` today, `Mon 08:00` on another day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_change_local: Option<String>,
    /// Name of the time zone in force.
    pub zone: String,
    /// Reason why the schedule is ignored, in a sentence. Auto-record is armed then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl ScheduleStatus {
    /// Armed without an end: no window applies in this time zone.
    #[must_use]
    pub fn always_armed(zone: String) -> Self {
        Self {
            armed: true,
            next_change: None,
            next_change_local: None,
            zone,
            problem: None,
        }
    }
}

/// Invalid field of a [`Schedule`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSchedule {
    /// Index of the window; `None` if the fault is in no single window.
    pub window: Option<usize>,
    /// Field of the schedule or of the window.
    pub field: ScheduleField,
    /// Reason and remedy, in a sentence that does not name the field.
    pub reason: &'static str,
}

/// Field of a [`Schedule`] or of a [`ScheduleWindow`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScheduleField {
    /// `windows`.
    Windows,
    /// `days` of a window.
    Days,
    /// `start` of a window.
    Start,
    /// `end` of a window.
    End,
}

impl ScheduleField {
    /// Name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Windows => "windows",
            Self::Days => "days",
            Self::Start => "start",
            Self::End => "end",
        }
    }
}

impl Schedule {
    /// Maximum number of windows.
    pub const WINDOWS_MAX: usize = 64;

    /// Checks everything but the name of the time zone.
    ///
    /// # Errors
    /// The first invalid field.
    pub fn check(&self) -> Result<(), InvalidSchedule> {
        if self.windows.len() > Self::WINDOWS_MAX {
            return Err(InvalidSchedule {
                window: None,
                field: ScheduleField::Windows,
                reason: "A schedule has at most 64 windows. Combine windows with the same times.",
            });
        }
        for (index, window) in self.windows.iter().enumerate() {
            window.check().map_err(|(field, reason)| InvalidSchedule {
                window: Some(index),
                field,
                reason,
            })?;
        }
        Ok(())
    }

    /// Whether any window applies; otherwise auto-record is always armed.
    #[must_use]
    pub fn applies(&self) -> bool {
        self.enabled && !self.windows.is_empty()
    }
}

impl ScheduleWindow {
    /// Returns the invalid field, with reason and remedy.
    fn check(&self) -> Result<(), (ScheduleField, &'static str)> {
        if self.days.is_empty() {
            return Err((ScheduleField::Days, "Choose at least one day."));
        }
        let start = minute_of_day(&self.start).filter(|minute| *minute < DAY);
        let Some(start) = start else {
            let reason = "Enter a time from 00:00 to 23:59, such as 08:00.";
            return Err((ScheduleField::Start, reason));
        };
        let Some(end) = minute_of_day(&self.end) else {
            let reason = "Enter a time such as 18:00; 24:00 is the end of the day.";
            return Err((ScheduleField::End, reason));
        };
        if start == end {
            let reason =
                "Start and end are the same. For a whole day, begin at 00:00 and end at midnight.";
            return Err((ScheduleField::End, reason));
        }
        Ok(())
    }

    /// Returns start and end as minutes of the day, the end up to 1440; `None` if a time is invalid.
    #[must_use]
    pub fn minutes(&self) -> Option<(u16, u16)> {
        Some((minute_of_day(&self.start)?, minute_of_day(&self.end)?))
    }
}

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// Parses `HH:MM`, up to `24:00`.
fn minute_of_day(text: &str) -> Option<u16> {
    let [a, b, b':', c, d] = *text.as_bytes() else {
        return None;
    };
    let digits = [a, b, c, d];
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let [a, b, c, d] = digits.map(|digit| u16::from(digit - b'0'));
    let (hour, minute) = (a * 10 + b, c * 10 + d);
    let sum = hour * 60 + minute;
    (minute < 60 && sum <= DAY).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(start: &str, end: &str) -> ScheduleWindow {
        ScheduleWindow {
            days: vec![Weekday::Monday],
            start: start.to_owned(),
            end: end.to_owned(),
        }
    }

    #[test]
    fn times_of_a_window_are_checked() {
        for (start, end, wrong) in [
            ("08:00", "18:00", None),
            ("22:00", "06:00", None),
            ("00:00", "24:00", None),
            ("23:59", "00:00", None),
            ("24:00", "06:00", Some(ScheduleField::Start)),
            ("8:00", "18:00", Some(ScheduleField::Start)),
            ("08:60", "18:00", Some(ScheduleField::Start)),
            ("08:00 ", "18:00", Some(ScheduleField::Start)),
            ("+8:00", "18:00", Some(ScheduleField::Start)),
            ("", "18:00", Some(ScheduleField::Start)),
            ("08:00", "24:01", Some(ScheduleField::End)),
            ("08:00", "99:99", Some(ScheduleField::End)),
            ("08:00", "١٨:00", Some(ScheduleField::End)),
            ("08:00", "08:00", Some(ScheduleField::End)),
        ] {
            let found = window(start, end).check().err().map(|(field, _)| field);
            assert_eq!(found, wrong, "{start} {end}");
        }
    }

    #[test]
    fn windows_need_a_day_and_are_limited_in_number() {
        let schedule = |windows| Schedule {
            enabled: true,
            time_zone: None,
            windows,
        };
        let full = schedule(vec![window("08:00", "09:00"); Schedule::WINDOWS_MAX]);
        assert_eq!(full.check(), Ok(()));
        let more = schedule(vec![window("08:00", "09:00"); Schedule::WINDOWS_MAX + 1]);
        assert_eq!(
            more.check().map_err(|it| it.field),
            Err(ScheduleField::Windows)
        );
        let mut dayless = schedule(vec![window("08:00", "09:00"); 2]);
        dayless.windows[1].days.clear();
        let fault = dayless.check().expect_err("there is no day");
        assert_eq!((fault.window, fault.field), (Some(1), ScheduleField::Days));
    }

    #[test]
    fn json_has_short_names_of_days_and_no_unknown_fields() {
        let text =
            r#"{"enabled":true,"windows":[{"days":["mon","sun"],"start":"08:00","end":"18:00"}]}"#;
        let schedule: Schedule = serde_json::from_str(text).expect("a schedule");
        assert_eq!(serde_json::to_string(&schedule).expect("JSON"), text);
        for wrong in [
            r#"{"enabled":true,"windows":[],"days":[]}"#,
            r#"{"enabled":true,"windows":[{"days":["Monday"],"start":"08:00","end":"18:00"}]}"#,
            r#"{"enabled":true,"windows":[{"days":["mon"],"start":"08:00","end":"18:00","x":1}]}"#,
        ] {
            assert!(serde_json::from_str::<Schedule>(wrong).is_err(), "{wrong}");
        }
    }
}
