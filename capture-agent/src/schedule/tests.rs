use std::collections::HashMap;
use std::sync::LazyLock;

use jiff::civil::{DateTime, date};
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use proptest::prelude::*;

use super::*;

const DAYS: [Weekday; 7] = [
    Weekday::Monday,
    Weekday::Tuesday,
    Weekday::Wednesday,
    Weekday::Thursday,
    Weekday::Friday,
    Weekday::Saturday,
    Weekday::Sunday,
];

fn window(days: &[Weekday], start: &str, end: &str) -> ScheduleWindow {
    ScheduleWindow {
        days: days.to_vec(),
        start: start.to_owned(),
        end: end.to_owned(),
    }
}

fn weekly(windows: Vec<ScheduleWindow>) -> WeeklySchedule {
    let schedule = Schedule {
        enabled: true,
        time_zone: None,
        windows,
    };
    schedule.check().expect("a valid schedule");
    WeeklySchedule::new(&schedule).expect("windows")
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).expect("a time zone")
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// Returns the moments at which the state changes in a time, as RFC 3339 in UTC without seconds.
fn changes(schedule: &WeeklySchedule, zone: &TimeZone, from: &str, to: &str) -> Vec<String> {
    let (mut now, to) = (at(from), at(to));
    let mut found = Vec::new();
    while let Some(change) = schedule.state_at(now, zone).next_change {
        if change > to {
            break;
        }
        found.push(change.strftime("%dT%H:%M").to_string());
        now = change;
    }
    found
}

#[test]
fn schedule_without_windows_or_off_does_not_apply() {
    let mut schedule = Schedule {
        enabled: true,
        ..Schedule::default()
    };
    assert_eq!(WeeklySchedule::new(&schedule), None);
    schedule.windows = vec![window(&DAYS, "08:00", "18:00")];
    assert!(WeeklySchedule::new(&schedule).is_some());
    schedule.enabled = false;
    assert_eq!(WeeklySchedule::new(&schedule), None);
}

#[test]
fn overnight_window_ends_on_the_next_day() {
    let schedule = weekly(vec![window(&[Weekday::Friday], "22:00", "06:00")]);
    let utc = TimeZone::UTC;
    // 2026-12-04 is a Friday.
    let state = schedule.state_at(at("2026-12-05T05:59:59Z"), &utc);
    assert!(state.is_armed);
    assert_eq!(state.next_change, Some(at("2026-12-05T06:00:00Z")));
    let state = schedule.state_at(at("2026-12-05T06:00:00Z"), &utc);
    assert!(!state.is_armed);
    assert_eq!(state.next_change, Some(at("2026-12-11T22:00:00Z")));
    assert!(schedule.state_at(at("2026-12-04T22:00:00Z"), &utc).is_armed);
}

#[test]
fn adjacent_and_overlapping_windows_are_one() {
    let schedule = weekly(vec![
        window(&[Weekday::Monday], "08:00", "12:00"),
        window(&[Weekday::Monday], "12:00", "24:00"),
        window(&[Weekday::Tuesday], "00:00", "07:00"),
        window(&[Weekday::Monday], "09:00", "10:00"),
    ]);
    let state = schedule.state_at(at("2026-12-07T08:00:00Z"), &TimeZone::UTC);
    assert_eq!(state.next_change, Some(at("2026-12-08T07:00:00Z")));
}

#[test]
fn whole_week_is_always_armed() {
    for windows in [
        vec![window(&DAYS, "00:00", "24:00")],
        vec![
            window(&DAYS, "00:00", "12:00"),
            window(&DAYS, "12:00", "00:00"),
        ],
    ] {
        // In Havana the clocks change at midnight.
        for name in ["UTC", "Europe/Berlin", "America/Havana"] {
            let schedule = weekly(windows.clone());
            for day in 0..366 {
                let now = at("2026-01-01T00:00:00Z") + SignedDuration::from_hours(24 * day);
                assert_eq!(
                    schedule.state_at(now, &zone(name)),
                    Armed {
                        is_armed: true,
                        next_change: None
                    },
                    "{name} {now}"
                );
            }
        }
    }
}

