//! Remembers for a moment that a sign-in is alive, so that a stream of small requests does not ask the
//! database each time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::catalog::UserRow;

/// How long an answer is good for: how long another replica's logout or lock-out may go unnoticed here.
const GOOD_FOR_MS: i64 = 5_000;
/// Sign-ins remembered at once.
const CAPACITY: usize = 10_000;

/// Sign-ins that were alive a moment ago, with their person as they were then. Never says "dead": that is
/// always asked anew.
#[derive(Default)]
pub(super) struct Standing {
    rows: Mutex<HashMap<String, Row>>,
}

struct Row {
    user: Arc<UserRow>,
    checked_ms: i64,
}

impl Row {
    fn is_fresh(&self, now_ms: i64) -> bool {
        // A clock that was set back makes no answer last longer.
        (0..GOOD_FOR_MS).contains(&now_ms.saturating_sub(self.checked_ms))
    }
}

impl Standing {
    /// Whose sign-in it is, if that was asked a moment ago.
    pub(super) fn recall(&self, family: &str, now_ms: i64) -> Option<Arc<UserRow>> {
        self.rows()
            .get(family)
            .filter(|row| row.is_fresh(now_ms))
            .map(|row| Arc::clone(&row.user))
    }

    /// The database said that this sign-in is alive.
    pub(super) fn remember(&self, family: &str, user: Arc<UserRow>, now_ms: i64) {
        let mut rows = self.rows();
        if rows.len() >= CAPACITY {
            rows.retain(|_, row| row.is_fresh(now_ms));
            if rows.len() >= CAPACITY {
                rows.clear();
            }
        }
        rows.insert(
            family.to_owned(),
            Row {
                user,
                checked_ms: now_ms,
            },
        );
    }

    /// A sign-in ended.
    pub(super) fn forget_family(&self, family: &str) {
        self.rows().remove(family);
    }

    /// A person changed.
    pub(super) fn forget_user(&self, user_id: &str) {
        self.rows().retain(|_, row| row.user.id != user_id);
    }

    fn rows(&self) -> std::sync::MutexGuard<'_, HashMap<String, Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use sortie_api::{Role, UserSource};

    use super::*;

    fn user(id: &str) -> Arc<UserRow> {
        Arc::new(UserRow {
            id: id.to_owned(),
            username: id.to_owned(),
            password_hash: String::new(),
            email: None,
            display_name: None,
            roles: vec![Role::User],
            disabled: false,
            source: UserSource::Local,
            external_key: None,
            created_ms: 0,
            last_seen_ms: None,
        })
    }

    #[test]
    fn an_answer_is_good_for_five_seconds() {
        let standing = Standing::default();
        standing.remember("f1", user("u1"), 1000);
        assert_eq!(
            standing
                .recall("f1", 5999)
                .map(|user| user.id.clone())
                .as_deref(),
            Some("u1")
        );
        assert_eq!(standing.recall("f1", 6000), None);
        assert_eq!(standing.recall("f1", 999), None);
        assert_eq!(standing.recall("f2", 1000), None);
    }

    #[test]
    fn a_logout_ends_one_sign_in_and_a_change_all_of_a_person() {
        let standing = Standing::default();
        for (family, id) in [("f1", "u1"), ("f2", "u1"), ("f3", "u2")] {
            standing.remember(family, user(id), 0);
        }
        standing.forget_family("f1");
        let known = || ["f1", "f2", "f3"].map(|family| standing.recall(family, 0).is_some());
        assert_eq!(known(), [false, true, true]);
        standing.forget_user("u1");
        assert_eq!(known(), [false, false, true]);
    }

    #[test]
    fn memory_is_bounded() {
        let standing = Standing::default();
        for number in 0..CAPACITY * 2 + 1 {
            standing.remember(&format!("f{number}"), user("u1"), 0);
        }
        assert!(standing.rows().len() <= CAPACITY);
        assert!(standing.recall(&format!("f{}", CAPACITY * 2), 0).is_some());
    }
}
