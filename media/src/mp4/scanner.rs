//! Incremental scanner: follows the top-level boxes of a stream.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::box_reader::{BoxReader, Event};
use super::box_search::BoxSearch;
use super::finish::{finish, finish_bytes};
use super::fragment::Fragment;
use super::head::{FTYP_LIMIT, live_head};
use super::movie::{Movie, to_ns};
use super::padding::{self, INDEX_MARKER};
use super::recording::Recording;
use super::stream_end::StreamEnd;
use super::top_level_box::{TopLevelBox, is_known, is_media};
use crate::activity::Activity;
use crate::error::Unplayable;
use crate::finish::Finish;
use crate::live::EntryPoint;
use crate::options::Options;
use crate::patch::{HEAD_ROOM, Patch, PatchQueue};
use crate::report::Report;
use crate::track::Track;

/// Largest `moov` in a repair, which runs once and may use more memory.
const REPAIR_MOOV_LIMIT: u64 = 256 << 20;
/// Largest `moof` payload, and largest sum of the payloads of pending fragments.
const MOOF_LIMIT: u64 = 16 << 20;
/// Largest `moov` and `moof` payload after [`Scanner::reduce_memory`].
const REDUCED_LIMIT: u64 = 64 << 10;

/// Incremental scanner. It follows top-level boxes as bytes arrive and collects `moov` and `moof` payloads whole.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Scanner {
    reader: BoxReader,
    recording: Recording,
    patches: PatchQueue,
    patch_stream: bool,
    moov_limit: u64,
    /// Length of the whole stream, if known.
    length: Option<u64>,
    /// Stream offset of the first `moof`, or of the first `mdat` in an unfragmented file.
    first_data: Option<u64>,
    /// Stream offset of the last `ftyp`: the stream may contain several concatenated files.
    file_start: u64,
    /// Stream offset of our index marker: everything from there on was appended by us.
    index_marker_at: Option<u64>,
    /// Result of [`end`](Self::end).
    end: Option<StreamEnd>,
    /// Whether [`reduce_memory`](Self::reduce_memory) was called.
    memory_reduced: bool,
}

