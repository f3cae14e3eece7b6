//! The Cues element, the index for seeking (RFC 9559, section 5.1.5).

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::ebml::{ids, write::Writer};
use crate::live::{EntryPoint, halve};

/// Maximum number of entries; keeps the Cues of a day-long recording below 256 KiB.
const LIMIT: usize = 4096;
/// Minimum distance between entries until the list is full.
const FIRST_DISTANCE_NS: u64 = 500_000_000;
/// Minimum distance between audio entries within a cluster.
const SOUND_DISTANCE_NS: u64 = 5_000_000_000;

/// A seek point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cue {
    pub(super) ticks: u64,
    pub(super) time_ns: u64,
    pub(super) track: u64,
    /// Stream offset of the cluster.
    pub(super) cluster: u64,
    /// Offset of the block within the cluster's payload; `None` for the first block.
    pub(super) relative_position: Option<u64>,
    /// Offset of the cluster's payload within the cluster.
    pub(super) payload: u8,
    /// Ticks since the cluster's timestamp.
    pub(super) relative_ticks: i16,
}

impl Cue {
    /// Point at which playback of the growing file can begin.
    fn entry_point(&self) -> EntryPoint {
        let time_ms = self.time_ns / 1_000_000;
        let Some(relative) = self.relative_position else {
            return EntryPoint::at(time_ms, self.cluster);
        };
        let block = self.cluster + u64::from(self.payload) + relative;
        let timestamp = (self.ticks).saturating_add_signed(-i64::from(self.relative_ticks));
        EntryPoint::in_cluster(time_ms, block, timestamp)
    }
}

/// Compact form of a [`Cue`]: a server holds one for every keyframe of every growing recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    ticks: u64,
    cluster: u64,
    /// `None` also if the offset exceeds 32 bits; the entry then points at the cluster.
    relative_position: Option<NonZeroU32>,
    relative_ticks: i16,
    payload: u8,
}

/// A bounded list of seek points of one track, evenly spread over a recording of any length.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Cues {
    entries: Vec<Entry>,
    track: u64,
    /// The last seek point, whether or not it is an entry.
    newest: Option<Cue>,
    /// Time of the last entry.
    last_ns: u64,
    distance_ns: u64,
    /// Whether the entries are keyframes of the video track, otherwise audio blocks.
    video: bool,
    /// Maximum number of entries.
    limit: usize,
}

impl Default for Cues {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            track: 0,
            newest: None,
            last_ns: 0,
            distance_ns: FIRST_DISTANCE_NS,
            video: false,
            limit: LIMIT,
        }
    }
}

