//! Limits of length and size, and the warning of a backlog.

use crate::Options;

/// Limits of the recording and of each upload.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    max_duration_ms: Option<u64>,
    max_size_bytes: Option<u64>,
    /// Largest upload that the server accepts, in bytes.
    max_part_bytes: Option<u64>,
    largest_chunk_bytes: u64,
    backlog_reported: bool,
}

/// Reserve for chunks that the encoder emits between the decision to stop and the stop.
const FINAL_CHUNKS: u64 = 3;
const MARGIN_BYTES: u64 = 64 * 1024;
/// Fraction (1/20) of an upload's limit that is left when a further part begins.
const EARLY: u64 = 20;
/// Pending bytes that cause a warning: minutes of recording at the usual rate.
const BACKLOG_BYTES: u64 = 64 * 1024 * 1024;

impl Limits {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            max_duration_ms: options.max_duration_ms,
            max_size_bytes: options.max_size_bytes,
            ..Self::default()
        }
    }

    /// Sets the largest upload that the server accepts.
    pub(super) fn server_takes(&mut self, max_part_bytes: u64) {
        self.max_part_bytes = Some(max_part_bytes);
    }

    /// Notes the size of a chunk, for the reserve.
    pub(super) fn saw_chunk(&mut self, bytes: u64) {
        self.largest_chunk_bytes = self.largest_chunk_bytes.max(bytes);
    }

    /// Whether to stop now, so that the last chunks fit into the recording of `size_bytes` and into the upload of its
    /// part.
    pub(super) fn is_reached(&self, recorded_ms: u64, size_bytes: u64, part_bytes: u64) -> bool {
        self.max_duration_ms.is_some_and(|max| recorded_ms >= max)
            || self.is_full(self.max_size_bytes, size_bytes)
            || self.is_full(self.max_part_bytes, part_bytes)
    }

    /// Whether to continue in a further part now. True before the limit is reached, because beginning a part takes
    /// time.
    pub(super) fn is_part_full(&self, part_bytes: u64) -> bool {
        let Some(max) = self.max_part_bytes else {
            return false;
        };
        // An upload whose limit is mostly reserve would be split at every chunk.
        part_bytes >= max / 4 && self.is_full(Some(max - max / EARLY), part_bytes)
    }

    fn is_full(&self, max: Option<u64>, bytes: u64) -> bool {
        let reserve = FINAL_CHUNKS
            .saturating_mul(self.largest_chunk_bytes)
            .saturating_add(MARGIN_BYTES);
        max.is_some_and(|max| bytes.saturating_add(reserve) >= max)
    }

    /// Whether to warn about so many pending bytes: once, and again after they have fallen below half.
    pub(super) fn is_backlog_news(&mut self, pending_bytes: u64) -> bool {
        let news = pending_bytes >= BACKLOG_BYTES && !self.backlog_reported;
        if news {
            self.backlog_reported = true;
        } else if pending_bytes < BACKLOG_BYTES / 2 {
            self.backlog_reported = false;
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;

    fn limit(max_duration_ms: Option<u64>, max_size_bytes: Option<u64>) -> Limits {
        Limits::new(&Options {
            max_duration_ms,
            max_size_bytes,
            ..Options::new(Target::server(""))
        })
    }

    #[test]
    fn recording_without_limits_never_reaches_one() {
        assert!(!limit(None, None).is_reached(u64::MAX, u64::MAX, u64::MAX));
    }

    #[test]
    fn length_limit_is_exact() {
        let limit = limit(Some(60_000), None);
        assert!(!limit.is_reached(59_999, 0, 0));
        assert!(limit.is_reached(60_000, 0, 0));
    }

    #[test]
    fn size_limit_reserves_the_last_chunks() {
        let mut limit = limit(None, Some(10_000_000));
        limit.saw_chunk(1_000_000);
        limit.saw_chunk(10);
        assert!(!limit.is_reached(0, 7_000_000 - MARGIN_BYTES - 1, 0));
        assert!(limit.is_reached(0, 7_000_000 - MARGIN_BYTES, 0));
    }

    #[test]
    fn full_upload_is_continued_in_a_further_part() {
        let mut limit = limit(None, Some(5_000_000));
        limit.server_takes(1_000_000);
        let full = 950_000 - MARGIN_BYTES;
        assert!(!limit.is_part_full(full - 1) && limit.is_part_full(full));
        assert!(!limit.is_reached(0, full, full));
        // No further part could be begun in time.
        assert!(limit.is_reached(0, 0, 1_000_000 - MARGIN_BYTES));
        // The whole recording has its own limit.
        assert!(limit.is_reached(0, 5_000_000 - MARGIN_BYTES, 0));
    }

    #[test]
    fn upload_that_is_mostly_reserve_ends_the_recording() {
        let mut limit = limit(None, None);
        limit.server_takes(1_000_000);
        limit.saw_chunk(300_000);
        assert!(limit.is_reached(0, 100_000, 100_000) && !limit.is_part_full(100_000));
    }

    #[test]
    fn backlog_is_reported_once_per_rise() {
        let mut limit = limit(None, None);
        assert!(!limit.is_backlog_news(BACKLOG_BYTES - 1));
        assert!(limit.is_backlog_news(BACKLOG_BYTES));
        assert!(!limit.is_backlog_news(BACKLOG_BYTES * 2));
        assert!(!limit.is_backlog_news(BACKLOG_BYTES / 2));
        assert!(!limit.is_backlog_news(BACKLOG_BYTES));
        assert!(!limit.is_backlog_news(BACKLOG_BYTES / 2 - 1));
        assert!(limit.is_backlog_news(BACKLOG_BYTES));
    }
}
