//! The recording in a stream: the samples indexed so far, and the part of the stream that stays in the stored file.

use serde::{Deserialize, Serialize};

use super::fragment::Fragment;
use super::movie::{Movie, to_ns};
use super::padding;
use super::pending_samples::PendingSamples;
use super::stbl_reader::MediaBounds;
use super::top_level_box::TopLevelBox;
use crate::left_out::{LeftOutList, LeftOutReason};
use crate::live::{EntryPoint, EntryPoints};
use crate::report::Damage;

/// Reason for missing samples whose media data should be in front of the next fragment.
const DAMAGED: Option<LeftOutReason> = Some(LeftOutReason::Damaged);

/// Index of a stream. All offsets are in the stream.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Recording {
    /// Payload of `ftyp`.
    pub(super) ftyp: Option<Vec<u8>>,
    pub(super) movie: Option<Movie>,
    /// Start and end of `moov`.
    pub(super) moov: (u64, u64),
    /// Whether `moov` was discarded because of its size.
    pub(super) moov_discarded: bool,
    /// Whether fragments have absolute base data offsets that are wrong behind a head room.
    pub(super) absolute_offsets: bool,
    /// Samples whose media data is incomplete.
    pub(super) pending: PendingSamples,
    /// In a repair: fragments, each with the end of its samples and the reason for missing ones. They count once a
    /// valid box follows their media data. If none follows, bytes are missing or surplus, and a decoder could not
    /// decode their frames.
    held: Vec<(Fragment, u64, Option<LeftOutReason>)>,
    /// Keyframes at which playback of the growing file can begin.
    pub(super) entry_points: EntryPoints,
    /// Samples that are in no sample table.
    pub(super) unindexed: LeftOutList,
    /// The `mdat` or `imda` that is arriving.
    pub(super) data: Option<TopLevelBox>,
    /// Start of the first media data; [`u64::MAX`] if there is none.
    pub(super) data_start: u64,
    /// End of the last complete `mdat` or `imda`.
    pub(super) data_end: u64,
    /// The last complete `mdat` or `imda`.
    pub(super) last_data: Option<TopLevelBox>,
    /// End of the last complete box; for a fragment, its media data included.
    pub(super) keep: u64,
    /// Start of the sender's `mfra`, if nothing follows it.
    pub(super) index_start: Option<u64>,
    /// Start of a concatenated file whose tracks differ from those of the first.
    pub(super) other_file: Option<u64>,
    /// Whether the stream is complete, so that nothing follows a damaged last fragment.
    pub(super) is_repair: bool,
    /// Start of damage whose end has not been found.
    pub(super) damaged_from: Option<u64>,
    /// Whether the damage began with bytes that are no box header.
    pub(super) not_a_box: bool,
    pub(super) damage: Damage,
}

impl Recording {
    pub(super) fn new(is_repair: bool) -> Self {
        Self {
            data_start: u64::MAX,
            is_repair,
            ..Self::default()
        }
    }

    pub(super) fn is_fragmented(&self) -> bool {
        self.movie.as_ref().is_some_and(|movie| movie.fragmented)
    }

    pub(super) fn samples(&self) -> u64 {
        self.movie.as_ref().map_or(0, Movie::samples)
    }

    pub(super) fn end_ns(&self) -> u64 {
        self.movie.as_ref().map_or(0, |movie| {
            let ends = movie.timings().map(|timing| timing.total);
            ends.max().map_or(0, |end| to_ns(end, movie.timescale))
        })
    }

    /// Heap size.
    pub(super) fn memory_bytes(&self) -> u64 {
        let held = self.held.iter();
        let held: usize = held.map(|(fragment, ..)| fragment.payload.capacity()).sum();
        let fragments = held + self.pending.memory_bytes() + self.unindexed.memory_bytes();
        let entry_points = self.entry_points.memory_bytes();
        (fragments + entry_points) as u64 + self.movie.as_ref().map_or(0, Movie::memory_bytes)
    }

    /// Drops the sample tables, and a `moov` above `limit`.
    pub(super) fn reduce_memory(&mut self, limit: u64) {
        if self.pending.exceeds(limit) {
            self.pending.clear();
        }
        self.entry_points.shorten();
        let Some(movie) = &mut self.movie else { return };
        // The `moov` is also too large for the head room.
        let is_large = movie.moov.len() as u64 > limit;
        if movie.fragmented {
            self.absolute_offsets |= movie.has_moov_samples();
            self.pending.take_moov();
            movie.drop_tables();
        } else {
            self.moov_discarded |= is_large;
        }
        if is_large {
            movie.moov = Vec::new();
        }
    }

    /// Starts an `mdat` or `imda`.
    pub(super) fn open_data(&mut self, data: TopLevelBox) {
        self.data = Some(data);
        self.data_start = self.data_start.min(data.payload);
    }