/// In Berlin, 2026-03-29 02:00 is followed by 03:00 (01:00 UTC).
#[test]
fn skipped_time_is_as_much_later() {
    let berlin = zone("Europe/Berlin");
    for (start, end, expected) in [
        // 03:15 to 03:45.
        ("02:15", "02:45", ["29T01:15", "29T01:45"]),
        // The end is at its local time, although the window is shorter.
        ("01:00", "04:00", ["29T00:00", "29T02:00"]),
        ("01:00", "02:30", ["29T00:00", "29T01:30"]),
        ("02:30", "05:00", ["29T01:30", "29T03:00"]),
        // The start would be after the end: the usual length.
        ("02:00", "03:00", ["29T01:00", "29T02:00"]),
        ("02:30", "03:15", ["29T01:30", "29T02:15"]),
    ] {
        let schedule = weekly(vec![window(&[Weekday::Sunday], start, end)]);
        let found = changes(
            &schedule,
            &berlin,
            "2026-03-28T20:00:00Z",
            "2026-03-30T00:00:00Z",
        );
        assert_eq!(found, expected, "{start} to {end}");
    }
    // Over midnight, from Saturday.
    let schedule = weekly(vec![window(&[Weekday::Saturday], "22:00", "06:00")]);
    let found = changes(
        &schedule,
        &berlin,
        "2026-03-28T20:00:00Z",
        "2026-03-30T00:00:00Z",
    );
    assert_eq!(found, ["28T21:00", "29T04:00"]);
}

/// In Berlin, 2026-10-25 03:00 is followed by 02:00 (01:00 UTC).
#[test]
fn repeated_time_is_the_first() {
    let berlin = zone("Europe/Berlin");
    for (start, end, expected) in [
        ("02:15", "02:45", ["25T00:15", "25T00:45"]),
        ("01:00", "04:00", ["24T23:00", "25T03:00"]),
        ("01:00", "02:30", ["24T23:00", "25T00:30"]),
        ("02:30", "03:00", ["25T00:30", "25T02:00"]),
    ] {
        let schedule = weekly(vec![window(&[Weekday::Sunday], start, end)]);
        let found = changes(
            &schedule,
            &berlin,
            "2026-10-24T20:00:00Z",
            "2026-10-26T00:00:00Z",
        );
        assert_eq!(found, expected, "{start} to {end}");
    }
}

#[test]
fn words_name_the_day_unless_it_is_today() {
    let berlin = zone("Europe/Berlin");
    let now = at("2026-12-03T22:30:00Z");
    for (moment, expected) in [
        ("2026-12-03T22:45:00Z", "23:45"),
        ("2026-12-03T23:00:00Z", "Fri 00:00"),
        ("2026-12-10T07:00:00Z", "Thu 08:00"),
        ("2026-12-14T07:00:00Z", "Mon 14 Dec 08:00"),
    ] {
        assert_eq!(local_words(at(moment), now, &berlin), expected);
    }
}

#[test]
fn limits_of_the_calendar_are_harmless() {
    let schedule = weekly(vec![window(&DAYS, "22:00", "06:00")]);
    for now in [Timestamp::MIN, Timestamp::MAX] {
        for name in ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"] {
            let _ = schedule.state_at(now, &zone(name));
        }
    }
}

/// Minutes of a year in one time zone, read from a clock on the wall minute by minute.
struct Year {
    zone: TimeZone,
    begin: Timestamp,
    /// First minute at which the clock shows a time. A time that it never shows is looked up on a clock that was not
    /// changed for a day.
    shown: HashMap<DateTime, usize>,
    unchanged: HashMap<DateTime, usize>,
    minutes: usize,
    /// Minutes at which the clock was changed.
    jumps: Vec<usize>,
}

impl Year {
    fn read(name: &str) -> Self {
        let zone = zone(name);
        // From a week before 2026 to two weeks after it.
        let begin = at("2025-12-25T00:00:00Z");
        let minutes = (365 + 21) * 24 * 60;
        let mut year = Self {
            zone,
            begin,
            shown: HashMap::new(),
            unchanged: HashMap::new(),
            minutes,
            jumps: Vec::new(),
        };
        let offset = |zone: &TimeZone, now: Timestamp| zone.to_offset(now);
        let mut last = offset(&year.zone, begin);
        for minute in 0..minutes {
            let now = year.time(minute);
            let current = offset(&year.zone, now);
            if current != last {
                year.jumps.push(minute);
                last = current;
            }
            year.shown.entry(current.to_datetime(now)).or_insert(minute);
            let earlier = offset(&year.zone, now - SignedDuration::from_hours(24));
            year.unchanged
                .entry(earlier.to_datetime(now))
                .or_insert(minute);
        }
        year
    }

