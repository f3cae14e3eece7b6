//! Value of one growing recording, handed from the request that receives bytes to those that ask for it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::registry::locked;

/// Latest determined value. A request that writes holds the upload, so it determines the value for the others.
#[derive(Default)]
pub(super) struct OnDemand<T> {
    latest: Mutex<T>,
    is_wanted: AtomicBool,
    changed: Notify,
}

impl<T: Clone> OnDemand<T> {
    /// Returns the latest determined value.
    pub(super) fn latest(&self) -> T {
        locked(&self.latest).clone()
    }

    /// Waits for the next bytes of the recording, or for `limit`, and returns the value.
    pub(super) async fn next(&self, limit: Duration) -> T {
        let changed = self.changed.notified();
        self.is_wanted.store(true, Ordering::Release);
        let _ = tokio::time::timeout(limit, changed).await;
        self.latest()
    }

    /// Determines the value if a request waits for it, or if it `is_due`. Returns whether it was determined.
    pub(super) fn offer(&self, is_due: bool, value: impl FnOnce() -> Option<T>) -> bool {
        let is_wanted = self.is_wanted.swap(false, Ordering::AcqRel);
        let Some(value) = (is_wanted || is_due).then(value).flatten() else {
            return false;
        };
        *locked(&self.latest) = value;
        self.changed.notify_waiters();
        true
    }
}
