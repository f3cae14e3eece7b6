//! Skipping of idle spans: they are played fast and without sound.

use super::timeline::Span;
use crate::format;

/// Playback rate during an idle span.
const RATE: f64 = 8.0;
/// Recordings longer than this are skipped through unless the user has chosen otherwise.
const DEFAULT_ABOVE_MS: u64 = 300_000;
/// Normal playback resumes this long before the end of a span: at eight times the speed, the position is a tenth of a
/// second old when the rate changes.
const LEAD_MS: u64 = 750;
/// Shortest rest of a span that is skipped; less would only flicker.
const MIN_SKIP_MS: u64 = 2_000;

/// Whether idle spans are skipped: the user's choice, otherwise by duration.
pub fn is_enabled(choice: Option<bool>, duration_ms: u64) -> bool {
    choice.unwrap_or(duration_ms > DEFAULT_ABOVE_MS)
}

/// A skip in progress: its span, and where it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skip {
    span: Span,
    /// Length of the skip from the position where it began, in milliseconds.
    pub length_ms: u64,
}

impl Skip {
    /// Text over the video: `Skipping 42 s`, `Skipping 1:12`.
    pub fn text(self) -> String {
        match self.length_ms {
            0..60_000 => format!("Skipping {} s", self.length_ms.div_ceil(1000)),
            length_ms => format!("Skipping {}", format::clock(length_ms)),
        }
    }
}

/// Returns the skip at a position: the one in progress until it ends, or a new one. `idle` is sorted.
pub fn skip_at(current: Option<Skip>, position_ms: u64, idle: &[Span]) -> Option<Skip> {
    let current = current.filter(|skip| {
        (skip.span.start_ms..skip.span.end_ms.saturating_sub(LEAD_MS)).contains(&position_ms)
    });
    current.or_else(|| {
        let after = idle.partition_point(|span| span.start_ms <= position_ms);
        let span = *idle.get(after.checked_sub(1)?)?;
        let length_ms = span.end_ms.saturating_sub(position_ms);
        (length_ms >= MIN_SKIP_MS + LEAD_MS).then_some(Skip { span, length_ms })
    })
}

/// Playback rate at the user's speed in percent, with or without a skip.
pub fn rate(skip: Option<Skip>, speed: u32) -> f64 {
    let rate = f64::from(speed) / 100.0;
    match skip {
        Some(_) => RATE.max(rate),
        None => rate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: [Span; 2] = [
        Span {
            start_ms: 10_000,
            end_ms: 52_000,
        },
        Span {
            start_ms: 60_000,
            end_ms: 160_000,
        },
    ];

    #[test]
    fn long_recordings_are_skipped_through_by_default() {
        assert!(!is_enabled(None, 300_000));
        assert!(is_enabled(None, 300_001));
        assert!(is_enabled(Some(true), 1_000));
        assert!(!is_enabled(Some(false), 3_600_000));
    }

    #[test]
    fn a_span_is_skipped_until_shortly_before_its_end() {
        assert_eq!(skip_at(None, 9_999, &IDLE), None);
        let skip = skip_at(None, 10_000, &IDLE);
        assert_eq!(skip.map(Skip::text).as_deref(), Some("Skipping 42 s"));
        // The text stays while the skip lasts.
        assert_eq!(skip_at(skip, 40_000, &IDLE), skip);
        assert_eq!(skip_at(skip, 51_249, &IDLE), skip);
        assert_eq!(skip_at(skip, 51_250, &IDLE), None);
        assert_eq!(skip_at(skip, 5_000, &IDLE), None, "a seek ends it");
        let next = skip_at(skip, 60_500, &IDLE);
        assert_eq!(next.map(Skip::text).as_deref(), Some("Skipping 1:39"));
    }

    #[test]
    fn a_short_rest_is_not_skipped() {
        assert_eq!(skip_at(None, 50_000, &IDLE), None);
        assert!(skip_at(None, 49_000, &IDLE).is_some());
        assert_eq!(skip_at(None, 1_000, &[]), None);
        assert_eq!(skip_at(None, 200_000, &IDLE), None);
    }

    #[test]
    fn skipping_is_never_slower_than_the_chosen_speed() {
        let skip = skip_at(None, 10_000, &IDLE);
        assert_eq!(rate(skip, 50), 8.0);
        assert_eq!(rate(skip, 900), 9.0);
        assert_eq!(rate(None, 150), 1.5);
    }
}