impl Cues {
    pub(super) fn memory_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
    }

    /// Lowers the limit and frees the memory of surplus entries.
    pub(super) fn limit(&mut self, limit: usize) {
        self.limit = self.limit.min(limit.max(2));
        while self.entries.len() > self.limit {
            self.thin();
        }
        self.entries.shrink_to_fit();
    }

    /// Removes every other entry.
    fn thin(&mut self) {
        halve(&mut self.entries);
        self.distance_ns = self.distance_ns.saturating_mul(2);
    }

    pub(super) fn add_keyframe(&mut self, cue: Cue) {
        if !self.video {
            // Audio entries serve only until the first keyframe.
            *self = Self {
                video: true,
                limit: self.limit,
                ..Self::default()
            };
        }
        self.newest = Some(cue);
        self.add(cue);
    }

    /// Adds an audio block; ignored once there are keyframes.
    pub(super) fn add_sound(&mut self, cue: Cue) {
        let due = self.entries.last().is_none_or(|last| {
            cue.cluster != last.cluster
                || cue.time_ns.saturating_sub(self.last_ns) >= SOUND_DISTANCE_NS
        });
        if due && !self.video {
            self.newest = Some(cue);
            self.add(cue);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the last seek point.
    pub(super) fn newest(&self) -> Option<EntryPoint> {
        self.newest.as_ref().map(Cue::entry_point)
    }

    /// Returns the entries in order; `scale_ns` is the length of a tick.
    pub(super) fn entry_points(&self, scale_ns: u64) -> impl Iterator<Item = EntryPoint> {
        self.entries.iter().map(move |entry| {
            let cue = Cue {
                ticks: entry.ticks,
                time_ns: entry.ticks.saturating_mul(scale_ns),
                track: self.track,
                cluster: entry.cluster,
                relative_position: entry.relative_position.map(|it| it.get().into()),
                payload: entry.payload,
                relative_ticks: entry.relative_ticks,
            };
            cue.entry_point()
        })
    }

    fn add(&mut self, cue: Cue) {
        let soon = cue.time_ns < self.last_ns.saturating_add(self.distance_ns);
        if soon && !self.entries.is_empty() {
            return;
        }
        if self.entries.len() >= self.limit {
            self.thin();
        }
        self.track = cue.track;
        self.last_ns = cue.time_ns;
        let relative = cue.relative_position.map(u32::try_from);
        self.entries.push(Entry {
            ticks: cue.ticks,
            cluster: cue.cluster,
            relative_position: relative.and_then(Result::ok).and_then(NonZeroU32::new),
            relative_ticks: cue.relative_ticks,
            payload: cue.payload,
        });
    }

    /// Encodes the Cues element; `position` maps a stream offset to a Segment position.
    ///
    /// Returns no bytes without entries, because an empty Cues element is invalid.
    pub(super) fn element(&self, position: impl Fn(u64) -> u64) -> Vec<u8> {
        let mut writer = Writer::new();
        if !self.entries.is_empty() {
            writer.master(ids::CUES, |w| {
                for cue in &self.entries {
                    w.master(ids::CUE_POINT, |w| {
                        w.uint(ids::CUE_TIME, cue.ticks);
                        w.master(ids::CUE_TRACK_POSITIONS, |w| {
                            w.uint(ids::CUE_TRACK, self.track);
                            w.uint(ids::CUE_CLUSTER_POSITION, position(cue.cluster));
                            if let Some(relative) = cue.relative_position {
                                w.uint(ids::CUE_RELATIVE_POSITION, relative.get().into());
                            }
                        });
                    });
                }
            });
        }
        writer.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time_ms: u64) -> Cue {
        Cue {
            ticks: time_ms,
            time_ns: time_ms * 1_000_000,
            track: 1,
            cluster: time_ms / 1000,
            relative_position: None,
            payload: 12,
            relative_ticks: 0,
        }
    }

    fn ticks(cues: &Cues) -> Vec<u64> {
        cues.entries.iter().map(|entry| entry.ticks).collect()
    }

    #[test]
    fn block_beyond_32_bits_is_indexed_by_its_cluster() {
        for (relative, kept) in [(77, Some(77)), (1 << 32, None)] {
            let mut cues = Cues::default();
            cues.add_keyframe(Cue {
                relative_position: Some(relative),
                ..at(0)
            });
            let stored = cues.entries[0].relative_position.map(NonZeroU32::get);
            assert_eq!(stored, kept);
        }
    }

    #[test]
    fn entries_stay_bounded_and_evenly_spread() {
        let mut cues = Cues::default();
        for second in 0..100_000 {
            cues.add_keyframe(at(second * 1000));
        }
        assert!(
            cues.len() <= LIMIT && cues.len() > LIMIT / 4,
            "{}",
            cues.len()
        );
        let distances: Vec<_> = cues
            .entries
            .windows(2)
            .map(|pair| pair[1].ticks - pair[0].ticks)
            .collect();
        assert!(distances.iter().max() <= distances.iter().min().map(|&least| least * 2).as_ref());
        assert_eq!(ticks(&cues)[0], 0, "the beginning is always in it");
        assert!(cues.element(|offset| offset + 4096).len() < 256 << 10);
    }

    #[test]
    fn lower_limit_frees_entries() {
        let mut cues = Cues::default();
        (0..4000).for_each(|second| cues.add_keyframe(at(second * 1000)));
        let before = cues.memory_bytes();
        cues.limit(256);
        assert!(cues.len() <= 256 && cues.memory_bytes() < before / 8);
        (4000..9000).for_each(|second| cues.add_keyframe(at(second * 1000)));
        assert!((64..=256).contains(&cues.len()), "{}", cues.len());
    }

    #[test]
    fn first_keyframe_replaces_audio_entries() {
        let mut cues = Cues::default();
        cues.add_sound(at(0));
        cues.add_sound(at(100));
        cues.add_sound(at(2000));
        assert_eq!(ticks(&cues), [0, 2000], "one for each cluster");
        cues.add_keyframe(at(2100));
        cues.add_sound(at(9000));
        assert_eq!(ticks(&cues), [2100]);
    }

    #[test]
    fn newest_keyframe_is_exact_and_begins_a_cluster_of_its_own() {
        let mut cues = Cues::default();
        cues.add_keyframe(at(1000));
        cues.add_keyframe(Cue {
            cluster: 500,
            relative_position: Some(77),
            relative_ticks: 100,
            ..at(1100)
        });
        assert_eq!(ticks(&cues), [1000], "the second is too close");
        let expected = EntryPoint::in_cluster(1100, 500 + 12 + 77, 1000);
        assert_eq!(cues.newest(), Some(expected));
        let entries: Vec<_> = cues.entry_points(1_000_000).collect();
        assert_eq!(entries, [EntryPoint::at(1000, 1)]);
    }

    #[test]
    fn empty_list_encodes_no_element() {
        assert!(Cues::default().element(|offset| offset).is_empty());
    }
}
