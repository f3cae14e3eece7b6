//! Timestamps of frames, from which duration, statistics and cues follow.

use serde::{Deserialize, Serialize};

use super::block::BlockHeader;
use super::cues::{Cue, Cues};
use crate::activity::Activity;
use crate::activity_meter::ActivityMeter;
use crate::frame_stats::{FrameStats, FrameTimes};
use crate::live::EntryPoint;
use crate::track::{Track, TrackKind};

/// Longest estimated duration of a last frame: a still image must not prolong the recording by minutes.
const LONGEST_GUESS_NS: u64 = 1_000_000_000;

/// Longest plausible duration of a block: half a day.
const LONGEST_DURATION_NS: u64 = 12 * 60 * 60 * 1_000_000_000;

/// A complete block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    pub(super) header: BlockHeader,
    pub(super) keyframe: bool,
    /// `BlockDuration` in ticks.
    pub(super) duration: Option<u64>,
    /// Size of the element.
    pub(super) bytes: u64,
    /// `Timestamp` of the cluster, in ticks.
    pub(super) cluster_timestamp: u64,
    /// Stream offset of the cluster.
    pub(super) cluster: u64,
    /// Offset of the block within the cluster's payload; `None` for the first block.
    pub(super) relative_position: Option<u64>,
    /// Offset of the cluster's payload within the cluster.
    pub(super) payload: u8,
}

/// Timeline of all tracks.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Timeline {
    scale_ns: u64,
    clocks: Vec<Clock>,
    video: Option<u64>,
    audio: Option<u64>,
    pub(super) frames: u64,
    /// End of the last complete frame.
    pub(super) end_ns: u64,
    frame_times: FrameTimes,
    activity: ActivityMeter,
    pub(super) cues: Cues,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Clock {
    number: u64,
    default_duration_ns: Option<u64>,
    last_ns: Option<u64>,
    end_ns: u64,
    /// The last two non-zero distances between frames.
    distances_ns: [u64; 2],
}

impl Timeline {
    /// Creates an empty timeline with ticks of `scale_ns`.
    pub(super) fn new(scale_ns: u64) -> Self {
        Self {
            scale_ns,
            frame_times: FrameTimes::new(1_000_000_000),
            activity: ActivityMeter::new(1_000_000_000),
            ..Self::default()
        }
    }

    /// Sets the tracks. Blocks of other tracks are ignored.
    pub(super) fn set_tracks(&mut self, tracks: &[Track]) {
        let first = |kind| {
            tracks
                .iter()
                .find(|track| track.kind == kind)
                .map(|track| track.number)
        };
        self.video = first(TrackKind::Video);
        self.audio = first(TrackKind::Audio);
        self.clocks = tracks
            .iter()
            .map(|track| Clock {
                number: track.number,
                default_duration_ns: track.default_duration_ns,
                ..Clock::default()
            })
            .collect();
    }

    /// Sets the nanoseconds per tick.
    pub(super) fn set_scale(&mut self, scale_ns: u64) {
        self.scale_ns = scale_ns;
    }

    pub(super) fn add(&mut self, block: &Block) {
        let track = block.header.track;
        let scale_ns = self.scale_ns;
        let Some(clock) = self.clocks.iter_mut().find(|clock| clock.number == track) else {
            return;
        };
        let ticks = block
            .cluster_timestamp
            .saturating_add_signed(i64::from(block.header.relative));
        let time_ns = ticks.saturating_mul(scale_ns);
        let explicit_ns = block.duration.map(|ticks| ticks.saturating_mul(scale_ns));
        let length_ns = clock.frame(time_ns, explicit_ns, block.header.frames);
        clock.end_ns = clock.end_ns.max(time_ns.saturating_add(length_ns));
        self.end_ns = self.end_ns.max(time_ns.saturating_add(length_ns));
        self.frames = self.frames.saturating_add(u64::from(block.header.frames));

        if self.video.or(self.audio) == Some(track) {
            let frames = u64::from(block.header.frames);
            self.frame_times.frame(time_ns, frames, block.keyframe);
            self.activity.frame(time_ns, block.keyframe, block.bytes);
        }
        let cue = Cue {
            ticks,
            time_ns,
            track,
            cluster: block.cluster,
            relative_position: block.relative_position,
            payload: block.payload,
            relative_ticks: block.header.relative,
        };
        if self.video == Some(track) {
            if block.keyframe {
                self.cues.add_keyframe(cue);
            }
        } else if self.audio == Some(track) {
            self.cues.add_sound(cue);
        }
    }

