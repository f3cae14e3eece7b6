//! Picture of the timeline as SVG markup.
//!
//! The markup contains numbers only. It is generated here, and not by components, because it is drawn twice, for the
//! played part and for the rest, and because components would take more code.

use std::fmt::Write;

use super::marker_list::{PlacedMarker, is_editable};
use super::timeline::{Review, Scale, Span, levels};

/// Distance between two activity bars in pixels, of which the last is a gap.
const BAR_PX: usize = 3;
/// Height of the activity bars in pixels.
const BARS: i64 = 28;
/// Top and height of the track below the bars in pixels.
const TRACK_TOP: i64 = 31;
const TRACK: i64 = 4;
const HEIGHT: i64 = TRACK_TOP + TRACK;
/// Number and height of the bars on a picture of the library.
const SMALL_COLUMNS: usize = 80;
const SMALL_BARS: i64 = 24;
/// Horizontal distance between two lines of the hatching in pixels.
const HATCH_PX: i64 = 6;

/// Activity bars, track and ticks of the markers: everything that has another colour in the played part.
pub fn bars(review: &Review, markers: &[PlacedMarker], scale: &Scale) -> String {
    let columns = usize::try_from(scale.width_px).unwrap_or(0) / BAR_PX;
    let bars = bars_path(&levels(&review.parts, columns), BARS);
    let mut markup = format!(
        "<path class='timeline-bars' d='{bars}M0 {TRACK_TOP}H{}V{HEIGHT}H0Z'/>",
        scale.width_px
    );
    for placed in markers {
        let class = if is_editable(&placed.marker) {
            "timeline-tick"
        } else {
            "timeline-tick timeline-tick-quiet"
        };
        let x = scale.x(placed.position_ms);
        // Writing to a string cannot fail.
        let _ = write!(
            markup,
            "<path class='{class}' d='M{} 0h8l-3 4V{HEIGHT}h-2V4Z'/>",
            x - 4
        );
    }
    markup
}

/// Idle spans, buffered ranges and boundaries of the parts.
pub fn spans(review: &Review, buffered: &[Span], scale: &Scale) -> String {
    let hatch = hatch_path(&review.idle, scale, BARS);
    let buffered = spans_path(buffered, scale, TRACK_TOP, HEIGHT);
    let inner = review.parts.iter().filter(|(part, _)| part.start_ms > 0);
    let boundaries: String = inner
        .map(|(part, _)| format!("M{} 0V{HEIGHT}", scale.x(part.start_ms)))
        .collect();
    format!(
        "<path class='timeline-idle' d='{hatch}'/><path class='timeline-buffered' d='{buffered}'/>\
         <path class='timeline-boundaries' d='{boundaries}'/>"
    )
}

/// Activity bars alone, in an `<svg>` that is as wide as a picture of the library; empty without activity.
pub fn small_bars(review: &Review) -> String {
    let bars = bars_path(&levels(&review.parts, SMALL_COLUMNS), SMALL_BARS);
    if bars.is_empty() {
        return bars;
    }
    let width = SMALL_COLUMNS * BAR_PX;
    format!(
        "<svg viewBox='0 0 {width} {SMALL_BARS}' preserveAspectRatio='none' focusable='false'><path d='{bars}'/></svg>"
    )
}

/// Wraps shapes in an `<svg>` of the size of the timeline.
pub fn svg(shapes: &str, scale: &Scale) -> String {
    format!(
        "<svg width='{}' height='{HEIGHT}' focusable='false'>{shapes}</svg>",
        scale.width_px
    )
}

/// Path data (SVG 2, section 9.3) of the activity bars on a surface of `height` pixels. Any activity is at least two
/// pixels high.
fn bars_path(levels: &[u8], height: i64) -> String {
    let mut path = String::with_capacity(levels.len() * 18);
    for (index, level) in levels.iter().enumerate().filter(|(_, level)| **level > 0) {
        let bar = (i64::from(*level) * height / 255).max(2);
        let (x, top) = (index * BAR_PX, height - bar);
        let _ = write!(path, "M{x} {height}V{top}h{}V{height}", BAR_PX - 1);
    }
    path
}