impl Scanner {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            recording: Recording::new(options.stream_length.is_some()),
            patch_stream: options.patch_clusters,
            moov_limit: match options.stream_length {
                Some(_) => REPAIR_MOOV_LIMIT,
                None => options.description_limit,
            },
            length: options.stream_length,
            ..Self::default()
        }
    }

    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        while let Some(event) = self.reader.next(&mut bytes) {
            match event {
                Event::Malformed(start) => {
                    self.recording.not_a_box = true;
                    self.recording.damaged_from.get_or_insert(start);
                }
                Event::Header(current) => self.open(current),
                Event::End(current, payload) => self.close(current, payload),
                Event::Search(search) => self.resync(search),
            }
        }
    }

    pub(crate) fn skippable(&self) -> u64 {
        self.reader.skippable()
    }

    pub(crate) fn skip(&mut self, n: u64) {
        self.reader.cursor.advance(n.min(self.skippable()));
        self.push(&[]);
        if self.reader.cursor.is_too_far() {
            self.reader.stop();
        }
    }

    pub(crate) fn poll_patch(&mut self) -> Option<Patch> {
        // Until a sample is indexed, only the head room changes.
        self.patches.pop(self.recording.samples() > 0)
    }

    pub(crate) fn received(&self) -> u64 {
        self.reader.pos()
    }

    pub(crate) fn tracks(&self) -> &[Track] {
        let movie = self.recording.movie.as_ref();
        movie.map_or(&[], |movie| &movie.public_tracks)
    }

    pub(crate) fn end_ns(&self) -> u64 {
        self.recording.end_ns()
    }

    /// Returns the length of the stored file that finishing certainly keeps; 0 while finishing could fail.
    pub(crate) fn immutable_prefix(&self) -> u64 {
        let recording = &self.recording;
        if !recording.is_fragmented() || recording.samples() == 0 {
            return 0;
        }
        HEAD_ROOM.saturating_add(recording.index_start.unwrap_or(recording.keep))
    }

    pub(crate) fn playable_end(&self) -> u64 {
        let recording = &self.recording;
        match recording.is_fragmented() && recording.samples() > 0 {
            true => HEAD_ROOM.saturating_add(recording.keep),
            false => 0,
        }
    }

    /// Returns the end of `moov` in the stored file, if fragments follow.
    pub(crate) fn head_end(&self) -> Option<u64> {
        let moov_end = Some(self.recording.moov.1).filter(|_| self.recording.is_fragmented())?;
        Some(HEAD_ROOM.saturating_add(moov_end))
    }

    pub(crate) fn newest_entry_point(&self) -> Option<EntryPoint> {
        self.recording.entry_points.newest()
    }

    /// Returns the stream offsets of the newest complete media data if indexing can continue here after a restart; `None`
    /// for an unfragmented MP4.
    pub(crate) fn frame_before_restart(&self) -> Option<Range<u64>> {
        let recording = &self.recording;
        let is_restorable = (self.reader.skippable() > 0 || self.reader.is_at_boundary())
            && recording.is_fragmented()
            && recording.damaged_from.is_none()
            && recording.other_file.is_none()
            && self.index_marker_at.is_none();
        let data = recording.last_data.filter(|_| is_restorable)?;
        Some(data.payload..data.end)
    }

    pub(crate) fn entry_points(&self) -> Vec<EntryPoint> {
        self.recording.entry_points.entries().to_vec()
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        let rest = self.reader.payload.capacity() + self.patches.memory_bytes();
        rest as u64 + self.recording.memory_bytes()
    }

    /// Heap memory that finishing allocates in addition.
    pub(crate) fn finish_bytes(&self) -> u64 {
        self.recording.movie.as_ref().map_or(0, finish_bytes)
    }

    /// Drops the sample tables, and `moov` if it is large.
    pub(crate) fn reduce_memory(&mut self) {
        self.memory_reduced = true;
        let discarded = self.reader.discard(REDUCED_LIMIT);
        self.recording.moov_discarded |= discarded.is_some_and(|it| it.kind == *b"moov");
        self.recording.reduce_memory(REDUCED_LIMIT);
    }

    /// Whether finishing needs another scan with more memory.
    pub(crate) fn needs_rescan(&self) -> bool {
        let recording = &self.recording;
        recording.moov_discarded || self.memory_reduced && recording.absolute_offsets
    }

    /// Returns the movie of an unfragmented file, whose index describes the whole recording.
    fn whole_movie(&self) -> Option<&Movie> {
        let movie = self.recording.movie.as_ref();
        movie.filter(|movie| !movie.fragmented && !movie.tables_rebuilt)
    }

    fn duration_ms(&self) -> u64 {
        let whole = self.whole_movie();
        let end_ns = whole.map(|movie| to_ns(movie.duration, movie.timescale));
        end_ns.unwrap_or_else(|| self.end_ns()) / 1_000_000
    }

    pub(crate) fn activity(&self) -> Activity {
        let movie = self.recording.movie.as_ref();
        let duration_ms = self.duration_ms();
        movie
            .map(|movie| movie.activity(duration_ms))
            .unwrap_or_default()
    }

    pub(crate) fn report(&self) -> Report {
        let movie = self.recording.movie.as_ref();
        let whole = self.whole_movie();
        let torn = !self.reader.is_at_boundary() && self.index_marker_at.is_none();
        Report {
            duration_ms: self.duration_ms(),
            frame_stats: movie.map(Movie::frame_stats).unwrap_or_default(),
            front_matter_bytes: self.first_data,
            indexed: whole.is_some(),
            damage: self.recording.damage.clone(),
            torn_bytes: if torn {
                self.received().saturating_sub(self.recording.keep)
            } else {
                0
            },
            missing_bytes: self.end.as_ref().map_or(0, |end| end.missing),
            ..Report::default()
        }
    }

    /// Ends the stream: counts the complete samples of a torn `mdat` and decides whether the remaining bytes are kept.
    pub(crate) fn end(&mut self) {
        let end = self.stream_end();
        self.end = Some(end);
    }

    fn stream_end(&mut self) -> StreamEnd {
        let received = self.reader.pos();
        let at = self.index_marker_at.unwrap_or(received);
        let end = self.end.take();
        end.unwrap_or_else(|| StreamEnd::of(&mut self.recording, at, self.patch_stream))
    }

    pub(crate) fn finish(mut self) -> Result<Finish, Unplayable> {
        let end = self.stream_end();
        let received = self.received();
        finish(self.recording, end, received)
    }

    fn open(&mut self, current: TopLevelBox) {
        let TopLevelBox { kind, .. } = current;
        if self.recording.movie.is_some() && !is_known(kind) {
            self.recording.not_a_box = true;
            return self.malformed(current.start);
        }
        if self.is_implausible(current) {
            // The size of this box is wrong, or the stream ends in it. The next fragment, or the end of the stream,
            // decides.
            self.recording.data = None;
            if is_media(kind) {
                self.recording.open_data(current);
            }
            return self.malformed(current.start);
        }
        self.recording.count_held();
        let has_movie = self.recording.movie.is_some();
        let is_fragmented = self.recording.is_fragmented();
        if kind == *b"moof" && is_fragmented {
            self.recording.end_pending(current.start);
        }
        if kind == *b"ftyp" && has_movie {
            self.file_start = current.start;
        }
        let size = current.size();
        let is_first_file = self.recording.other_file.is_none();
        let limit = match &kind {
            b"ftyp" if self.recording.ftyp.is_none() && !has_movie => FTYP_LIMIT,
            b"moov" if !has_movie && !self.recording.moov_discarded => self.moov_limit,
            // The box belongs to a concatenated file.
            b"moov" if is_fragmented && is_first_file => REDUCED_LIMIT,
            b"moof" if is_fragmented && is_first_file => MOOF_LIMIT,
            b"free" if has_movie && size + 8 == INDEX_MARKER.len() as u64 => size,
            _ => 0,
        };
        if kind == *b"moof" || is_media(kind) {
            self.first_data.get_or_insert(current.start);
        }
        let mut to = current.end;
        if is_media(kind) {
            self.recording.open_data(current);
            if self.recording.pending.has_fragments() {
                // The last bytes may be the trailer of padding.
                to = to
                    .saturating_sub(padding::TRAILER_SIZE)
                    .max(current.payload);
            }
        }
        match &kind {
            b"moov" if has_movie && (limit == 0 || size > limit) => {
                let start = self.other_file_start();
                self.recording.other_file.get_or_insert(start);
                self.reader.skip(current, to);
            }
            b"moov" | b"moof" if limit > 0 && self.memory_reduced && size > REDUCED_LIMIT => {
                self.discard(current);
            }
            // A later scan may have more memory.
            b"moov" if limit > 0 && size > limit && size <= REPAIR_MOOV_LIMIT => {
                self.discard(current);
            }
            _ if limit > 0 && size <= limit => self.reader.collect(current),
            _ => self.reader.skip(current, to),
        }
    }

    /// Discards the payload of a `moov` or `moof` to save memory.
    fn discard(&mut self, current: TopLevelBox) {
        self.recording.moov_discarded |= current.kind == *b"moov";
        self.reader.pass(current);
    }

    /// Stream offset of the concatenated file that the next `moov` belongs to.
    fn other_file_start(&self) -> u64 {
        self.file_start.max(self.recording.moov.1)
    }

    /// Whether a box extends beyond the end of a stream of known length. While a stream grows, every size is
    /// plausible.
    fn is_implausible(&self, current: TopLevelBox) -> bool {
        // A size of 0 means "to the end of the file".
        let beyond =
            self.length.is_some_and(|length| current.end > length) && current.end != u64::MAX;
        self.recording.is_fragmented() && beyond
    }

    /// Starts resynchronising: at `start` there is no box, or a torn one.
    fn malformed(&mut self, start: u64) {
        self.recording.damaged_from.get_or_insert(start);
        self.reader.resync();
    }

    /// Ends a search at the next `moof`, at `moov` if there is none yet, or at our index marker.
    fn resync(&mut self, search: BoxSearch) {
        let recording = &mut self.recording;
        let pos = self.reader.pos();
        if search.is_index_marker() {
            return self.end_stream(pos - INDEX_MARKER.len() as u64);
        }
        let found = search.box_at_end(pos).filter(|found| {
            let size = found.end - found.start;
            match &found.kind {
                b"moof" => recording.is_fragmented() && size <= MOOF_LIMIT,
                _ => {
                    let is_wanted = recording.movie.is_none() && !recording.moov_discarded;
                    is_wanted && size <= self.moov_limit
                }
            }
        });
        let Some(found) = found else { return };
        // Bytes before the damage belong to an earlier box.
        if recording
            .damaged_from
            .is_some_and(|from| found.start < from)
        {
            return;
        }
        recording.end_damage(found.start);
        if self.memory_reduced && found.end - found.start > REDUCED_LIMIT {
            self.discard(found);
        } else {
            self.reader.collect_behind(found, &search.payload());
        }
    }

    /// Ends the sender's stream at `start`, where our index marker begins.
    fn end_stream(&mut self, start: u64) {
        self.index_marker_at = Some(start);
        self.reader.stop();
    }

    fn close(&mut self, current: TopLevelBox, payload: Option<Vec<u8>>) {
        match (&current.kind, payload) {
            (b"ftyp", Some(payload)) => self.recording.ftyp = Some(payload),
            (b"moov", Some(payload)) => return self.close_moov(current, payload),
            (b"moof", Some(payload)) => return self.close_moof(current, payload),
            (b"free", Some(payload)) if padding::is_index_marker(&payload) => {
                return self.end_stream(current.start);
            }
            (b"mdat" | b"imda", trailer) => {
                let trailer = trailer.unwrap_or_default();
                return self.recording.close_data(current, &trailer);
            }
            // The frames of the box are in no track.
            (b"moof", None)
                if !self.memory_reduced
                    && self.recording.is_fragmented()
                    && self.recording.other_file.is_none() =>
            {
                self.recording.damage.add(current.start..current.end);
            }
            _ => {}
        }
        if self.recording.keep_box(current.end) {
            let is_index = current.kind == *b"mfra";
            self.recording.index_start = is_index.then_some(current.start);
        }
    }

    fn close_moov(&mut self, current: TopLevelBox, payload: Vec<u8>) {
        if let Some(movie) = &self.recording.movie {
            let next = Movie::parse(payload);
            if !next.is_some_and(|next| next.is_compatible_with(movie)) {
                self.recording.other_file = Some(self.other_file_start());
            }
            self.recording.keep_box(current.end);
            return;
        }
        let recording = &mut self.recording;
        recording.movie = Movie::parse(payload);
        recording.keep = current.end;
        let Some(movie) = &recording.movie else {
            return;
        };
        recording.moov = (current.start, current.end);
        if let Some(head) = live_head(recording.ftyp.as_deref(), movie, recording.moov) {
            self.patches.push_head(head);
        }
        if movie.fragmented && movie.has_moov_samples() && !self.memory_reduced {
            let extent = movie.moov_extent();
            if extent <= current.start {
                recording.load_moov_samples(current.start);
            } else {
                recording.pending.moov_end = Some(extent);
            }
        }
        if self.memory_reduced {
            self.reduce_memory();
        }
    }

    fn close_moof(&mut self, current: TopLevelBox, payload: Vec<u8>) {
        if self.recording.other_file.is_some() {
            self.recording.keep = current.end;
            return;
        }
        let fragment = Fragment {
            start: current.start,
            payload_start: current.end - payload.len() as u64,
            payload,
            file_start: self.file_start,
        };
        let (shifts, others) = fragment.shifts();
        self.recording.absolute_offsets |= others;
        for (offset, bytes) in shifts {
            let is_shifted = self.patch_stream && self.patches.push(offset, bytes);
            self.recording.absolute_offsets |= !is_shifted;
        }
        let limit = match self.memory_reduced {
            true => REDUCED_LIMIT,
            false => MOOF_LIMIT,
        };
        self.recording.add_fragment(fragment, limit);
    }
}
