//! Reports on an MP4 and finishes it: decides how the stream ends and writes the index.

use super::fragment::Fragment;
use super::head::{fragmented_head, indexed_head};
use super::moov::{moov_with_sample_tables, moov_with_shifted_chunks};
use super::movie::{Movie, to_ns};
use super::padding::{INDEX_MARKER, TRAILER_SIZE, padding};
use super::scanner::{Scanner, Step};
use super::stbl_reader::MediaBounds;
use super::top_level_box::TopLevelBox;
use crate::container::Container;
use crate::error::Unplayable;
use crate::finish::Finish;
use crate::left_out::{LeftOut, LeftOutReason, without_overlaps};
use crate::patch::HEAD_ROOM;
use crate::report::Report;

impl Scanner {
    pub(crate) fn finish(mut self) -> Result<Finish, Unplayable> {
        self.end();
        let mut tracks = self.tracks().to_vec();
        let end_ns = self.end_ns();
        let mut left_out = self.left_out();
        let mut hidden = self.hidden();
        let movie = match &self.movie {
            Some(_) if self.moov_discarded => return Err(Unplayable::Mp4NotFinishable),
            None if self.moov_discarded => return Err(Unplayable::Mp4NotFinishable),
            Some(movie) => movie,
            None => return Err(Unplayable::NoTracks),
        };
        let has_tables = movie.fragmented || movie.tables_rebuilt;
        if has_tables && movie.samples() == 0 {
            return Err(match movie.fragmented {
                true => Unplayable::NoFrames,
                false => Unplayable::Mp4NotFinishable,
            });
        }
        let mut kept = self.keep;
        let mut patches: Vec<_> = self.data_patch.take().into_iter().collect();
        let mut append = Vec::new();
        let duration_ms = match has_tables {
            true => end_ns,
            false => to_ns(movie.duration, movie.timescale),
        } / 1_000_000;
        if movie.tables_dropped {
            // Chunk offsets in the sender's index do not account for the head room; the head states the duration.
            if let Some(start) = self.index_start {
                kept = start;
                let index = LeftOut::new(start..self.keep, LeftOutReason::ReplacedIndex);
                left_out.splice(0..0, index);
            }
            patches.extend(fragmented_head(self.ftyp.as_deref(), movie, self.moov.1));
        } else {
            append = std::mem::take(&mut self.padding);
            append.extend(INDEX_MARKER);
            let data_end = HEAD_ROOM.saturating_add(self.keep + append.len() as u64);
            if has_tables {
                append.reserve_exact(usize::try_from(self.finish_bytes()).unwrap_or(0));
                append.extend(moov_with_sample_tables(movie));
                let without = movie.tracks.iter().filter(|track| track.samples.len() == 0);
                let without: Vec<_> = without.map(|track| u64::from(track.id)).collect();
                tracks.retain(|track| !without.contains(&track.number));
            } else if movie.has_moov_samples() {
                append.extend(moov_with_shifted_chunks(&movie.moov));
            } else {
                return Err(Unplayable::Mp4NotFinishable);
            }
            patches.push(indexed_head(self.ftyp.as_deref(), data_end));
        }
        hidden.retain_mut(|range| {
            range.length = range.length.min(kept.saturating_sub(range.offset));
            range.length > 0
        });
        Ok(Finish {
            container: Container::Mp4,
            duration_ms,
            keep: HEAD_ROOM.saturating_add(kept),
            append,
            patches,
            tracks,
            keyframes: movie.main_track().map_or(0, |track| match has_tables {
                true => track.samples.sync_len(),
                false => track.moov_sync,
            }),
            left_out,
            hidden,
        })
    }

    /// Heap memory that finishing allocates in addition.
    pub(crate) fn finish_bytes(&self) -> u64 {
        self.movie.as_ref().map_or(0, |movie| {
            let moov = movie.moov.len() as u64;
            match movie.fragmented {
                true => movie.written_bytes() + 2 * moov,
                // New tables may replace those of `moov`.
                false => 4 * moov,
            }
        })
    }

    /// Stored ranges that players ignore.
    fn hidden(&self) -> Vec<LeftOut> {
        // A file that stays fragmented needs no sample table.
        let fragmented = self
            .movie
            .as_ref()
            .is_some_and(|movie| movie.tables_dropped);
        let ranges = self.damage.ranges.iter();
        let ranges =
            ranges
                .filter_map(|range| LeftOut::new(range.clone(), LeftOutReason::Damaged))
                .chain(self.other_file.and_then(|start| {
                    LeftOut::new(start..self.keep, LeftOutReason::OtherRecording)
                }))
                .chain(self.trailing)
                .chain(self.unindexed.iter().filter(|_| !fragmented));
        without_overlaps(ranges.collect())
    }

    /// Whether finishing needs another scan with more memory.
    pub(crate) fn needs_rescan(&self) -> bool {
        self.moov_discarded || self.memory_reduced && self.absolute_offsets
    }