/// Path data of diagonal lines over the spans, on a surface of `height` pixels.
fn hatch_path(spans: &[Span], scale: &Scale, height: i64) -> String {
    let mut path = String::new();
    for span in spans {
        let (left, right) = (scale.x(span.start_ms), scale.x(span.end_ms));
        // Aligned to the surface, so that the lines of adjacent spans continue each other.
        let mut base = (left - height).div_euclid(HATCH_PX) * HATCH_PX;
        while base < right {
            // The line from (base, height) to (base + height, 0), cut off at both edges.
            let (from, to) = (base.max(left), (base + height).min(right));
            if from < to {
                let (bottom, top) = (height - (from - base), height - (to - base));
                let _ = write!(path, "M{from} {bottom}L{to} {top}");
            }
            base += HATCH_PX;
        }
    }
    path
}

/// Path data of rectangles over the spans, at least one pixel wide.
fn spans_path(spans: &[Span], scale: &Scale, top: i64, bottom: i64) -> String {
    let mut path = String::new();
    for span in spans {
        let left = scale.x(span.start_ms);
        let right = scale.x(span.end_ms).max(left + 1);
        let _ = write!(path, "M{left} {top}H{right}V{bottom}H{left}Z");
    }
    path
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sortie_api::{Marker, MarkerKind, RecordingStatus};

    use super::*;
    use crate::parts::TimelinePart;

    const SCALE: Scale = Scale {
        duration_ms: 100_000,
        width_px: 500,
    };

    #[test]
    fn bars_stand_on_the_bottom() {
        assert_eq!(bars_path(&[0, 255, 1], 20), "M3 20V0h2V20M6 20V18h2V20");
        assert_eq!(bars_path(&[], 20), "");
    }

    #[test]
    fn hatching_stays_within_its_span() {
        let span = Span {
            start_ms: 2_000,
            end_ms: 5_000,
        };
        let path = hatch_path(&[span], &SCALE, 20);
        assert!(path.starts_with("M10 "), "{path}");
        for x in path
            .split(['M', 'L'])
            .filter_map(|point| point.split(' ').next()?.parse().ok())
        {
            let x: i64 = x;
            assert!((10..=25).contains(&x), "{x} in {path}");
        }
        assert_eq!(spans_path(&[span], &SCALE, 31, 35), "M10 31H25V35H10Z");
    }

    #[test]
    fn texts_of_markers_are_not_in_the_markup() {
        let part = |part, start_ms| TimelinePart {
            id: format!("p{part}"),
            part,
            status: RecordingStatus::Ready,
            start_ms,
            duration_ms: 50_000,
        };
        let review = Review::new(&[part(1, 0), part(2, 50_000)], &BTreeMap::new());
        let marker = |position_ms, kind| PlacedMarker {
            part_id: "p1".to_owned(),
            position_ms,
            marker: Marker {
                id: "m".to_owned(),
                time_ms: position_ms,
                text: "<script>".to_owned(),
                kind,
                username: None,
                created_at: String::new(),
            },
        };
        let markers = [
            marker(20_000, MarkerKind::Note),
            marker(40_000, MarkerKind::Gap),
        ];
        let markup = svg(&bars(&review, &markers, &SCALE), &SCALE);
        assert!(
            markup.starts_with("<svg width='500' height='35'"),
            "{markup}"
        );
        assert!(
            markup.contains("class='timeline-tick' d='M96 0h8"),
            "{markup}"
        );
        assert_eq!(markup.matches("timeline-tick-quiet").count(), 1);
        assert!(!markup.contains("script"));
        assert!(spans(&review, &[], &SCALE).contains("d='M250 0V35'"));
    }
}
