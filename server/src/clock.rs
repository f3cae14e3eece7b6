//! Time as a parameter.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Tolerated difference between two observations: time servers step a clock by seconds.
pub(crate) const TOLERANCE_MS: i64 = 2 * 60 * 1000;
/// 2020-01-01T00:00:00Z. No recording is older, and no correct clock is behind it.
pub(crate) const EARLIEST_MS: i64 = 1_577_836_800_000;

/// Source of time. Nothing else in this crate reads the system's clocks.
///
/// The wall clock may be set by any amount at any moment. Intervals within a process use the monotonic reading.
pub trait Clock: Send + Sync + 'static {
    /// Unix time in ms.
    fn now_ms(&self) -> i64;

    /// Time since an arbitrary moment. Never set, never decreases. Includes suspended time; otherwise each suspend
    /// would look like a change of the wall clock.
    fn monotonic(&self) -> Duration;

    /// Reading by which periodic tasks detect that they were delayed (process stopped, machine suspended). On the
    /// machine's clock equal to [`monotonic`](Self::monotonic).
    fn schedule(&self) -> Duration {
        self.monotonic()
    }

    /// Monotonic reading in ms.
    fn monotonic_ms(&self) -> i64 {
        i64::try_from(self.monotonic().as_millis()).unwrap_or(i64::MAX)
    }
}

/// Clock of the operating system.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        jiff::Timestamp::now().as_millisecond()
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn monotonic(&self) -> Duration {
        // Not CLOCK_MONOTONIC, which stops while the machine is suspended.
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::try_from(time).unwrap_or_default()
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn monotonic(&self) -> Duration {
        static BEGIN: std::sync::LazyLock<tokio::time::Instant> =
            std::sync::LazyLock::new(tokio::time::Instant::now);
        BEGIN.elapsed()
    }
}

/// Manual clock of a test.
#[derive(Debug)]
pub struct ManualClock {
    wall_ms: AtomicI64,
    monotonic_ms: AtomicU64,
    schedule_ms: AtomicU64,
}

impl ManualClock {
    /// Starts at `now_ms`.
    pub fn new(now_ms: i64) -> Self {
        Self {
            wall_ms: AtomicI64::new(now_ms),
            monotonic_ms: AtomicU64::new(1_000_000),
            schedule_ms: AtomicU64::new(1_000_000),
        }
    }

    /// Advances while the process runs normally.
    pub fn advance(&self, by: Duration) {
        let ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        // The monotonic reading first: a reader between the two sees an outdated wall clock, which deletes nothing.
        self.monotonic_ms.fetch_add(ms, Ordering::SeqCst);
        self.jump(i64::try_from(ms).unwrap_or(i64::MAX));
    }

    /// Sets the wall clock forwards or back by this many ms. The monotonic reading stays the same.
    pub fn jump(&self, by_ms: i64) {
        self.wall_ms.fetch_add(by_ms, Ordering::SeqCst);
    }

    /// Advances while the process is stopped or the machine suspended.
    pub fn stop_for(&self, by: Duration) {
        let ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.schedule_ms.fetch_add(ms, Ordering::SeqCst);
        self.advance(by);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.wall_ms.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.monotonic_ms.load(Ordering::SeqCst))
    }

    fn schedule(&self) -> Duration {
        Duration::from_millis(self.schedule_ms.load(Ordering::SeqCst))
    }
}

/// Latest plausible creation time. A recording with a later one, or one before [`EARLIEST_MS`], is *undated*: it was
/// made under a wrong clock, and its age has no meaning.
pub(crate) fn latest_ms(now_ms: i64) -> i64 {
    now_ms.saturating_add(TOLERANCE_MS)
}

/// Formats as RFC 3339 in UTC with milliseconds.
pub(crate) fn rfc3339(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(
        |_| "1970-01-01T00:00:00Z".to_owned(),
        |time| format!("{time:.3}"),
    )
}

/// Formats as HTTP date (IMF-fixdate, RFC 9110, section 5.6.7), rounded down to seconds. `None` for a time without a
/// four-digit year.
pub(crate) fn http_date(ms: i64) -> Option<String> {
    let time = jiff::Timestamp::from_millisecond(ms).ok()?;
    let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
    printer.timestamp_to_rfc9110_string(&time).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Clock, ManualClock, SystemClock};

    #[test]
    fn monotonic_reading_never_goes_back() {
        let mut last = SystemClock.monotonic();
        for _ in 0..1000 {
            let now = SystemClock.monotonic();
            assert!(now >= last);
            last = now;
        }
        assert!(last > Duration::ZERO);
    }

    #[test]
    fn manual_clock_moves_wall_and_monotonic_apart() {
        let clock = ManualClock::new(1_000);
        let (monotonic, schedule) = (clock.monotonic(), clock.schedule());
        clock.jump(-500);
        assert_eq!((clock.now_ms(), clock.monotonic()), (500, monotonic));
        clock.advance(Duration::from_millis(100));
        let later = monotonic + Duration::from_millis(100);
        assert_eq!((clock.now_ms(), clock.monotonic()), (600, later));
        assert_eq!(clock.schedule(), schedule);
        clock.stop_for(Duration::from_millis(100));
        assert_eq!(clock.schedule(), schedule + Duration::from_millis(100));
        assert_eq!(clock.now_ms(), 700);
    }

    #[test]
    fn http_dates_are_formatted_as_imf_fixdate() {
        let date = super::http_date(784_111_777_999);
        // Example of RFC 9110, section 5.6.7.
        assert_eq!(date.as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_eq!(super::http_date(i64::MAX), None);
    }

    #[test]
    fn times_are_formatted_as_rfc_3339() {
        assert_eq!(
            super::rfc3339(1_795_253_400_250),
            "2026-11-21T09:30:00.250Z"
        );
        assert_eq!(super::rfc3339(i64::MAX), "1970-01-01T00:00:00Z");
    }
}
