//! Markers of all parts in the order of the timeline.

use std::collections::BTreeMap;

use sortie_api::{Marker, MarkerKind};

use super::timeline::position_of;
use crate::parts::TimelinePart;

/// The next marker is at least this far ahead: a seek may end slightly before its target.
const NEXT_MS: u64 = 200;
/// The previous marker is one that is at least this long ago; otherwise, during playback, it would always be the last one.
const PREVIOUS_MS: u64 = 1_500;

/// A marker on the timeline.
#[derive(Clone, Debug, PartialEq)]
pub struct PlacedMarker {
    /// Recording ID of its part.
    pub part_id: String,
    /// Position on the timeline in milliseconds.
    pub position_ms: u64,
    /// The marker in its part.
    pub marker: Marker,
}

/// Places the markers of each part, by recording ID, on the timeline. Parts that cannot be played have none.
pub fn place(parts: &[TimelinePart], markers: &BTreeMap<String, Vec<Marker>>) -> Vec<PlacedMarker> {
    let mut placed: Vec<_> = parts
        .iter()
        .filter(|part| part.is_playable())
        .flat_map(|part| {
            let markers = markers.get(&part.id).into_iter().flatten();
            markers.map(|marker| PlacedMarker {
                part_id: part.id.clone(),
                position_ms: position_of(part, marker.time_ms),
                marker: marker.clone(),
            })
        })
        .collect();
    placed.sort_by_key(|placed| placed.position_ms);
    placed
}

/// Returns the next marker after a position.
pub fn next(markers: &[PlacedMarker], position_ms: u64) -> Option<&PlacedMarker> {
    markers
        .iter()
        .find(|placed| placed.position_ms > position_ms + NEXT_MS)
}

/// Returns the last marker clearly before a position.
pub fn previous(markers: &[PlacedMarker], position_ms: u64) -> Option<&PlacedMarker> {
    let mut markers = markers.iter().rev();
    markers.find(|placed| placed.position_ms + PREVIOUS_MS <= position_ms)
}

/// Text of a marker; markers without a text have the name of their kind.
pub fn label(marker: &Marker) -> &str {
    if !marker.text.is_empty() {
        return &marker.text;
    }
    match marker.kind {
        MarkerKind::Note => "Marker",
        MarkerKind::Pause => "Recording paused",
        MarkerKind::Gap => "Gap",
        MarkerKind::Part => "Next part",
        MarkerKind::EncoderRestart => "Encoder restarted",
    }
}

/// Whether users can rename and delete the marker. Automatic ones are facts about the recording.
pub fn is_editable(marker: &Marker) -> bool {
    marker.kind == MarkerKind::Note
}

#[cfg(test)]
mod tests {
    use sortie_api::RecordingStatus;

    use super::*;

    fn marker(time_ms: u64, text: &str, kind: MarkerKind) -> Marker {
        Marker {
            id: format!("m{time_ms}"),
            time_ms,
            text: text.to_owned(),
            kind,
            username: None,
            created_at: String::new(),
        }
    }

    fn placed() -> Vec<PlacedMarker> {
        let part = |part: u32, status, start_ms, duration_ms| TimelinePart {
            id: format!("p{part}"),
            part,
            status,
            start_ms,
            duration_ms,
        };
        let parts = [
            part(1, RecordingStatus::Ready, 0, 10_000),
            part(2, RecordingStatus::Failed, 10_000, 9_000),
            part(3, RecordingStatus::Ready, 10_000, 10_000),
        ];
        let note = |time_ms| marker(time_ms, "", MarkerKind::Note);
        let markers = BTreeMap::from([
            ("p1".to_owned(), vec![note(3_000), note(99_000)]),
            ("p2".to_owned(), vec![note(1_000)]),
            ("p3".to_owned(), vec![note(2_000), note(5_000)]),
            ("gone".to_owned(), vec![note(1)]),
        ]);
        place(&parts, &markers)
    }

    #[test]
    fn markers_of_all_playable_parts_are_in_order() {
        let placed = placed();
        let positions: Vec<_> = placed.iter().map(|placed| placed.position_ms).collect();
        assert_eq!(positions, [3_000, 10_000, 12_000, 15_000]);
        assert_eq!(placed[2].part_id, "p3");
    }

    #[test]
    fn next_and_previous_leave_the_current_marker() {
        let placed = placed();
        let position = |found: Option<&PlacedMarker>| found.map(|placed| placed.position_ms);
        assert_eq!(position(next(&placed, 2_990)), Some(10_000));
        assert_eq!(position(next(&placed, 15_000)), None);
        assert_eq!(position(previous(&placed, 12_800)), Some(10_000));
        assert_eq!(position(previous(&placed, 13_500)), Some(12_000));
        assert_eq!(position(previous(&placed, 3_100)), None);
    }

    #[test]
    fn markers_without_text_have_the_name_of_their_kind() {
        assert_eq!(
            label(&marker(0, "Login fails", MarkerKind::Note)),
            "Login fails"
        );
        assert_eq!(label(&marker(0, "", MarkerKind::Pause)), "Recording paused");
        assert!(is_editable(&marker(0, "", MarkerKind::Note)));
        assert!(!is_editable(&marker(0, "", MarkerKind::Gap)));
    }
}
