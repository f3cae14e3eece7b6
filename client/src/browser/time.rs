//! Waiting.

use gloo_timers::callback::Timeout;

use crate::later::{later, unless};

/// Comes to an end after `ms` milliseconds; dropping it clears the timer.
pub(super) async fn sleep(ms: u32) {
    let (sender, over) = later();
    let _timer = Timeout::new(ms, move || sender.send(()));
    over.await;
}

/// What comes of `work` within `ms` milliseconds; nothing when it takes longer.
pub(super) async fn within<T>(ms: u32, work: impl Future<Output = T> + Unpin) -> Option<T> {
    let (sender, over) = later();
    let _timer = Timeout::new(ms, move || sender.send(()));
    unless(over, work).await
}
