//! Periodic work of a running recorder, counted in ticks.

use super::command::TICK_MS;

/// Interval at which the free space is asked for: 10 s.
const STORAGE_TICKS: u32 = 10_000 / TICK_MS;
/// Delay after a pause at which the encoder is asked for its bytes: it has encoded every picture by then.
const FLUSH_TICKS: u32 = 2;
/// Interval at which a canvas in a hidden page is painted.
const REPAINT_TICKS: u32 = 500 / TICK_MS;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Schedule {
    ticks: u32,
    paused_ticks: u32,
}

impl Schedule {
    pub(super) fn tick(&mut self) {
        self.ticks = self.ticks.wrapping_add(1);
    }

    /// Counts a tick while recording or paused. Returns whether to flush the encoder, once per pause.
    pub(super) fn is_flush_due(&mut self, is_paused: bool) -> bool {
        self.paused_ticks = if is_paused { self.paused_ticks + 1 } else { 0 };
        self.paused_ticks == FLUSH_TICKS
    }

    pub(super) fn is_storage_due(self) -> bool {
        self.ticks.is_multiple_of(STORAGE_TICKS)
    }

    pub(super) fn is_repaint_due(self) -> bool {
        self.ticks.is_multiple_of(REPAINT_TICKS)
    }
}
