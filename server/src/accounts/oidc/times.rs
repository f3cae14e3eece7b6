//! Comparison of times, and the accepted difference of the provider's clock.

/// Accepted difference of the provider's clock in seconds.
pub(super) const LEEWAY_SECONDS: i64 = 60;

/// Whether `at_ms` is less than `period_ms` ago. A clock that was set back ends every period.
pub(super) fn is_recent(at_ms: i64, period_ms: i64, now_ms: i64) -> bool {
    (0..period_ms).contains(&now_ms.saturating_sub(at_ms))
}
