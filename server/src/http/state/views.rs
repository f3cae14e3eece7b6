//! Views and downloads that have a row in the audit log.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::db::Action;

/// Time in ms for which further requests of the same user for the same recording get no row.
const PERIOD_MS: i64 = 60 * 60 * 1000;
/// Largest number of entries. Beyond it, entries are dropped, and some requests get a second row.
const MAX_ENTRIES: usize = 16 * 1024;

/// Time of the last row by user, action and recording.
#[derive(Debug, Default)]
pub(in crate::http) struct Views(Mutex<HashMap<Key, i64>>);

type Key = (String, Action, String);

fn key(user_id: &str, action: Action, recording: &str) -> Key {
    (user_id.to_owned(), action, recording.to_owned())
}

impl Views {
    fn locked(&self) -> MutexGuard<'_, HashMap<Key, i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request is the first of its period. If so, its period begins.
    pub(in crate::http) fn is_first(
        &self,
        now_ms: i64,
        user_id: &str,
        action: Action,
        recording: &str,
    ) -> bool {
        let is_recent = |at: i64| at.abs_diff(now_ms) < PERIOD_MS.unsigned_abs();
        let key = key(user_id, action, recording);
        let mut known = self.locked();
        if known.get(&key).is_some_and(|at| is_recent(*at)) {
            return false;
        }
        if known.len() >= MAX_ENTRIES {
            known.retain(|_, at| is_recent(*at));
        }
        if known.len() >= MAX_ENTRIES {
            known.clear();
        }
        known.insert(key, now_ms);
        true
    }

    /// Removes an entry whose row could not be written.
    pub(in crate::http) fn forget(&self, user_id: &str, action: Action, recording: &str) {
        self.locked().remove(&key(user_id, action, recording));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_request_is_not_recorded_within_an_hour() {
        let views = Views::default();
        let first = |now_ms, user, recording| views.is_first(now_ms, user, Action::View, recording);
        assert!(first(0, "ann", "1"));
        assert!(!first(PERIOD_MS - 1, "ann", "1"));
        assert!(first(PERIOD_MS - 1, "ann", "2"));
        assert!(first(PERIOD_MS - 1, "bob", "1"));
        assert!(first(PERIOD_MS, "ann", "1"));
        // The clock was set back by a day.
        assert!(first(-24 * PERIOD_MS, "ann", "1"));
        views.forget("ann", Action::View, "1");
        assert!(first(-24 * PERIOD_MS, "ann", "1"));
        for number in 0..MAX_ENTRIES {
            views.is_first(0, "eve", Action::View, &number.to_string());
        }
        assert!(views.locked().len() <= MAX_ENTRIES);
    }
}
