//! Layout of the timeline: one axis over all parts of a recording.

use std::collections::BTreeMap;

use sortie_api::Activity;

use crate::parts::TimelinePart;

/// A span of the timeline in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Start in milliseconds on the timeline.
    pub start_ms: u64,
    /// End in milliseconds on the timeline.
    pub end_ms: u64,
}

/// Distance in pixels within which a pointer hits a marker.
const SNAP_PX: i64 = 5;

/// Mapping between times and whole pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// Duration of all playable parts.
    pub duration_ms: u64,
    /// Width of the timeline in pixels.
    pub width_px: i64,
}

impl Scale {
    /// Returns the pixel of a time.
    pub fn x(&self, time_ms: u64) -> i64 {
        let width_px = u128::try_from(self.width_px).unwrap_or(0);
        let duration_ms = u128::from(self.duration_ms.max(1));
        let time_ms = u128::from(time_ms.min(self.duration_ms));
        i64::try_from((width_px * time_ms + duration_ms / 2) / duration_ms).unwrap_or(0)
    }

    /// Returns the time at a pixel; pixels outside of the timeline are its ends.
    pub fn time_ms(&self, x: i64) -> u64 {
        let width_px = u128::try_from(self.width_px.max(1)).unwrap_or(1);
        let x = u128::try_from(x.clamp(0, self.width_px.max(0))).unwrap_or(0);
        u64::try_from(u128::from(self.duration_ms) * x / width_px).unwrap_or(0)
    }

    /// Returns the marker time nearest to a pixel, if the pointer hits it.
    pub fn snap(&self, x: i64, marker_times_ms: impl Iterator<Item = u64>) -> Option<u64> {
        let distance = |time_ms: &u64| (self.x(*time_ms) - x).abs();
        marker_times_ms
            .filter(|time_ms| distance(time_ms) <= SNAP_PX)
            .min_by_key(distance)
    }
}

/// The playable parts of a recording with their activity.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Review {
    /// Playable parts, and their activity if it is known.
    pub parts: Vec<(TimelinePart, Option<Activity>)>,
    /// Duration of these parts in milliseconds.
    pub duration_ms: u64,
    /// Idle spans of all parts, in order.
    pub idle: Vec<Span>,
    /// Duration without idle spans in milliseconds; `None` unless the activity of every part is known.
    pub active_ms: Option<u64>,
}

impl Review {
    /// Combines the parts with their activity, by recording ID.
    pub fn new(timeline: &[TimelinePart], activity: &BTreeMap<String, Activity>) -> Self {
        let playable = timeline.iter().filter(|part| part.is_playable());
        let parts: Vec<_> = playable
            .map(|part| (part.clone(), activity.get(&part.id).cloned()))
            .collect();
        let active = parts
            .iter()
            .map(|(_, activity)| activity.as_ref().map(|activity| activity.active_ms));
        Self {
            duration_ms: parts.iter().map(|(part, _)| part.duration_ms).sum(),
            idle: idle(&parts),
            active_ms: active.sum(),
            parts,
        }
    }

    /// Whether nothing changes at a position.
    pub fn is_idle(&self, position_ms: u64) -> bool {
        let mut idle = self.idle.iter();
        idle.any(|span| (span.start_ms..span.end_ms).contains(&position_ms))
    }
}

/// Returns the playable part at a position and the position in it. The end belongs to the last part.
pub fn part_at(parts: &[TimelinePart], position_ms: u64) -> Option<(&TimelinePart, u64)> {
    let mut playable = parts.iter().filter(|part| part.is_playable());
    let last = playable.clone().next_back()?;
    let part = playable
        .find(|part| position_ms < part.start_ms + part.duration_ms)
        .unwrap_or(last);
    let inside_ms = position_ms.saturating_sub(part.start_ms);
    Some((part, inside_ms.min(part.duration_ms)))
}

/// Returns the position on the timeline of a position in a part.
pub fn position_of(part: &TimelinePart, inside_ms: u64) -> u64 {
    part.start_ms + inside_ms.min(part.duration_ms)
}

/// Resamples the activity to `columns` columns: the highest level within each.
pub fn levels(parts: &[(TimelinePart, Option<Activity>)], columns: usize) -> Vec<u8> {
    let total_ms: u64 = parts.iter().map(|(part, _)| part.duration_ms).sum();
    let mut levels = vec![0; columns];
    for (part, activity) in parts {
        let Some(activity) = activity.as_ref().filter(|activity| activity.bucket_ms > 0) else {
            continue;
        };
        for (index, level) in levels.iter_mut().enumerate() {
            let (from_ms, to_ms) = (
                edge(total_ms, index, columns),
                edge(total_ms, index + 1, columns),
            );
            let from_ms = from_ms.max(part.start_ms) - part.start_ms;
            let to_ms = to_ms
                .min(part.start_ms + part.duration_ms)
                .saturating_sub(part.start_ms);
            if from_ms >= to_ms {
                continue;
            }
            let bucket = |ms: u64| usize::try_from(ms / activity.bucket_ms).unwrap_or(usize::MAX);
            let first = bucket(from_ms);
            let last = bucket(to_ms - 1);
            let buckets = activity.levels.iter().skip(first).take(last - first + 1);
            *level = buckets.copied().max().unwrap_or(0).max(*level);
        }
    }
    levels
}

/// Time of the boundary before column `index`.
fn edge(total_ms: u64, index: usize, columns: usize) -> u64 {
    let time_ms = u128::from(total_ms) * index as u128 / (columns as u128).max(1);
    u64::try_from(time_ms).unwrap_or(u64::MAX)
}

