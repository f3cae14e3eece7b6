//! Recordings of several parts: totals for lists, and one timeline for the player.

use sortie_api::{Recording, RecordingStatus};

use crate::format;

/// Returns the bytes of all parts.
pub fn size_bytes(recording: &Recording) -> u64 {
    match &recording.parts[..] {
        [] => recording.size_bytes,
        parts => parts.iter().map(|part| part.size_bytes).sum(),
    }
}

/// Returns the playing time of all parts in milliseconds.
pub fn duration_ms(recording: &Recording) -> u64 {
    match &recording.parts[..] {
        [] => format::seconds_to_ms(recording.duration_seconds),
        parts => parts
            .iter()
            .map(|part| format::seconds_to_ms(part.duration_seconds))
            .sum(),
    }
}

/// Formats the number of parts: `3 parts`; `None` for a recording of one part.
pub fn count(recording: &Recording) -> Option<String> {
    (recording.parts.len() > 1).then(|| format!("{} parts", recording.parts.len()))
}

/// Whether any part receives bytes or is being finished.
pub fn is_moving(recording: &Recording) -> bool {
    let parts = recording.parts.iter().map(|part| part.status);
    let mut states = std::iter::once(recording.status).chain(parts);
    states.any(|status| status.is_open() || status == RecordingStatus::Processing)
}

/// Whether any part receives bytes.
pub fn is_open(recording: &Recording) -> bool {
    recording.status.is_open() || recording.parts.iter().any(|part| part.status.is_open())
}

/// One part on the timeline of the player.
#[derive(Clone, Debug, PartialEq)]
pub struct TimelinePart {
    /// Recording ID of the part.
    pub id: String,
    /// Number, from 1.
    pub part: u32,
    /// Only a ready part can be played.
    pub status: RecordingStatus,
    /// Start on the timeline in milliseconds.
    pub start_ms: u64,
    /// Playing time in milliseconds.
    pub duration_ms: u64,
}

impl TimelinePart {
    /// Whether the file of the part is ready.
    pub fn is_playable(&self) -> bool {
        self.status == RecordingStatus::Ready
    }
}

/// Returns the parts in order; a recording without parts is its own single part. Parts that cannot be played have no
/// duration.
pub fn timeline(recording: &Recording) -> Vec<TimelinePart> {
    let mut start_ms = 0;
    let mut query = |id: &str, part, status, seconds| {
        let placed = TimelinePart {
            id: id.to_owned(),
            part,
            status,
            start_ms,
            duration_ms: format::seconds_to_ms(seconds),
        };
        if placed.is_playable() {
            start_ms += placed.duration_ms;
        }
        placed
    };
    if recording.parts.is_empty() {
        return vec![query(
            &recording.id,
            recording.part,
            recording.status,
            recording.duration_seconds,
        )];
    }
    let parts = recording.parts.iter();
    parts
        .map(|part| query(&part.id, part.part, part.status, part.duration_seconds))
        .collect()
}

/// Returns the next playable part after the one with this ID.
pub fn next<'a>(timeline: &'a [TimelinePart], id: &str) -> Option<&'a TimelinePart> {
    let at = timeline.iter().position(|part| part.id == id)?;
    timeline[at + 1..].iter().find(|part| part.is_playable())
}

#[cfg(test)]
mod tests {
    use sortie_api::RecordingPart;

    use super::*;
    use crate::list_page::tests::row;

    fn recording(parts: &[(RecordingStatus, u64, f64)]) -> Recording {
        let parts = parts.iter().zip(1..);
        Recording {
            size_bytes: 7,
            duration_seconds: 7.0,
            parts: parts
                .map(
                    |((status, size_bytes, duration_seconds), part)| RecordingPart {
                        id: format!("p{part}"),
                        part,
                        status: *status,
                        size_bytes: *size_bytes,
                        duration_seconds: *duration_seconds,
                    },
                )
                .collect(),
            ..row("p1", RecordingStatus::Ready)
        }
    }

    #[test]
    fn totals_include_all_parts() {
        let whole = recording(&[]);
        assert_eq!((size_bytes(&whole), duration_ms(&whole)), (7, 7_000));
        assert_eq!(count(&whole), None);
        let three = recording(&[
            (RecordingStatus::Ready, 100, 1.5),
            (RecordingStatus::Failed, 20, 0.0),
            (RecordingStatus::Recording, 3, 2.0),
        ]);
        assert_eq!((size_bytes(&three), duration_ms(&three)), (123, 3_500));
        assert_eq!(count(&three).as_deref(), Some("3 parts"));
        assert!(is_moving(&three) && is_open(&three));
        assert!(!is_moving(&whole) && !is_open(&whole));
    }

    #[test]
    fn unplayable_parts_are_skipped() {
        let three = recording(&[
            (RecordingStatus::Ready, 100, 10.0),
            (RecordingStatus::Failed, 20, 5.0),
            (RecordingStatus::Ready, 3, 2.0),
        ]);
        let timeline = timeline(&three);
        let starts: Vec<_> = timeline.iter().map(|part| part.start_ms).collect();
        assert_eq!(starts, [0, 10_000, 10_000]);
        assert_eq!(next(&timeline, "p1").map(|part| part.part), Some(3));
        assert_eq!(next(&timeline, "p3"), None);
        assert_eq!(next(&timeline, "unknown"), None);
    }
}
