//! Ring of the encoded frames before a recording. No I/O and no clock.

use std::collections::VecDeque;
use std::time::Duration;

use sortie_media::EncodedFrame;

/// Limit of the frames in memory, which shortens the pre-roll at a high bit rate.
pub(super) const RING_BYTES: usize = 256 << 20;

/// Whole groups of frames, each beginning with a keyframe, that cover at least the last `length` once so many have
/// arrived, and within `bytes`.
#[derive(Debug)]
pub(super) struct Ring {
    length: Duration,
    limit_bytes: usize,
    frames: VecDeque<EncodedFrame>,
    bytes: usize,
    is_held: bool,
}

fn size(frame: &EncodedFrame) -> usize {
    frame.data.len() + size_of::<EncodedFrame>()
}

impl Ring {
    pub(super) fn new(length: Duration, limit_bytes: usize) -> Self {
        Self {
            length,
            limit_bytes,
            frames: VecDeque::new(),
            bytes: 0,
            is_held: false,
        }
    }

    /// Keeps all frames from now on, up to the limit in bytes: a recording is about to start.
    pub(super) fn hold(&mut self) {
        self.is_held = true;
    }

    pub(super) fn push(&mut self, frame: EncodedFrame) {
        if self.frames.is_empty() && !frame.keyframe {
            return;
        }
        let newest = frame.dts_ns;
        self.bytes += size(&frame);
        self.frames.push_back(frame);
        while self.bytes > self.limit_bytes {
            self.drop_group();
        }
        while !self.is_held
            && self.second_group().is_some_and(|second| {
                let age = newest.saturating_sub(second).max(0).unsigned_abs();
                Duration::from_nanos(age) >= self.length
            })
        {
            self.drop_group();
        }
    }

    /// Time from the first to the last frame.
    pub(super) fn duration(&self) -> Duration {
        let ends = self.frames.front().zip(self.frames.back());
        let ns = ends.map_or(0, |(first, last)| last.pts_ns.saturating_sub(first.pts_ns));
        Duration::from_nanos(ns.max(0).unsigned_abs())
    }

    /// Returns all frames, and empties the ring.
    pub(super) fn take(&mut self) -> VecDeque<EncodedFrame> {
        self.bytes = 0;
        std::mem::take(&mut self.frames)
    }

    /// Decoding time of the second group's keyframe.
    fn second_group(&self) -> Option<i64> {
        let mut keyframes = self.frames.iter().filter(|frame| frame.keyframe);
        keyframes.nth(1).map(|frame| frame.dts_ns)
    }

    /// Drops the oldest keyframe and the frames that depend on it.
    fn drop_group(&mut self) {
        while let Some(frame) = self.frames.pop_front() {
            self.bytes -= size(&frame);
            if self.frames.front().is_none_or(|next| next.keyframe) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LENGTH: Duration = Duration::from_secs(2);

    fn frame(ms: i64, keyframe: bool, bytes: usize) -> EncodedFrame {
        EncodedFrame {
            pts_ns: ms * 1_000_000,
            dts_ns: ms * 1_000_000,
            duration_ns: None,
            keyframe,
            data: vec![0; bytes],
        }
    }

    #[test]
    fn held_ring_keeps_frames_beyond_its_length() {
        let mut ring = Ring::new(LENGTH, usize::MAX);
        ring.push(frame(0, true, 1));
        ring.push(frame(1000, true, 1));
        ring.push(frame(2900, true, 1));
        assert_eq!(ring.frames.len(), 3);
        ring.push(frame(3000, true, 1));
        assert_eq!(ring.frames.len(), 3, "the second group covers two seconds");
        ring.hold();
        ring.push(frame(9000, true, 1));
        assert_eq!(ring.take().len(), 4);
        assert!(ring.take().is_empty());
    }

    proptest! {
        #[test]
        fn ring_is_contiguous_decodable_and_bounded(
            frames in prop::collection::vec((1..400_i64, prop::bool::weighted(0.2), 1..100_usize), 1..300),
            limit in prop_oneof![Just(usize::MAX), 500..20_000_usize],
        ) {
            let mut ring = Ring::new(LENGTH, limit);
            let (mut at, mut pushed) = (0, Vec::new());
            for (step, keyframe, bytes) in frames {
                at += step;
                let frame = frame(at, keyframe, bytes);
                pushed.push(frame.clone());
                ring.push(frame);
                let kept = &ring.frames;
                prop_assert_eq!(ring.bytes, kept.iter().map(size).sum::<usize>());
                prop_assert!(ring.bytes <= limit);
                // The newest frames, without a gap, from a keyframe on.
                prop_assert!(kept.front().is_none_or(|frame| frame.keyframe));
                let newest = &pushed[pushed.len() - kept.len()..];
                prop_assert!(kept.iter().eq(newest));
                // At most one group more than the length needs.
                let covers = |from: i64| at * 1_000_000 - from >= 2_000_000_000;
                prop_assert!(!ring.second_group().is_some_and(covers));
                let first_keyframe = pushed.iter().find(|frame| frame.keyframe);
                if limit == usize::MAX && let Some(first) = first_keyframe {
                    let front = kept.front().map_or(i64::MAX, |frame| frame.dts_ns);
                    prop_assert!(front == first.dts_ns || covers(front));
                }
            }
        }
    }
}