/// Returns the idle spans of all parts in order. Spans that touch, as at the boundary of two parts, become one.
fn idle(parts: &[(TimelinePart, Option<Activity>)]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for (part, activity) in parts {
        let Some(activity) = activity else { continue };
        for span in &activity.idle {
            let start_ms = position_of(part, span.start_ms);
            let end_ms = position_of(part, span.end_ms);
            match spans.last_mut() {
                _ if start_ms >= end_ms => {}
                Some(last) if start_ms <= last.end_ms => last.end_ms = last.end_ms.max(end_ms),
                _ => spans.push(Span { start_ms, end_ms }),
            }
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use sortie_api::{IdleSpan, RecordingStatus};

    use super::*;

    fn part(part: u32, start_ms: u64, duration_ms: u64) -> TimelinePart {
        TimelinePart {
            id: format!("p{part}"),
            part,
            status: RecordingStatus::Ready,
            start_ms,
            duration_ms,
        }
    }

    fn activity(levels: &[u8], idle: &[(u64, u64)]) -> Activity {
        let idle = idle.iter().map(|(start_ms, end_ms)| IdleSpan {
            start_ms: *start_ms,
            end_ms: *end_ms,
        });
        Activity {
            bucket_ms: 1_000,
            levels: levels.to_vec(),
            idle: idle.collect(),
            active_ms: 1_000,
        }
    }

    const SCALE: Scale = Scale {
        duration_ms: 100_000,
        width_px: 500,
    };

    #[test]
    fn pixels_and_times_are_inverse_and_bounded() {
        assert_eq!(SCALE.x(20_000), 100);
        assert_eq!(SCALE.time_ms(100), 20_000);
        assert_eq!(
            (SCALE.x(200_000), SCALE.time_ms(-5), SCALE.time_ms(900)),
            (500, 0, 100_000)
        );
        let empty = Scale {
            duration_ms: 0,
            width_px: 0,
        };
        assert_eq!((empty.x(5), empty.time_ms(5)), (0, 0));
    }

    #[test]
    fn pointer_snaps_to_the_nearest_marker() {
        let times = [20_000, 21_000, 60_000];
        assert_eq!(SCALE.snap(101, times.into_iter()), Some(20_000));
        assert_eq!(SCALE.snap(104, times.into_iter()), Some(21_000));
        assert_eq!(SCALE.snap(150, times.into_iter()), None);
    }

    #[test]
    fn position_is_found_in_its_part() {
        let mut parts = vec![
            part(1, 0, 10_000),
            part(2, 10_000, 0),
            part(3, 10_000, 5_000),
        ];
        parts[1].status = RecordingStatus::Failed;
        let found = |position_ms| {
            let (part, inside_ms) = part_at(&parts, position_ms).unwrap();
            (part.part, inside_ms)
        };
        assert_eq!(found(9_999), (1, 9_999));
        assert_eq!(found(10_000), (3, 0));
        assert_eq!(found(15_000), (3, 5_000));
        assert_eq!(found(99_000), (3, 5_000));
        assert_eq!(position_of(&parts[2], 7_000), 15_000);
        assert_eq!(Review::new(&parts, &BTreeMap::new()).duration_ms, 15_000);
        assert_eq!(part_at(&[], 0), None);
    }

    #[test]
    fn columns_show_the_highest_level_of_each_part() {
        let parts = [
            (part(1, 0, 4_000), Some(activity(&[1, 9, 3, 4], &[]))),
            (part(2, 4_000, 2_000), None),
            (part(3, 6_000, 2_000), Some(activity(&[7, 8], &[]))),
        ];
        assert_eq!(levels(&parts, 4), [9, 4, 0, 8]);
        assert_eq!(levels(&parts, 8), [1, 9, 3, 4, 0, 0, 7, 8]);
        // Several columns share a bucket; a column over a boundary shows both parts.
        assert_eq!(levels(&parts, 16)[..4], [1, 1, 9, 9]);
        assert_eq!(levels(&parts, 1), [9]);
        assert_eq!(levels(&[], 2), [0, 0]);
    }

    #[test]
    fn short_or_missing_activity_is_no_activity() {
        let mut broken = activity(&[5], &[]);
        broken.bucket_ms = 0;
        assert_eq!(levels(&[(part(1, 0, 4_000), Some(broken))], 2), [0, 0]);
        assert_eq!(
            levels(&[(part(1, 0, 4_000), Some(activity(&[5], &[])))], 2),
            [5, 0]
        );
    }

    #[test]
    fn idle_spans_of_adjacent_parts_become_one() {
        let parts = [
            (
                part(1, 0, 20_000),
                Some(activity(&[], &[(2_000, 8_000), (12_000, 99_000)])),
            ),
            (
                part(2, 20_000, 30_000),
                Some(activity(&[], &[(0, 6_000), (40_000, 50_000)])),
            ),
        ];
        let spans = idle(&parts);
        let times: Vec<_> = spans
            .iter()
            .map(|span| (span.start_ms, span.end_ms))
            .collect();
        assert_eq!(times, [(2_000, 8_000), (12_000, 26_000)]);
    }

    #[test]
    fn active_duration_needs_the_activity_of_every_part() {
        let mut parts = [
            part(1, 0, 20_000),
            part(2, 20_000, 5_000),
            part(3, 25_000, 0),
        ];
        parts[2].status = RecordingStatus::Failed;
        let mut known = BTreeMap::from([("p1".to_owned(), activity(&[], &[(2_000, 8_000)]))]);
        let review = Review::new(&parts, &known);
        assert_eq!(
            (review.active_ms, review.duration_ms, review.parts.len()),
            (None, 25_000, 2)
        );
        assert!(review.is_idle(2_000) && !review.is_idle(8_000));
        known.insert("p2".to_owned(), activity(&[], &[]));
        assert_eq!(Review::new(&parts, &known).active_ms, Some(2_000));
    }
}