    /// Points at which playback of the growing file can begin, in order.
    pub(super) fn entry_points(&self) -> impl Iterator<Item = EntryPoint> {
        self.cues.entry_points(self.scale_ns)
    }

    /// End of the last complete frame in ticks, rounded up.
    pub(super) fn end_ticks(&self) -> u64 {
        self.end_ns.div_ceil(self.scale_ns.max(1))
    }

    /// Ticks per second; 0 if a tick is longer than a second.
    pub(super) fn second(&self) -> u64 {
        1_000_000_000 / self.scale_ns.max(1)
    }

    /// End of the last complete frame of one track.
    pub(super) fn end_of_track_ns(&self, number: u64) -> Option<u64> {
        let clock = self.clocks.iter().find(|clock| clock.number == number);
        clock
            .filter(|clock| clock.last_ns.is_some())
            .map(|clock| clock.end_ns)
    }

    pub(super) fn frame_stats(&self) -> FrameStats {
        self.frame_times.frame_stats()
    }

    pub(super) fn activity(&self) -> Activity {
        self.activity.activity(self.end_ns / 1_000_000)
    }

    pub(super) fn memory_bytes(&self) -> u64 {
        self.activity.memory_bytes()
    }
}

impl Clock {
    /// Adds a block of `frames` frames at `time_ns`; returns its duration.
    fn frame(&mut self, time_ns: u64, explicit_ns: Option<u64>, frames: u16) -> u64 {
        // In decoding order, distances alternate in sign with B-frames.
        let distance_ns = self
            .last_ns
            .replace(time_ns)
            .map_or(0, |last| time_ns.abs_diff(last));
        if distance_ns != 0 {
            self.distances_ns = [self.distances_ns[1], distance_ns];
        }
        let default_ns = self.default_duration_ns;
        let default_ns = default_ns.map(|ns| ns.saturating_mul(u64::from(frames)));
        let mut declared_ns = explicit_ns.into_iter().chain(default_ns);
        if let Some(declared_ns) = declared_ns.find(|&ns| ns <= LONGEST_DURATION_NS) {
            return declared_ns;
        }
        // The shorter distance: a stall before the last frame does not make that frame longer.
        let shorter_ns = self
            .distances_ns
            .into_iter()
            .filter(|&ns| ns != 0)
            .min()
            .unwrap_or(0);
        shorter_ns.min(LONGEST_GUESS_NS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(default_duration_ns: Option<u64>) -> Clock {
        Clock {
            default_duration_ns,
            ..Clock::default()
        }
    }

    #[track_caller]
    fn check(mut clock: Clock, times: &[u64], expected: u64) {
        let last = times.iter().map(|&time| clock.frame(time, None, 1)).last();
        assert_eq!(last, Some(expected), "{times:?}");
    }

    #[test]
    fn last_frame_duration_is_estimated() {
        check(clock(Some(40)), &[0], 40);
        check(clock(None), &[0], 0);
        check(clock(None), &[0, 33], 33);
        check(clock(None), &[0, 33, 66, 5000], 33);
        check(clock(None), &[0, 120, 40, 80], 40);
        check(clock(None), &[0, 10_000_000_000], LONGEST_GUESS_NS);
        assert_eq!(clock(Some(20)).frame(0, None, 3), 60, "a lace of three");
        assert_eq!(clock(Some(20)).frame(0, Some(5), 3), 5);
        assert_eq!(clock(Some(20)).frame(0, Some(u64::MAX), 1), 20, "not years");
        check(clock(Some(u64::MAX)), &[0, 33], 33);
    }
}
