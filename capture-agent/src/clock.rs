//! The agent's clocks. Clippy forbids access to the time elsewhere.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Returns the time since boot. Setting the wall clock does not change it.
#[must_use]
pub fn monotonic() -> Duration {
    let time = clock_gettime(ClockId::Monotonic);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
