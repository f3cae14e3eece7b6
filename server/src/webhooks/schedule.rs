//! Back-off of failed deliveries. Pure: randomness is an argument.

use std::time::Duration;

/// Delay after the first failed attempt; each further failure doubles it.
const FIRST: Duration = Duration::from_secs(5);
/// Longest delay between two attempts.
pub(super) const LONGEST: Duration = Duration::from_secs(6 * 60 * 60);
/// Time from the first attempt to the last one, without jitter.
const TOTAL: Duration = Duration::from_secs(72 * 60 * 60);

/// Returns the delay after this many failed attempts (at least 1), or `None` after the last one. `jitter` from 0 to 1
/// shortens it by up to a fifth, so that receivers do not get all retries together. A longer time that the receiver
/// asked for, up to the longest delay, replaces it.
///
/// Attempts are counted and no times compared: a clock that is set forward ends no delivery early.
pub(super) fn delay(
    failed_attempts: u32,
    jitter: f64,
    asked: Option<Duration>,
) -> Option<Duration> {
    let mut before = Duration::ZERO;
    for attempt in 1..failed_attempts {
        before += nominal(attempt);
    }
    let delay = nominal(failed_attempts).min(TOTAL.checked_sub(before)?);
    let asked = asked.unwrap_or_default().min(LONGEST);
    (!delay.is_zero()).then(|| delay.mul_f64(1.0 - 0.2 * jitter.clamp(0.0, 1.0)).max(asked))
}

fn nominal(attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(20);
    (FIRST * 2_u32.pow(doublings)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_end_after_72_hours() {
        let delays: Vec<_> = (1..)
            .map_while(|attempt| delay(attempt, 0.0, None))
            .collect();
        let seconds: Vec<_> = delays.iter().map(Duration::as_secs).collect();
        assert_eq!(seconds[..5], [5, 10, 20, 40, 80]);
        assert!(delays.iter().all(|delay| *delay <= LONGEST));
        assert_eq!(delays.iter().sum::<Duration>(), TOTAL);
        assert_eq!(delays.len(), 24);
        assert_eq!(delay(25, 0.0, None), None);
        assert_eq!(delay(u32::MAX / 1_000_000, 0.0, None), None);
    }

    #[test]
    fn jitter_shortens_by_at_most_a_fifth() {
        assert_eq!(delay(1, 1.0, None), Some(FIRST.mul_f64(0.8)));
        assert_eq!(delay(1, 7.0, None), Some(FIRST.mul_f64(0.8)));
        assert!(delay(3, 0.5, None) < delay(3, 0.0, None));
    }

    #[test]
    fn longer_time_of_the_receiver_replaces_the_delay() {
        let asked = |seconds| delay(2, 0.0, Some(Duration::from_secs(seconds)));
        assert_eq!(asked(1), Some(FIRST * 2));
        assert_eq!(asked(60), Some(Duration::from_secs(60)));
        assert_eq!(asked(u64::MAX), Some(LONGEST));
        assert_eq!(delay(25, 0.0, Some(FIRST)), None);
    }
}
