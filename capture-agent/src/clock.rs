//! The time, for those who may ask for it.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Time since the machine was started. No setting of its clock moves it.
#[must_use]
pub fn monotonic() -> Duration {
    let time = clock_gettime(ClockId::Monotonic);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
