//! Times of the pictures that a viewer's browser adds to a recording without any.

use sortie_api::{Recording, RecordingStatus};

use crate::format;

/// Largest number of pictures.
const PICTURES_MAX: u64 = 60;
/// Shortest time between two pictures; the server keeps no more.
const INTERVAL_MS: u64 = 10_000;
/// Distance of the first picture from the beginning, where screens are often still empty.
const START_MS: u64 = 1_000;

/// Returns the times in milliseconds, in the order in which they are needed: first that of the poster. Recordings in
/// parts come from a recorder, which has added pictures itself.
pub fn times(recording: &Recording) -> Vec<u64> {
    let duration_ms = format::seconds_to_ms(recording.duration_seconds);
    let is_missing = recording.status == RecordingStatus::Ready
        && recording.pictures == 0
        && recording.parts.is_empty()
        && duration_ms > 0;
    if !is_missing {
        return Vec::new();
    }
    let count = duration_ms.div_ceil(INTERVAL_MS).min(PICTURES_MAX);
    let time = |index| index * duration_ms / count + START_MS.min(duration_ms / count / 2);
    let mut times: Vec<_> = (0..count).map(time).collect();
    times.rotate_left(usize::try_from(count / 10).unwrap_or(0));
    times
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list_page::tests::row;

    fn times_of(seconds: f64) -> Vec<u64> {
        let duration_seconds = seconds;
        times(&Recording {
            duration_seconds,
            ..row("r", RecordingStatus::Ready)
        })
    }

    #[test]
    fn poster_is_first_and_times_lie_in_the_recording() {
        assert_eq!(times_of(8.0), [1_000]);
        assert_eq!(times_of(0.5), [250]);
        assert_eq!(times_of(25.0), [1_000, 9_333, 17_666]);
        let hour = times_of(3_600.0);
        assert_eq!((hour.len(), hour[0]), (60, 361_000));
        let mut sorted = hour.clone();
        sorted.sort_unstable();
        assert_eq!((sorted[0], sorted[59]), (1_000, 3_541_000));
        assert!(times_of(0.0).is_empty());
    }

    #[test]
    fn recording_with_pictures_or_without_a_file_gets_none() {
        let recording = Recording {
            duration_seconds: 60.0,
            pictures: 1,
            ..row("r", RecordingStatus::Ready)
        };
        assert!(times(&recording).is_empty());
        let recording = Recording {
            duration_seconds: 60.0,
            ..row("r", RecordingStatus::Recording)
        };
        assert!(times(&recording).is_empty());
    }
}
