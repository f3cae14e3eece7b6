//! Timers.

use std::pin::{Pin, pin};

use futures_util::future::select;
use gloo_timers::future::TimeoutFuture;

/// Waits for `ms` milliseconds. Dropping it clears the timer.
pub(super) async fn sleep(ms: u32) {
    TimeoutFuture::new(ms).await;
}

/// Returns the outcome of `work`; `None` if it takes longer than `ms` milliseconds.
pub(super) async fn within<T>(ms: u32, work: impl Future<Output = T>) -> Option<T> {
    let mut outcome = None;
    poll_for(ms, pin!(async { outcome = Some(work.await) })).await;
    outcome
}

/// Polls `work` until it is done, or for `ms` milliseconds. Not generic, so that all callers share its code.
async fn poll_for(ms: u32, work: Pin<&mut dyn Future<Output = ()>>) {
    select(work, TimeoutFuture::new(ms)).await;
}
