//! Making an ordinary file of fragments: full sample tables at the end, and one `mdat` around all that was received.

use super::filler::{END_MARK, TRAILER, filler};
use super::fragment::Fragment;
use super::head::{fragmented_head, indexed_head};
use super::moov::{moov_with_sample_tables, moov_with_shifted_chunks};
use super::movie::{Movie, to_ns};
use super::scanner::{Pending, Scanner, Whole};
use super::tables::Place;
use crate::container::{Container, Finish, Patch};
use crate::error::Unplayable;
use crate::report::{LeftOut, LeftOutReason};
use crate::stored::HEAD_ROOM;

impl Scanner {
    pub(crate) fn finish(mut self) -> Result<Finish, Unplayable> {
        self.end();
        let mut tracks = self.tracks().to_vec();
        let end_ns = self.end_ns();
        let mut left_out = self.left_out();
        let mut hidden = self.hidden();
        let movie = match &self.movie {
            Some(_) if self.starved => return Err(Unplayable::Mp4NotFinishable),
            None if self.starved => return Err(Unplayable::Mp4NotFinishable),
            Some(movie) => movie,
            None => return Err(Unplayable::NoTracks),
        };
        let has_tables = movie.fragmented || movie.rebuilt;
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
        if movie.long {
            // Its offsets do not hold behind a head room, and our head says how long the recording is.
            if let Some(start) = self.index_start {
                kept = start;
                let index = LeftOut::new(start..self.keep, LeftOutReason::ReplacedIndex);
                left_out.splice(0..0, index);
            }
            patches.extend(fragmented_head(self.ftyp.as_deref(), movie, self.moov.1));
        } else {
            append = std::mem::take(&mut self.filler);
            append.extend(END_MARK);
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
        hidden.retain(|range| range.offset < kept);
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

    /// Ranges behind what is kept.
    fn left_out(&self) -> Vec<LeftOut> {
        let end = self.stream_end();
        let tail = LeftOut::new(self.keep..end, self.tail);
        let ours = LeftOut::new(end..self.pos, LeftOutReason::ReplacedIndex);
        tail.into_iter().chain(ours).collect()
    }

    /// Adds the complete samples of data that is not whole, and decides how that data ends.
    pub(crate) fn end(&mut self) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.release();
        let torn = self.data.take();
        let Some(movie) = &self.movie else { return };
        match self.pending.take() {
            Some(Pending::Moof(fragment)) => self.end_fragment(&fragment, torn),
            Some(Pending::Moov) => self.end_tables(torn),
            None if !movie.fragmented => self.end_tables(torn),
            None => {}
        }
        let Some(movie) = &self.movie else { return };
        if let Some(from) = self.damaged_from {
            self.tail = LeftOutReason::Damaged;
            // Players of a fragmented file would stumble over it.
            if self.garbage && torn.is_none() && !movie.long {
                let reason = match movie.fragmented {
                    true => LeftOutReason::Damaged,
                    false => LeftOutReason::TrailingData,
                };
                self.keep = self.stream_end();
                self.trailing = LeftOut::new(from..self.keep, reason);
            }
        }
    }

    /// Ends the data of the last fragment.
    fn end_fragment(&mut self, fragment: &Fragment, torn: Option<Whole>) {
        let (stream_end, data_end) = (self.stream_end(), self.data_end);
        let Some(movie) = &mut self.movie else { return };
        self.tail = LeftOutReason::NoFrames;
        // Left fragmented, the file would show a filler.
        if let Some(data) = torn.filter(|_| !movie.long) {
            self.tail = LeftOutReason::Torn;
            let limit = stream_end.min(data.end.saturating_sub(TRAILER));
            let end = fragment.reach(movie, limit);
            let (filler, patch) = if data.end < u64::MAX {
                (filler(data.end - end), None)
            } else {
                (None, data.resized(end))
            };
            let patch = patch.filter(|_| self.patch_anywhere);
            // Data that reaches to the end of the file may be followed by our index if no sample is torn. A repair
            // writes no stream that goes on, and that is not scanned as one again.
            let ends = filler.is_some()
                || patch.is_some()
                || data.end == u64::MAX && end == fragment.extent(movie)
                || self.length.is_some();
            // Samples in the box that describes them are nonsense.
            if end > data.start && ends {
                fragment.add_to(movie, end);
                self.keep = end;
                self.filler = filler.unwrap_or_default();
                self.data_patch = patch;
                return;
            }
        }
        if data_end > fragment.start {
            fragment.add_to(movie, data_end);
            self.keep = data_end;
        }
    }

    /// Ends the data of the samples that `moov` itself describes.
    fn end_tables(&mut self, torn: Option<Whole>) {
        let garbage = self.damaged_from.filter(|_| self.garbage);
        let extent = self.movie.as_ref().map_or(0, Movie::moov_extent);
        // Data whose samples go on behind its end has a wrong size: a crash in the middle of a finish leaves that.
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
        let place = Place {
            limit: self.keep,
            moov: self.moov,
        };
        let Some(movie) = &mut self.movie else { return };
        if movie.fragmented {
            movie.load_moov_samples(&place);
        } else if movie.has_moov_samples() && !movie.is_whole(&place) {
            self.missing = movie.moov_extent().saturating_sub(place.limit);
            movie.load_moov_samples(&place);
            movie.rebuilt = true;
        }
    }
}

impl Whole {
    /// Makes the box end at `end`; `None` when its size has no room for that.
    fn resized(&self, end: u64) -> Option<Patch> {
        let size = end.checked_sub(self.start)?;
        let (offset, bytes) = match self.payload - self.start {
            16 => (8, size.to_be_bytes().to_vec()),
            _ => (0, u32::try_from(size).ok()?.to_be_bytes().to_vec()),
        };
        Some(Patch {
            position: HEAD_ROOM.saturating_add(self.start + offset),
            bytes,
        })
    }
}
