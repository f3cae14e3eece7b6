//! Lifetimes of sign-ins.

use std::time::Duration;

use crate::config::Config;
use crate::db::SignInRow;

/// Absolute and idle lifetime.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetimes {
    pub(super) absolute_ms: i64,
    pub(super) idle_ms: i64,
}

impl Lifetimes {
    pub(super) fn new(config: &Config) -> Self {
        let ms = |life: Duration| i64::try_from(life.as_millis()).unwrap_or(i64::MAX);
        Self {
            absolute_ms: ms(config.sign_in_lifetime),
            idle_ms: ms(config.sign_in_idle),
        }
    }

    /// Returns the Unix time in ms at which a sign-in expires unless it is used before.
    pub(super) fn expires_ms(self, row: &SignInRow) -> i64 {
        let absolute = row.created_ms.saturating_add(self.absolute_ms);
        absolute.min(row.last_used_ms.saturating_add(self.idle_ms))
    }
}