    fn time(&self, minute: usize) -> Timestamp {
        let minutes = i64::try_from(minute).expect("small");
        self.begin + SignedDuration::from_mins(minutes)
    }

    fn minute_of(&self, time: DateTime) -> Option<usize> {
        self.shown
            .get(&time)
            .or_else(|| self.unchanged.get(&time))
            .copied()
    }

    /// Marks the armed minutes.
    fn paint(&self, windows: &[ScheduleWindow]) -> Vec<bool> {
        let mut armed = vec![false; self.minutes];
        for day in 0..(365 + 19) {
            let today = date(2025, 12, 26) + day.days();
            let weekday =
                DAYS[usize::try_from(today.weekday().to_monday_zero_offset()).expect("0–6")];
            for window in windows.iter().filter(|it| it.days.contains(&weekday)) {
                let (start, end) = window.minutes().expect("valid times");
                let length = if end > start {
                    end - start
                } else {
                    1440 + end - start
                };
                let midnight = today.at(0, 0, 0, 0);
                let first = self.minute_of(midnight + i64::from(start).minutes());
                let last =
                    self.minute_of(midnight + (i64::from(start) + i64::from(length)).minutes());
                let (Some(first), Some(mut last)) = (first, last) else {
                    continue;
                };
                if last <= first {
                    last = first + usize::from(length);
                }
                let last = last.min(self.minutes);
                armed[first.min(last)..last].fill(true);
            }
        }
        armed
    }
}

static YEARS: LazyLock<Vec<Year>> = LazyLock::new(|| {
    ["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"]
        .map(Year::read)
        .into()
});

fn some_window() -> impl Strategy<Value = ScheduleWindow> {
    let time = || {
        prop_oneof![
            // Around the changes of the clocks.
            2 => 0..300_u16,
            1 => 0..1440_u16,
        ]
    };
    let days = prop::collection::btree_set(0..7_usize, 1..7);
    (days, time(), prop_oneof![8 => time(), 1 => Just(1440)])
        .prop_filter("start and end differ", |(_, start, end)| start != end)
        .prop_map(|(days, start, end)| {
            let days: Vec<_> = days.into_iter().map(|day| DAYS[day]).collect();
            let text = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
            window(&days, &text(start), &text(end))
        })
}

#[test]
fn clocks_change_twice_in_each_year() {
    for year in YEARS.iter() {
        assert_eq!(year.jumps.len(), 2);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Compares with the minutes of a year, all of them around changes of the clocks.
    #[test]
    fn state_equals_clock_on_the_wall(
        windows in prop::collection::vec(some_window(), 1..5),
        zone in 0..3_usize,
        offset in 0..1777_usize,
    ) {
        let year = &YEARS[zone];
        let armed = year.paint(&windows);
        let schedule = weekly(windows);
        // Without the days at the ends, whose windows are not all known.
        let (from, to) = (3 * 1440, year.minutes - 18 * 1440);
        let around = year.jumps.iter().flat_map(|jump| jump - 300..jump + 1800);
        for minute in (from..to).step_by(1777).map(|it| it + offset).chain(around) {
            let now = year.time(minute);
            let state = schedule.state_at(now, &year.zone);
            prop_assert_eq!(state.is_armed, armed[minute], "{}", now.to_zoned(year.zone.clone()));
            let change = (minute..minute + 15 * 1440).find(|it| armed[*it] != armed[minute]);
            prop_assert_eq!(
                state.next_change,
                change.map(|it| year.time(it)),
                "{}",
                now.to_zoned(year.zone.clone())
            );
            // The state holds until a moment before the change.
            if let Some(change) = state.next_change {
                let before = schedule.state_at(change - SignedDuration::from_millis(1), &year.zone);
                prop_assert_eq!(before, state);
                let after = schedule.state_at(change, &year.zone);
                prop_assert_eq!(after.is_armed, !state.is_armed);
            }
        }
    }
}
