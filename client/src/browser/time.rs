//! Timers.

use futures_util::future::{Either, select};
use gloo_timers::future::TimeoutFuture;

/// Waits for `ms` milliseconds. Dropping it clears the timer.
pub(super) async fn sleep(ms: u32) {
    TimeoutFuture::new(ms).await;
}

/// Returns the outcome of `work`; `None` if it takes longer than `ms` milliseconds.
pub(super) async fn within<T>(ms: u32, work: impl Future<Output = T> + Unpin) -> Option<T> {
    match select(work, TimeoutFuture::new(ms)).await {
        Either::Left((outcome, _)) => Some(outcome),
        Either::Right(_) => None,
    }
}