    /// Ends damage in front of a `moof` or `moov` that begins at `start`.
    pub(super) fn end_damage(&mut self, start: u64) {
        let held = std::mem::take(&mut self.held);
        let held = held.first().map(|(fragment, ..)| fragment.start);
        if held.is_some() {
            // All pending fragments are behind the held-back ones, in the damage.
            self.pending.clear();
        }
        self.not_a_box = false;
        if let Some(from) = self.damaged_from.take() {
            self.damage.add(held.unwrap_or(from)..start);
        }
        // If the samples end exactly here, only the header of their `mdat` was damaged.
        let fits = self.pending.has_fragments() && self.pending.end() == start;
        if self.data.take().is_some() || fits {
            self.data_end = start;
        }
        // No fragment waits for media data behind the damage.
        self.end_pending(u64::MAX);
        self.keep = start;
    }

    /// Counts the held-back fragments.
    pub(super) fn count_held(&mut self) {
        if self.held.is_empty() {
            return;
        }
        for (fragment, limit, missing) in std::mem::take(&mut self.held) {
            self.count(&fragment, limit, missing);
        }
        self.keep_until(self.data_end);
    }

    /// Counts the samples of a fragment whose media data ends at or before `limit`.
    /// `missing` is the reason for samples without data; `None` if they are listed elsewhere.
    pub(super) fn count(
        &mut self,
        fragment: &Fragment,
        limit: u64,
        missing: Option<LeftOutReason>,
    ) {
        let media = self.data_start..limit;
        if let Some(movie) = &mut self.movie {
            if let Some(time_ns) = fragment.keyframe_time_ns(movie) {
                let entry = EntryPoint::at(time_ns / 1_000_000, fragment.start);
                self.entry_points.add(entry);
            }
            fragment.add_to(movie, media, &mut self.unindexed, missing);
        }
    }

    /// Counts the samples that `moov` describes and whose media data ends at or before `limit`.
    pub(super) fn load_moov_samples(&mut self, limit: u64) {
        let bounds = MediaBounds {
            limit,
            moov: self.moov,
        };
        if let Some(movie) = &mut self.movie {
            movie.load_moov_samples(&bounds, &mut self.unindexed);
        }
    }

    /// Keeps the stream up to `end`, or up to the first pending fragment.
    fn keep_until(&mut self, end: u64) {
        let end = self
            .pending
            .first_start()
            .map_or(end, |start| start.min(end));
        self.keep = self.keep.max(end);
    }

    /// Keeps a box that contains neither samples nor media data, unless media data of a fragment in front is missing.
    pub(super) fn keep_box(&mut self, end: u64) -> bool {
        let is_kept = self.pending.is_empty() && self.held.is_empty();
        if is_kept {
            self.keep = end;
        }
        is_kept
    }

    /// Counts the pending samples except those that wait for media data behind `start`, where the next fragment begins.
    pub(super) fn end_pending(&mut self, start: u64) {
        if self.pending.is_empty() {
            return;
        }
        let limit = self.data_end;
        if self.pending.take_moov() {
            self.load_moov_samples(limit);
        }
        self.pending.end_before(start, limit);
        while let Some((fragment, limit)) = self.pending.pop_complete(limit) {
            self.count(&fragment, limit, DAMAGED);
        }
        self.keep_until(start);
    }

    /// Adds a fragment. If the pending payloads exceed `limit` then, the first fragments are counted.
    pub(super) fn add_fragment(&mut self, fragment: Fragment, limit: u64) {
        let Some(movie) = &self.movie else { return };
        let (start, end) = (fragment.start, fragment.end());
        let span = fragment.span(movie, self.data_start);
        self.pending.push(fragment, span);
        while self.pending.exceeds(limit)
            && let Some(fragment) = self.pending.pop()
        {
            self.count(&fragment, self.data_end, DAMAGED);
            self.keep_until(start);
        }
        let is_in_front = span.first == u64::MAX && span.end > 0;
        if is_in_front && self.pending.first_start() == Some(start) {
            // All its media data has arrived.
            self.index_start = None;
            self.end_pending(end);
            self.keep_until(end);
        }
    }

    /// Handles a complete `mdat` or `imda`.
    pub(super) fn close_data(&mut self, current: TopLevelBox, trailer: &[u8]) {
        let end = current.end;
        self.data = None;
        self.last_data = Some(current);
        self.data_end = end;
        self.index_start = None;
        if self.pending.is_empty() {
            self.keep = end;
            return;
        }
        if self.pending.moov_end.is_some_and(|needed| needed <= end) {
            return self.end_pending(end);
        }
        let padding_length = match self.pending.has_fragments() {
            true => padding::length(trailer),
            false => 0,
        };
        if padding_length > 0 {
            // The stream of a finished file ended here, in the middle of the media data. A hostile trailer may declare
            // more padding than the box holds.
            let limit = end.saturating_sub(padding_length);
            while let Some(fragment) = self.pending.pop() {
                self.hold(fragment, limit, None);
            }
        }
        while let Some((fragment, limit)) = self.pending.pop_complete(end) {
            self.hold(fragment, limit, DAMAGED);
        }
        if self.held.is_empty() {
            self.keep_until(end);
        }
    }

    /// Counts a fragment, in a repair only once a valid box follows.
    fn hold(&mut self, fragment: Fragment, limit: u64, missing: Option<LeftOutReason>) {
        if self.is_repair {
            self.held.push((fragment, limit, missing));
        } else {
            self.count(&fragment, limit, missing);
        }
    }
}
