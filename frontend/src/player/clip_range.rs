//! Range of the timeline that is downloaded as a clip.

use super::timeline::{Span, part_at};
use crate::parts::TimelinePart;

/// Shortest range in milliseconds: a shorter drag is a click.
const SHORTEST_MS: u64 = 100;

/// Selected range. One end may be set before the other: the range then extends to the end of the timeline, or begins at
/// its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClipRange {
    start_ms: Option<u64>,
    end_ms: Option<u64>,
}

impl ClipRange {
    /// Range between two positions, in any order; none if they are too close.
    pub fn between(one_ms: u64, other_ms: u64) -> Self {
        let (start_ms, end_ms) = (one_ms.min(other_ms), one_ms.max(other_ms));
        if end_ms - start_ms < SHORTEST_MS {
            return Self::default();
        }
        Self {
            start_ms: Some(start_ms),
            end_ms: Some(end_ms),
        }
    }

    /// Sets the start. An end that is not behind it is removed.
    #[must_use]
    pub fn with_start(self, start_ms: u64) -> Self {
        Self {
            start_ms: Some(start_ms),
            end_ms: self
                .end_ms
                .filter(|end_ms| *end_ms >= start_ms + SHORTEST_MS),
        }
    }

    /// Sets the end. A start that is not before it is removed.
    #[must_use]
    pub fn with_end(self, end_ms: u64) -> Self {
        Self {
            start_ms: self
                .start_ms
                .filter(|start_ms| *start_ms + SHORTEST_MS <= end_ms),
            end_ms: Some(end_ms),
        }
    }

    /// Returns the selected span of the timeline; `None` if nothing is selected. A clip is a part of one file, so the
    /// span ends with the part of the recording in which it begins.
    pub fn span(self, parts: &[TimelinePart]) -> Option<Span> {
        if self == Self::default() {
            return None;
        }
        let start_ms = self.start_ms.unwrap_or(0);
        let (part, inside_ms) = part_at(parts, start_ms)?;
        let start_ms = part.start_ms + inside_ms;
        let part_end_ms = part.start_ms + part.duration_ms;
        let end_ms = self
            .end_ms
            .map_or(part_end_ms, |end_ms| end_ms.min(part_end_ms));
        (end_ms >= start_ms + SHORTEST_MS).then_some(Span { start_ms, end_ms })
    }
}

#[cfg(test)]
mod tests {
    use sortie_api::RecordingStatus;

    use super::*;

    fn parts() -> Vec<TimelinePart> {
        let part = |part, start_ms| TimelinePart {
            id: format!("p{part}"),
            part,
            status: RecordingStatus::Ready,
            start_ms,
            duration_ms: 10_000,
        };
        vec![part(1, 0), part(2, 10_000)]
    }

    #[track_caller]
    fn check(range: ClipRange, expected: Option<(u64, u64)>) {
        let span = range.span(&parts());
        assert_eq!(
            span.map(|span| (span.start_ms, span.end_ms)),
            expected,
            "{range:?}"
        );
    }

    #[test]
    fn drag_selects_in_both_directions() {
        check(ClipRange::between(7_000, 2_000), Some((2_000, 7_000)));
        check(ClipRange::between(2_000, 2_050), None);
        check(ClipRange::default(), None);
    }

    #[test]
    fn missing_end_is_the_end_of_the_part() {
        check(
            ClipRange::default().with_start(3_000),
            Some((3_000, 10_000)),
        );
        check(
            ClipRange::default().with_start(13_000),
            Some((13_000, 20_000)),
        );
        check(ClipRange::default().with_end(4_000), Some((0, 4_000)));
        check(ClipRange::default().with_start(20_000), None);
    }

    #[test]
    fn later_key_wins_over_the_other_end() {
        let range = ClipRange::between(2_000, 5_000);
        check(range.with_start(6_000), Some((6_000, 10_000)));
        check(range.with_end(1_000), Some((0, 1_000)));
        check(
            range.with_start(1_000).with_end(9_000),
            Some((1_000, 9_000)),
        );
    }

    #[test]
    fn range_ends_with_its_part() {
        check(ClipRange::between(8_000, 15_000), Some((8_000, 10_000)));
        assert_eq!(ClipRange::between(1_000, 2_000).span(&[]), None);
    }
}
