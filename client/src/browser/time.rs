//! Timers.

use gloo_timers::callback::Timeout;

use crate::later::{later, unless};

/// Waits for `ms` milliseconds. Dropping it clears the timer.
pub(super) async fn sleep(ms: u32) {
    let (sender, over) = later();
    let _timer = Timeout::new(ms, move || sender.send(()));
    over.await;
}

/// Returns the outcome of `work`; `None` if it takes longer than `ms` milliseconds.
pub(super) async fn within<T>(ms: u32, work: impl Future<Output = T> + Unpin) -> Option<T> {
    let (sender, over) = later();
    let _timer = Timeout::new(ms, move || sender.send(()));
    unless(over, work).await
}
