//! Arms auto-record by its setting and its schedule.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sortie_api::{Schedule, ScheduleStatus};
use sortie_server::{Clock as _, SystemClock};

use crate::recorder::Handle;
use crate::schedule::{Armed, WeeklySchedule, local_words};

/// Longest time until a clock or a time zone that was set takes effect.
const INTERVAL: Duration = Duration::from_secs(10);
/// Shortest time between two evaluations: the clock may not have reached the next change yet.
const INTERVAL_MIN: Duration = Duration::from_millis(20);

/// Setting and schedule of auto-record, applied to the recorder. Clones share them.
#[derive(Clone)]
pub(super) struct AutoRecord(Arc<Mutex<Values>>);

struct Values {
    recorder: Handle,
    /// Setting `recording_auto_record`.
    is_on: bool,
    /// `None` while no window applies.
    schedule: Option<WeeklySchedule>,
    /// Name of the schedule's time zone; `None` for the system's.
    zone: Option<String>,
    /// Unix time in ms before which the clock is wrong.
    earliest_ms: i64,
    status: ScheduleStatus,
    /// State that the recorder has.
    sent: bool,
}

impl AutoRecord {
    /// Off, without a schedule, as the recorder starts.
    pub(super) fn new(recorder: Handle) -> Self {
        let sent = recorder.snapshot().auto;
        Self(Arc::new(Mutex::new(Values {
            recorder,
            is_on: sent,
            schedule: None,
            zone: None,
            earliest_ms: 0,
            status: ScheduleStatus::always_armed(String::new()),
            sent,
        })))
    }

    pub(super) fn set_on(&self, on: bool) {
        let mut values = self.values();
        values.is_on = on;
        values.apply(SystemClock.now_ms());
    }

    pub(super) fn set_schedule(&self, schedule: &Schedule, earliest_ms: i64) {
        let mut values = self.values();
        values.schedule = WeeklySchedule::new(schedule);
        values.zone.clone_from(&schedule.time_zone);
        values.earliest_ms = earliest_ms;
        values.apply(SystemClock.now_ms());
    }

    pub(super) fn is_on(&self) -> bool {
        self.values().is_on
    }

    pub(super) fn status(&self) -> ScheduleStatus {
        self.values().status.clone()
    }

    /// Returns the status; `None` while no window applies.
    pub(super) fn applied_status(&self) -> Option<ScheduleStatus> {
        let values = self.values();
        values.schedule.as_ref().map(|_| values.status.clone())
    }

    fn values(&self) -> MutexGuard<'_, Values> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Values {
    /// Evaluates the schedule at `now_ms`, and tells the recorder a change. A repeated command would cancel the user's
    /// Stop.
    fn apply(&mut self, now_ms: i64) {
        let was_armed = self.status.armed;
        self.status = self.evaluate(now_ms);
        if self.status.armed != was_armed {
            let until = self.status.next_change_local.as_deref();
            tracing::info!(
                armed = self.status.armed,
                until,
                "the schedule has changed auto-record"
            );
        }
        let auto = self.is_on && self.status.armed;
        if auto != self.sent {
            self.sent = auto;
            self.recorder.set_auto(auto);
        }
    }

    fn evaluate(&self, now_ms: i64) -> ScheduleStatus {
        let zone = match &self.zone {
            Some(name) => TimeZone::get(name).ok(),
            None => Some(TimeZone::system()),
        };
        let name = match (&self.zone, &zone) {
            (Some(name), _) => name.clone(),
            (None, Some(zone)) => zone_name(zone),
            (None, None) => "UTC".to_owned(),
        };
        let armed = |problem: Option<String>| ScheduleStatus {
            problem,
            ..ScheduleStatus::always_armed(name.clone())
        };
        let Some(schedule) = &self.schedule else {
            return armed(None);
        };
        let Some(zone) = zone else {
            return armed(Some(format!(
                "The appliance has no time zone {name} any more, so the schedule is ignored. Choose another one."
            )));
        };
        let now = Timestamp::from_millisecond(now_ms).ok();
        let Some(now) = now.filter(|_| now_ms >= self.earliest_ms) else {
            let shown = now.map_or_else(String::new, |now| {
                format!(" It shows {}.", zone.to_datetime(now).strftime("%Y-%m-%d"))
            });
            return armed(Some(format!(
                "The clock of the appliance is wrong, so the schedule is ignored.{shown} Set the clock right, or confirm that it is."
            )));
        };
        let Armed {
            is_armed,
            next_change,
        } = schedule.state_at(now, &zone);
        ScheduleStatus {
            armed: is_armed,
            next_change: next_change.map(Timestamp::as_millisecond),
            next_change_local: next_change.map(|change| local_words(change, now, &zone)),
            zone: name,
            problem: None,
        }
    }
}

/// IANA name, or a description of a time zone without one.
fn zone_name(zone: &TimeZone) -> String {
    match zone.iana_name() {
        Some(name) if !zone.is_unknown() => name.to_owned(),
        _ if zone.is_unknown() => "UTC".to_owned(),
        _ => "local time".to_owned(),
    }
}

/// Applies the schedule at each of its changes, and at least every [`INTERVAL`], because the clock may be set.
pub(super) async fn run(auto_record: AutoRecord) {
    loop {
        let wait = {
            let mut values = auto_record.values();
            let now_ms = SystemClock.now_ms();
            values.apply(now_ms);
            let change_ms = values.status.next_change;
            let left_ms = change_ms.map(|change_ms| change_ms.saturating_sub(now_ms).max(0));
            left_ms.map_or(INTERVAL, |left_ms| {
                Duration::from_millis(left_ms.unsigned_abs())
            })
        };
        tokio::time::sleep(wait.clamp(INTERVAL_MIN, INTERVAL)).await;
    }
}
