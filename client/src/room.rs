//! When room runs short: on the device, and in memory where the device has none left.

/// Less than this on the device is worth a warning: minutes of recording at the usual rate.
const LOW_BYTES: u64 = 100 * 1024 * 1024;
/// So much may wait in memory before recording pauses. Browsers put large blobs on the disk by themselves; beyond
/// this they begin to end pages.
const MEMORY_BYTES: u64 = 512 * 1024 * 1024;
/// Paused for so long without coming below the half of that, recording ends: nobody is there.
const PATIENCE_MS: f64 = 600_000.0;

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relief {
    /// Record nothing until the network has caught up.
    Pause,
    /// It has.
    Resume,
    /// It will not.
    Stop,
}

/// Watches both.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Room {
    told: bool,
    /// When recording was paused for want of room.
    paused_ms: Option<f64>,
}

impl Room {
    /// Whether to warn of so little room on the device. Once, and again only after there was twice as much.
    pub(crate) fn is_low_news(&mut self, left_bytes: u64) -> bool {
        let news = left_bytes < LOW_BYTES && !self.told;
        if news {
            self.told = true;
        } else if left_bytes > LOW_BYTES * 2 {
            self.told = false;
        }
        news
    }

    /// `pending` bytes wait, in memory or not, while it is recording or paused.
    pub(crate) fn check(
        &mut self,
        now_ms: f64,
        in_memory: bool,
        pending: u64,
        is_paused: bool,
    ) -> Option<Relief> {
        let Some(since) = self.paused_ms.filter(|_| is_paused) else {
            let full = in_memory && pending >= MEMORY_BYTES && !is_paused;
            self.paused_ms = full.then_some(now_ms);
            return full.then_some(Relief::Pause);
        };
        if !in_memory || pending < MEMORY_BYTES / 2 {
            self.paused_ms = None;
            Some(Relief::Resume)
        } else {
            (now_ms - since >= PATIENCE_MS).then_some(Relief::Stop)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_room_is_news_once() {
        let mut room = Room::default();
        assert!(!room.is_low_news(LOW_BYTES));
        assert!(room.is_low_news(LOW_BYTES - 1));
        assert!(!room.is_low_news(0));
        assert!(!room.is_low_news(LOW_BYTES * 2));
        assert!(!room.is_low_news(0), "it was hardly better");
        assert!(!room.is_low_news(LOW_BYTES * 2 + 1));
        assert!(room.is_low_news(0));
    }

    #[test]
    fn full_memory_pauses_until_the_half_is_gone() {
        let mut room = Room::default();
        assert_eq!(room.check(0.0, false, u64::MAX, false), None);
        assert_eq!(room.check(0.0, true, MEMORY_BYTES - 1, false), None);
        let pause = Some(Relief::Pause);
        assert_eq!(room.check(0.0, true, MEMORY_BYTES, false), pause);
        assert_eq!(room.check(1.0, true, MEMORY_BYTES / 2, true), None);
        let resume = Some(Relief::Resume);
        assert_eq!(room.check(2.0, true, MEMORY_BYTES / 2 - 1, true), resume);
        assert_eq!(room.check(3.0, true, MEMORY_BYTES, false), pause);
        assert_eq!(room.check(4.0, false, MEMORY_BYTES, true), resume);
    }

    #[test]
    fn in_the_end_it_stops() {
        let mut room = Room::default();
        room.check(5.0, true, MEMORY_BYTES, false);
        assert_eq!(room.check(PATIENCE_MS, true, MEMORY_BYTES, true), None);
        let stop = Some(Relief::Stop);
        assert_eq!(
            room.check(PATIENCE_MS + 5.0, true, MEMORY_BYTES, true),
            stop
        );
    }

    #[test]
    fn a_pause_by_hand_is_the_persons() {
        let mut room = Room::default();
        assert_eq!(room.check(0.0, true, MEMORY_BYTES * 2, true), None);
        assert_eq!(room.check(PATIENCE_MS * 2.0, true, 0, true), None);
        // Paused for want of room and resumed by hand: it is paused again.
        room.check(0.0, true, MEMORY_BYTES, false);
        let pause = Some(Relief::Pause);
        assert_eq!(room.check(9.0, true, MEMORY_BYTES, false), pause);
    }
}
