//! Storage pressure: little space on the device, and bytes that wait in memory because the device is full.

/// Free space that causes a warning: minutes of recording at the usual rate.
const LOW_BYTES: u64 = 100 * 1024 * 1024;
/// Pending bytes in memory at which recording pauses. Browsers move large blobs to disk; beyond this they begin to end
/// pages.
const MEMORY_BYTES: u64 = 512 * 1024 * 1024;
/// Recording stops when half of the pending bytes were not sent within this time of the pause.
const PATIENCE_MS: f64 = 600_000.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Pause until the network has caught up.
    Pause,
    Resume,
    Stop,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StoragePressure {
    is_reported: bool,
    /// Start of the pause that memory forced.
    paused_ms: Option<f64>,
}

impl StoragePressure {
    /// Whether to warn about this little free space: once, and again after it was more than twice the limit.
    pub(super) fn is_low_news(&mut self, left_bytes: u64) -> bool {
        let is_news = left_bytes < LOW_BYTES && !self.is_reported;
        if is_news {
            self.is_reported = true;
        } else if left_bytes > LOW_BYTES * 2 {
            self.is_reported = false;
        }
        is_news
    }

    /// Decides whether to pause, resume or stop for `pending` bytes, in memory or on the device.
    pub(super) fn check(
        &mut self,
        now_ms: f64,
        in_memory: bool,
        pending: u64,
        is_paused: bool,
    ) -> Option<Reaction> {
        let Some(since) = self.paused_ms.filter(|_| is_paused) else {
            let is_full = in_memory && pending >= MEMORY_BYTES && !is_paused;
            self.paused_ms = is_full.then_some(now_ms);
            return is_full.then_some(Reaction::Pause);
        };
        if !in_memory || pending < MEMORY_BYTES / 2 {
            self.paused_ms = None;
            Some(Reaction::Resume)
        } else {
            (now_ms - since >= PATIENCE_MS).then_some(Reaction::Stop)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_space_is_reported_once() {
        let mut pressure = StoragePressure::default();
        assert!(!pressure.is_low_news(LOW_BYTES));
        assert!(pressure.is_low_news(LOW_BYTES - 1));
        assert!(!pressure.is_low_news(0));
        assert!(!pressure.is_low_news(LOW_BYTES * 2));
        assert!(!pressure.is_low_news(0), "it was hardly better");
        assert!(!pressure.is_low_news(LOW_BYTES * 2 + 1));
        assert!(pressure.is_low_news(0));
    }

    #[test]
    fn full_memory_pauses_until_half_is_sent() {
        let mut pressure = StoragePressure::default();
        assert_eq!(pressure.check(0.0, false, u64::MAX, false), None);
        assert_eq!(pressure.check(0.0, true, MEMORY_BYTES - 1, false), None);
        let pause = Some(Reaction::Pause);
        assert_eq!(pressure.check(0.0, true, MEMORY_BYTES, false), pause);
        assert_eq!(pressure.check(1.0, true, MEMORY_BYTES / 2, true), None);
        let resume = Some(Reaction::Resume);
        assert_eq!(
            pressure.check(2.0, true, MEMORY_BYTES / 2 - 1, true),
            resume
        );
        assert_eq!(pressure.check(3.0, true, MEMORY_BYTES, false), pause);
        assert_eq!(pressure.check(4.0, false, MEMORY_BYTES, true), resume);
    }

    #[test]
    fn recording_stops_when_the_pause_lasts_too_long() {
        let mut pressure = StoragePressure::default();
        pressure.check(5.0, true, MEMORY_BYTES, false);
        assert_eq!(pressure.check(PATIENCE_MS, true, MEMORY_BYTES, true), None);
        let stop = Some(Reaction::Stop);
        assert_eq!(
            pressure.check(PATIENCE_MS + 5.0, true, MEMORY_BYTES, true),
            stop
        );
    }

    #[test]
    fn pause_by_the_user_is_not_resumed() {
        let mut pressure = StoragePressure::default();
        assert_eq!(pressure.check(0.0, true, MEMORY_BYTES * 2, true), None);
        assert_eq!(pressure.check(PATIENCE_MS * 2.0, true, 0, true), None);
        // Paused for memory and resumed by the user: the recorder pauses it again.
        pressure.check(0.0, true, MEMORY_BYTES, false);
        let pause = Some(Reaction::Pause);
        assert_eq!(pressure.check(9.0, true, MEMORY_BYTES, false), pause);
    }
}
