//! Five-second cache of valid credentials, so that a stream of small requests does not query the database each time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::identity::{Credential, Identity};

/// Validity of an entry: the longest time for which another replica's logout or lock-out goes unnoticed here.
const GOOD_FOR_MS: i64 = 5_000;
/// Largest number of entries.
const CAPACITY: usize = 10_000;

/// Recently valid credentials with their identity. Invalid credentials are not cached.
#[derive(Default)]
pub(crate) struct AuthCache {
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    rows: HashMap<String, Row>,
    removals: u64,
}

/// Moment before a query: its answer is not cached if an entry was removed since, as the answer may be older.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket(u64);

struct Row {
    identity: Identity,
    checked_ms: i64,
}

impl Row {
    fn is_fresh(&self, now_ms: i64) -> bool {
        // A clock that is set back does not extend the validity.
        (0..GOOD_FOR_MS).contains(&now_ms.saturating_sub(self.checked_ms))
    }
}

impl AuthCache {
    /// Key of an access token: its sign-in and its user.
    pub(super) fn sign_in_key(family: &str, user_id: &str) -> String {
        format!("s {family} {user_id}")
    }

    /// Key of an API token.
    pub(super) fn token_key(token_hash: &str) -> String {
        format!("t {token_hash}")
    }

    /// Key of a session's recording tokens.
    pub(super) fn session_key(session_id: &str) -> String {
        format!("r {session_id}")
    }

    /// Key of a user's playback URLs.
    pub(super) fn playback_key(user_id: &str) -> String {
        format!("p {user_id}")
    }

    /// Key of a user of another source.
    pub(super) fn external_key(external_key: &str) -> String {
        format!("x {external_key}")
    }

    /// Returns the cached identity of a credential.
    pub(super) fn get(&self, key: &str, now_ms: i64) -> Option<Identity> {
        self.cache()
            .rows
            .get(key)
            .filter(|row| row.is_fresh(now_ms))
            .map(|row| row.identity.clone())
    }

    /// Call before the query of the database.
    pub(super) fn ticket(&self) -> Ticket {
        Ticket(self.cache().removals)
    }

    /// Caches a credential that the database has confirmed.
    pub(super) fn insert(&self, ticket: Ticket, key: String, identity: Identity, now_ms: i64) {
        let mut cache = self.cache();
        if cache.removals != ticket.0 {
            return;
        }
        let rows = &mut cache.rows;
        if rows.len() >= CAPACITY {
            rows.retain(|_, row| row.is_fresh(now_ms));
            if rows.len() >= CAPACITY {
                rows.clear();
            }
        }
        rows.insert(
            key,
            Row {
                identity,
                checked_ms: now_ms,
            },
        );
    }

    pub(super) fn forget(&self, key: &str) {
        let mut cache = self.cache();
        cache.removals += 1;
        cache.rows.remove(key);
    }

    /// Removes the access tokens of a sign-in.
    pub(super) fn forget_sign_in(&self, family: &str) {
        self.remove(|row| {
            matches!(&row.identity.credential, Credential::SignIn { family: known } if known == family)
        });
    }

    /// Removes all credentials of a user.
    pub(crate) fn forget_user(&self, user_id: &str) {
        self.remove(|row| row.identity.user.id == user_id);
    }

    fn remove(&self, is_over: impl Fn(&Row) -> bool) {
        let mut cache = self.cache();
        cache.removals += 1;
        cache.rows.retain(|_, row| !is_over(row));
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::db::testing::local_user;

    fn identity(id: &str) -> Identity {
        let user = local_user(id);
        Identity {
            roles: user.roles.clone(),
            user: Arc::new(user),
            credential: Credential::Platform,
        }
    }

    #[test]
    fn entry_expires_after_five_seconds() {
        let auth_cache = AuthCache::default();
        auth_cache.insert(auth_cache.ticket(), "f1".to_owned(), identity("u1"), 1000);
        let get = |key: &str, now_ms| {
            let identity = auth_cache.get(key, now_ms)?;
            Some(identity.user.id.clone())
        };
        assert_eq!(get("f1", 5999).as_deref(), Some("u1"));
        assert_eq!(get("f1", 6000), None);
        assert_eq!(get("f1", 999), None);
        assert_eq!(get("f2", 1000), None);
    }

    #[test]
    fn logout_removes_one_sign_in_and_user_change_removes_all() {
        let auth_cache = AuthCache::default();
        for (key, id) in [("f1", "u1"), ("f2", "u1"), ("f3", "u2")] {
            auth_cache.insert(auth_cache.ticket(), key.to_owned(), identity(id), 0);
        }
        auth_cache.forget("f1");
        let known = || ["f1", "f2", "f3"].map(|key| auth_cache.get(key, 0).is_some());
        assert_eq!(known(), [false, true, true]);
        auth_cache.forget_user("u1");
        assert_eq!(known(), [false, false, true]);
    }

    #[test]
    fn answer_older_than_a_removal_is_not_cached() {
        let auth_cache = AuthCache::default();
        let ticket = auth_cache.ticket();
        auth_cache.forget_user("u1");
        auth_cache.insert(ticket, "f1".to_owned(), identity("u1"), 0);
        assert!(auth_cache.get("f1", 0).is_none());
        auth_cache.insert(auth_cache.ticket(), "f1".to_owned(), identity("u1"), 0);
        assert!(auth_cache.get("f1", 0).is_some());
    }

    #[test]
    fn memory_is_bounded() {
        let auth_cache = AuthCache::default();
        for number in 0..CAPACITY * 2 + 1 {
            auth_cache.insert(auth_cache.ticket(), format!("f{number}"), identity("u1"), 0);
        }
        assert!(auth_cache.cache().rows.len() <= CAPACITY);
        assert!(auth_cache.get(&format!("f{}", CAPACITY * 2), 0).is_some());
    }
}