    pub(crate) fn report(&self) -> Report {
        let movie = self.movie.as_ref();
        let at_boundary = matches!(self.step, Step::Header | Step::Done) && self.header.is_empty();
        let torn = !at_boundary && self.index_marker_at.is_none();
        Report {
            duration_ms: match movie {
                Some(movie) if !movie.fragmented && !movie.tables_rebuilt => {
                    to_ns(movie.duration, movie.timescale)
                }
                _ => self.end_ns(),
            } / 1_000_000,
            frame_stats: movie.map(Movie::frame_stats).unwrap_or_default(),
            front_matter_bytes: self.first_data,
            indexed: movie.is_some_and(|movie| !movie.fragmented && !movie.tables_rebuilt),
            damage: self.damage.clone(),
            torn_bytes: if torn {
                self.pos.saturating_sub(self.keep)
            } else {
                0
            },
            missing_bytes: self.missing,
            ..Report::default()
        }
    }

    /// Ranges behind the last kept byte.
    fn left_out(&self) -> Vec<LeftOut> {
        let end = self.stream_end();
        let tail = LeftOut::new(self.keep..end, self.tail_reason);
        let ours = LeftOut::new(end..self.pos, LeftOutReason::ReplacedIndex);
        tail.into_iter().chain(ours).collect()
    }

    /// Ends the stream: counts the complete samples of a torn `mdat` and decides what becomes of the rest.
    pub(crate) fn end(&mut self) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.count_held_fragments();
        let torn = self.data.take();
        let Some(movie) = &self.movie else { return };
        if self.pending.take_moov() || !movie.fragmented {
            self.end_tables(torn);
        }
        let pending: Vec<_> = std::iter::from_fn(|| self.pending.pop()).collect();
        if !pending.is_empty() {
            self.end_fragments(&pending, torn);
        }
        let Some(movie) = &self.movie else { return };
        if let Some(from) = self.damaged_from {
            self.tail_reason = LeftOutReason::Damaged;
            // In a file that stays fragmented, players would fail on these bytes; an `mdat` around them hides them.
            if self.not_a_box && torn.is_none() && !movie.tables_dropped {
                let reason = match movie.fragmented {
                    true => LeftOutReason::Damaged,
                    false => LeftOutReason::TrailingData,
                };
                self.keep = self.stream_end();
                self.trailing = LeftOut::new(from..self.keep, reason);
            }
        }
    }

    /// Ends the media data of the pending fragments, the last ones of the stream.
    fn end_fragments(&mut self, fragments: &[Fragment], torn: Option<TopLevelBox>) {
        let (stream_end, data_start) = (self.stream_end(), self.data_start());
        let Some(movie) = &self.movie else { return };
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
            let end = reach(stream_end.min(data.end.saturating_sub(TRAILER_SIZE)));
            let (padding, patch) = if data.end < u64::MAX {
                (padding(data.end.saturating_sub(end)), None)
            } else {
                (None, data.resized(end))
            };
            let patch = patch.filter(|_| self.patch_stream);
            // An `mdat` without a declared end may be followed by our index if its samples are complete. In a repair,
            // the result is not scanned as a growing stream again, so that no ambiguity arises.
            let ends = padding.is_some()
                || patch.is_some()
                || data.end == u64::MAX && end == reach(u64::MAX)
                || self.length.is_some();
            // A sample inside its own `moof` is invalid.
            if end > data.start && ends {
                for fragment in fragments {
                    self.count(fragment, end, None);
                }
                self.keep = end;
                self.padding = padding.unwrap_or_default();
                self.data_patch = patch;
                return;
            }
        }
        let limit = self.data_end;
        let has_data = fragments.first().is_some_and(|first| limit > first.start);
        if has_data {
            self.keep = limit;
        }
        for (index, fragment) in (1..).zip(fragments) {
            let Some(movie) = &self.movie else { return };
            let reason = match index == fragments.len() {
                true => LeftOutReason::Torn,
                false => LeftOutReason::Damaged,
            };
            // Media data in front of the fragment.
            let in_front = fragment.reach(movie, data_start..limit) > 0;
            if in_front {
                self.keep = self.keep.max(fragment.end());
            }
            if has_data || in_front {
                self.count(fragment, limit, Some(reason));
            }
        }
    }

    /// Ends the media data of the samples that `moov` describes.
    fn end_tables(&mut self, torn: Option<TopLevelBox>) {
        let garbage = self.damaged_from.filter(|_| self.not_a_box);
        let extent = self.movie.as_ref().map_or(0, Movie::moov_extent);
        // If samples extend behind the last `mdat`, its size is wrong, as after a crash in the middle of finishing.
        let short = self
            .last_data
            .filter(|data| torn.is_none() && garbage == Some(data.end) && extent > data.end);
        if short.is_some() {
            self.damaged_from = None;
        }
        if let Some(data) = torn.or(short) {
            self.keep = self.stream_end();
            self.data_patch = data.resized(self.keep);
            if data.end < u64::MAX {
                self.missing = data.end.saturating_sub(self.keep);
            }
        } else if garbage.is_some() {
            self.keep = self.stream_end();
        }
        let bounds = MediaBounds {
            limit: self.keep,
            moov: self.moov,
        };
        let Some(movie) = &mut self.movie else { return };
        if movie.fragmented {
            movie.load_moov_samples(&bounds, &mut self.unindexed);
        } else if movie.has_moov_samples() && !movie.is_whole(&bounds) {
            self.missing = movie.moov_extent().saturating_sub(bounds.limit);
            movie.load_moov_samples(&bounds, &mut self.unindexed);
            movie.tables_rebuilt = true;
        }
    }
}
