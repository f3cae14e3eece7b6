//! Times of a recording's pictures.

/// Shortest time between two pictures. The server keeps the first one of each such interval.
const INTERVAL_MS: u64 = 10_000;
/// Pictures that the server keeps: it doubles the interval when a part has more.
const PICTURES_MAX: u64 = 300;

/// Decides when a picture is taken. Each part of a recording is a file of its own with pictures of its own.
#[derive(Debug, Default)]
pub(crate) struct PictureSchedule {
    part: usize,
    /// Length of the recording at the beginning of the part.
    part_start_ms: u64,
    /// Length of the recording at the latest chunk.
    recorded_ms: u64,
    /// Beginning of the latest interval with a picture.
    taken_ms: Option<u64>,
}

impl PictureSchedule {
    /// Returns the time within its part at which a picture is due when a chunk of this part arrives.
    pub(crate) fn due(&mut self, part: usize, recorded_ms: u64) -> Option<u64> {
        if part != self.part {
            *self = Self {
                part,
                part_start_ms: self.recorded_ms,
                ..Self::default()
            };
        }
        self.recorded_ms = recorded_ms;
        let at_ms = recorded_ms.saturating_sub(self.part_start_ms);
        let mut interval = INTERVAL_MS;
        while at_ms / interval >= PICTURES_MAX {
            interval *= 2;
        }
        let start_ms = at_ms - at_ms % interval;
        let is_due = self.taken_ms.is_none_or(|taken| taken < start_ms);
        is_due.then(|| {
            self.taken_ms = Some(start_ms);
            at_ms
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times of the pictures with a chunk each second from `from_ms` to `to_ms`.
    fn taken(schedule: &mut PictureSchedule, part: usize, from_ms: u64, to_ms: u64) -> Vec<u64> {
        let chunks = (from_ms..to_ms).step_by(1_000);
        chunks
            .filter_map(|recorded_ms| schedule.due(part, recorded_ms))
            .collect()
    }

    #[test]
    fn first_picture_follows_first_chunk_and_others_every_ten_seconds() {
        let mut schedule = PictureSchedule::default();
        let times = taken(&mut schedule, 0, 1_000, 40_000);
        assert_eq!(times, [1_000, 10_000, 20_000, 30_000]);
    }

    #[test]
    fn times_of_next_part_count_from_its_beginning() {
        let mut schedule = PictureSchedule::default();
        taken(&mut schedule, 0, 1_000, 16_000);
        assert_eq!(taken(&mut schedule, 1, 16_000, 30_000), [1_000, 10_000]);
    }

    #[test]
    fn interval_of_long_recording_doubles() {
        let mut schedule = PictureSchedule::default();
        let times = taken(&mut schedule, 0, 1_000, 3_600_000);
        assert_eq!(times.len(), 300 + 30);
        assert_eq!(times.last(), Some(&3_580_000));
    }
}
