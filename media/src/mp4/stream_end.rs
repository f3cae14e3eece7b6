//! End of a stream: the complete samples of a torn `mdat`, and what becomes of the rest.

use serde::{Deserialize, Serialize};

use super::fragment::Fragment;
use super::movie::Movie;
use super::padding::{TRAILER_SIZE, padding};
use super::recording::Recording;
use super::stbl_reader::MediaBounds;
use super::top_level_box::TopLevelBox;
use crate::left_out::{LeftOut, LeftOutReason};
use crate::patch::Patch;

/// Decisions at the end of a stream. All offsets are in the stream.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StreamEnd {
    /// End of the sender's stream.
    pub(super) at: u64,
    /// Completes the `mdat` of a torn last fragment.
    pub(super) padding: Vec<u8>,
    /// Corrects the size of a torn `mdat`.
    pub(super) data_patch: Option<Patch>,
    /// Bytes at the end that are kept although they are no box.
    pub(super) trailing: Option<LeftOut>,
    /// Bytes behind the end of the stream that `moov` or the last `mdat` declares.
    pub(super) missing: u64,
    /// Reason for not keeping the bytes at the end.
    pub(super) tail_reason: LeftOutReason,
}

impl StreamEnd {
    /// Ends the stream of a recording at `at`. `patch_stream` is [`Options::patch_clusters`](crate::Options).
    pub(super) fn of(recording: &mut Recording, at: u64, patch_stream: bool) -> Self {
        let mut end = Self {
            at,
            padding: Vec::new(),
            data_patch: None,
            trailing: None,
            missing: 0,
            tail_reason: LeftOutReason::Torn,
        };
        recording.count_held();
        let torn = recording.data.take();
        if recording.movie.is_none() {
            return end;
        }
        if recording.pending.take_moov() || !recording.is_fragmented() {
            end.end_tables(recording, torn);
        }
        let pending: Vec<_> = std::iter::from_fn(|| recording.pending.pop()).collect();
        if !pending.is_empty() {
            end.end_fragments(recording, &pending, torn, patch_stream);
        }
        let tables_dropped = recording.movie.as_ref().is_some_and(|it| it.tables_dropped);
        if let Some(from) = recording.damaged_from {
            end.tail_reason = LeftOutReason::Damaged;
            // In a file that stays fragmented, players would fail on these bytes; an `mdat` around them hides them.
            if recording.not_a_box && torn.is_none() && !tables_dropped {
                let reason = match recording.is_fragmented() {
                    true => LeftOutReason::Damaged,
                    false => LeftOutReason::TrailingData,
                };
                recording.keep = at;
                end.trailing = LeftOut::new(from..at, reason);
            }
        }
        end
    }

    /// Ends the media data of the pending fragments, the last ones of the stream.
    fn end_fragments(
        &mut self,
        recording: &mut Recording,
        fragments: &[Fragment],
        torn: Option<TopLevelBox>,
        patch_stream: bool,
    ) {
        let data_start = recording.data_start;
        let Some(movie) = &recording.movie else {
            return;
        };
        let reach = |limit: u64| {
            let ends = fragments.iter();
            ends.map(|fragment| fragment.reach(movie, data_start..limit))
                .max()
                .unwrap_or(0)
        };
        self.tail_reason = LeftOutReason::NoFrames;
        // A file that stays fragmented would play the padding as frames.
        if let Some(data) = torn.filter(|_| !movie.tables_dropped) {
            self.tail_reason = LeftOutReason::Torn;
            let end = reach(self.at.min(data.end.saturating_sub(TRAILER_SIZE)));
            let (padding, patch) = if data.end < u64::MAX {
                (padding(data.end.saturating_sub(end)), None)
            } else {
                (None, data.resized(end))
            };
            let patch = patch.filter(|_| patch_stream);
            // An `mdat` without a declared end may be followed by our index if its samples are complete. In a repair,
            // the result is not scanned as a growing stream again, so that no ambiguity arises.
            let ends = padding.is_some()
                || patch.is_some()
                || data.end == u64::MAX && end == reach(u64::MAX)
                || recording.is_repair;
            // A sample cannot lie inside its own `moof`.
            if end > data.start && ends {
                for fragment in fragments {
                    recording.count(fragment, end, None);
                }
                recording.keep = end;
                self.padding = padding.unwrap_or_default();
                self.data_patch = patch;
                return;
            }
        }
        let limit = recording.data_end;
        let has_data = fragments.first().is_some_and(|first| limit > first.start);
        if has_data {
            recording.keep = limit;
        }
        for (index, fragment) in (1..).zip(fragments) {
            let Some(movie) = &recording.movie else {
                return;
            };
            let reason = match index == fragments.len() {
                true => LeftOutReason::Torn,
                false => LeftOutReason::Damaged,
            };
            // Media data in front of the fragment.
            let in_front = fragment.reach(movie, data_start..limit) > 0;
            if in_front {
                recording.keep = recording.keep.max(fragment.end());
            }
            if has_data || in_front {
                recording.count(fragment, limit, Some(reason));
            }
        }
    }

    /// Ends the media data of the samples that `moov` describes.
    fn end_tables(&mut self, recording: &mut Recording, torn: Option<TopLevelBox>) {
        let garbage = recording.damaged_from.filter(|_| recording.not_a_box);
        let extent = recording.movie.as_ref().map_or(0, Movie::moov_extent);
        // If samples extend behind the last `mdat`, its size is wrong, as after a crash in the middle of finishing.
        let short = recording
            .last_data
            .filter(|data| torn.is_none() && garbage == Some(data.end) && extent > data.end);
        if short.is_some() {
            recording.damaged_from = None;
        }
        if let Some(data) = torn.or(short) {
            recording.keep = self.at;
            self.data_patch = data.resized(self.at);
            if data.end < u64::MAX {
                self.missing = data.end.saturating_sub(self.at);
            }
        } else if garbage.is_some() {
            recording.keep = self.at;
        }
        let limit = recording.keep;
        let moov = recording.moov;
        let Some(movie) = &mut recording.movie else {
            return;
        };
        if !movie.fragmented {
            if !movie.has_moov_samples() || movie.is_whole(&MediaBounds { limit, moov }) {
                return;
            }
            self.missing = extent.saturating_sub(limit);
            movie.tables_rebuilt = true;
        }
        recording.load_moov_samples(limit);
    }
}
