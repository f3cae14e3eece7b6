//! Weekly windows in which auto-record is armed. Pure: time and time zone are arguments.

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use sortie_api::{Schedule, ScheduleWindow, Weekday};

const MINUTES_OF_DAY: u16 = 24 * 60;
/// Days before today whose windows may last until now: an overnight window begins yesterday, and a change of the time
/// zone can move it by a day more.
const DAYS_BEFORE: i64 = 3;
/// Days after today that are searched for the next change: two weeks, because a change of the clocks may fill the only
/// gap of a week.
const DAYS_AFTER: i64 = 15;

/// Windows of a [`Schedule`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeeklySchedule {
    windows: Vec<Window>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Window {
    /// Whether the window starts on a day, from Monday.
    days: [bool; 7],
    /// Minute of the day, 0–1439.
    start: u16,
    /// Minute of the day, 0–1440.
    end: u16,
}

/// State of a schedule at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Armed {
    pub is_armed: bool,
    /// First moment at which `is_armed` is different; `None` if it stays.
    pub next_change: Option<Timestamp>,
}

impl WeeklySchedule {
    /// Returns `None` if no window applies, so that auto-record is always armed. Windows with invalid times or without a
    /// day, which [`Schedule::check`] rejects, are left out.
    #[must_use]
    pub fn new(schedule: &Schedule) -> Option<Self> {
        if !schedule.applies() {
            return None;
        }
        let windows: Vec<_> = schedule.windows.iter().filter_map(Window::new).collect();
        (!windows.is_empty()).then_some(Self { windows })
    }

    /// Returns the state at `now`. Windows include their start and exclude their end, and overlapping or adjacent ones
    /// are one.
    ///
    /// Times of day are resolved as by RFC 5545: one that the clocks skip is as much later (02:15 is 03:15), and one that
    /// is repeated is the first. A window whose skipped start would be after its end has its usual length.
    #[must_use]
    pub fn state_at(&self, now: Timestamp, zone: &TimeZone) -> Armed {
        let today = zone.to_datetime(now).date();
        let mut spans: Vec<_> = (-DAYS_BEFORE..=DAYS_AFTER)
            .filter_map(|days| today.checked_add(jiff::Span::new().days(days)).ok())
            .flat_map(|date| {
                self.windows
                    .iter()
                    .filter_map(move |it| it.span(date, zone))
            })
            .collect();
        spans.sort_unstable();
        let mut current = None::<(Timestamp, Timestamp)>;
        for (start, end) in spans.iter().copied().filter(|(_, end)| *end > now) {
            match &mut current {
                None => current = Some((start, end)),
                Some((_, last)) if start <= *last => *last = end.max(*last),
                Some(_) => break,
            }
        }
        let Some((start, end)) = current else {
            // Only at the limits of the calendar: every week has a window.
            return Armed {
                is_armed: false,
                next_change: None,
            };
        };
        if now < start {
            return Armed {
                is_armed: false,
                next_change: Some(start),
            };
        }
        let is_endless = spans.iter().all(|(start, _)| *start <= end);
        Armed {
            is_armed: true,
            next_change: (!is_endless).then_some(end),
        }
    }
}

impl Window {
    fn new(window: &ScheduleWindow) -> Option<Self> {
        let (start, end) = window.minutes()?;
        let mut days = [false; 7];
        for day in &window.days {
            days[match day {
                Weekday::Monday => 0,
                Weekday::Tuesday => 1,
                Weekday::Wednesday => 2,
                Weekday::Thursday => 3,
                Weekday::Friday => 4,
                Weekday::Saturday => 5,
                Weekday::Sunday => 6,
            }] = true;
        }
        let is_valid = start < MINUTES_OF_DAY && start != end && days.contains(&true);
        is_valid.then_some(Self { days, start, end })
    }

    /// Returns start and end of the window that starts on `date`; `None` if there is none.
    fn span(&self, date: Date, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        let day = usize::try_from(date.weekday().to_monday_zero_offset()).ok()?;
        if !*self.days.get(day)? {
            return None;
        }
        let is_overnight = self.end <= self.start;
        let start = resolve(date, self.start, zone)?;
        let last_day = if is_overnight {
            date.tomorrow().ok()?
        } else {
            date
        };
        let end = resolve(last_day, self.end, zone)?;
        if start < end {
            return Some((start, end));
        }
        let length = if is_overnight { MINUTES_OF_DAY } else { 0 } + self.end - self.start;
        let length = jiff::SignedDuration::from_mins(i64::from(length));
        Some((start, start.checked_add(length).ok()?))
    }
}

/// Returns the moment at which a clock in `zone` shows a minute of a day.
fn resolve(date: Date, minute: u16, zone: &TimeZone) -> Option<Timestamp> {
    let date = if minute >= MINUTES_OF_DAY {
        date.tomorrow().ok()?
    } else {
        date
    };
    let minute = i8::try_from(minute % 60)
        .ok()
        .zip(i8::try_from(minute / 60 % 24).ok());
    let (minute, hour) = minute?;
    let time = Time::new(hour, minute, 0, 0).ok()?;
    zone.to_ambiguous_timestamp(date.to_datetime(time))
        .compatible()
        .ok()
}

/// Describes `moment` to a reader at `now`: `18:00` today, `Mon 08:00` within a week, otherwise `Mon 14 Dec 08:00`.
#[must_use]
pub fn local_words(moment: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let (moment, now) = (zone.to_datetime(moment), zone.to_datetime(now));
    let days = now
        .date()
        .until(moment.date())
        .map_or(i32::MAX, |span| span.get_days());
    let format = match days {
        0 => "%H:%M",
        1..=7 => "%a %H:%M",
        _ => "%a %-d %b %H:%M",
    };
    moment.strftime(format).to_string()
}
