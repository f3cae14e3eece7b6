//! Splitting of a recording into files, without losing a frame.

use std::time::Duration;

/// Limits of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    pub length: Option<Duration>,
    /// Largest file, in bytes of encoded frames.
    pub size_bytes: Option<u64>,
}

/// Action before a frame is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    No,
    /// Request a keyframe: the file ends at the next one.
    AskForKeyframe,
    /// Begin another file with this frame.
    Here,
}

/// Progress of one file towards its limits.
#[derive(Debug)]
pub struct Splitter {
    limits: Limits,
    first_ns: Option<i64>,
    bytes: u64,
    asked: bool,
}

impl Splitter {
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            first_ns: None,
            bytes: 0,
            asked: false,
        }
    }

    /// Counts the next frame: timestamp, whether it is a keyframe, and size.
    pub fn frame(&mut self, pts_ns: i64, keyframe: bool, size: usize) -> Cut {
        let first = *self.first_ns.get_or_insert(pts_ns);
        let size = size as u64;
        let length = Duration::from_nanos(pts_ns.saturating_sub(first).max(0).unsigned_abs());
        let long = self.limits.length.is_some_and(|most| length >= most);
        let large = self
            .limits
            .size_bytes
            .is_some_and(|most| self.bytes.saturating_add(size) > most);
        if (long || large) && keyframe && self.bytes > 0 {
            *self = Self::new(self.limits);
            (self.first_ns, self.bytes) = (Some(pts_ns), size);
            return Cut::Here;
        }
        self.bytes = self.bytes.saturating_add(size);
        if (long || large) && !std::mem::replace(&mut self.asked, true) {
            return Cut::AskForKeyframe;
        }
        Cut::No
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn file_ends_at_requested_keyframe() {
        let mut splitter = Splitter::new(Limits {
            length: Some(Duration::from_secs(10)),
            size_bytes: None,
        });
        let cuts = [
            (0, true),
            (9, false),
            (10, false),
            (11, false),
            (12, true),
            (21, false),
            (22, true),
        ]
        .map(|(second, key)| splitter.frame(second * SECOND, key, 1));
        use Cut::{AskForKeyframe as Ask, Here, No};
        assert_eq!(cuts, [No, No, Ask, No, Here, No, Here]);
    }

    #[test]
    fn without_limits_there_is_one_file() {
        let mut splitter = Splitter::new(Limits::default());
        for second in 0..100_000 {
            assert_eq!(splitter.frame(second * SECOND, true, 1 << 30), Cut::No);
        }
    }

    proptest! {
        #[test]
        fn files_begin_with_keyframes_and_exceed_limits_until_next_keyframe_only(
            frames in prop::collection::vec((any::<bool>(), 1..50_usize), 1..200),
        ) {
            let mut splitter = Splitter::new(Limits { length: None, size_bytes: Some(100) });
            let (mut file, mut last_key) = (0, 0);
            for (n, (keyframe, size)) in (0..).zip(frames) {
                match splitter.frame(n, keyframe, size) {
                    Cut::Here => {
                        prop_assert!(keyframe && file > 0);
                        file = 0;
                    }
                    // A keyframe that exceeds the limit always begins a new file.
                    Cut::No | Cut::AskForKeyframe if keyframe => {
                        prop_assert!(file + size <= 100 || file == 0);
                    }
                    Cut::No | Cut::AskForKeyframe => {}
                }
                file += size;
                last_key = if keyframe { file } else { last_key };
            }
        }
    }
}
