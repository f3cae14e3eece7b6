//! Activity of one growing recording.

use std::sync::Mutex;
use std::time::Duration;

use sortie_media::Activity;

use super::on_demand::OnDemand;
use super::registry::locked;

/// Longest time between two determinations while no request waits.
const INTERVAL: Duration = Duration::from_secs(10);

/// Latest known activity. It is determined rarely unless a request waits for it.
#[derive(Default)]
pub(super) struct ActivityWatch {
    activity: OnDemand<Activity>,
    /// Attended time of the last determination.
    determined: Mutex<Option<Duration>>,
}

impl ActivityWatch {
    /// Returns the latest known activity.
    pub(super) fn latest(&self) -> Activity {
        self.activity.latest()
    }

    /// Waits for the next bytes of the recording, or for `limit`, and returns the activity.
    pub(super) async fn next(&self, limit: Duration) -> Activity {
        self.activity.next(limit).await
    }

    /// Stores the activity at this attended time if a request waits for it, or if the stored one is old.
    pub(super) fn offer(&self, now: Duration, activity: impl FnOnce() -> Option<Activity>) {
        let mut determined = locked(&self.determined);
        let is_old = determined.is_none_or(|at| now.saturating_sub(at) >= INTERVAL);
        if self.activity.offer(is_old, activity) {
            *determined = Some(now);
        }
    }
}
