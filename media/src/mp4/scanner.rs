//! Incremental scanner for a stream of boxes.

use super::box_search::BoxSearch;
use super::boxes::{self, Header};
use super::fragment::Fragment;
use super::head::live_head;
use super::movie::{Movie, to_ns};
use super::padding::{self, INDEX_MARKER};
use super::pending_samples::PendingSamples;
use super::stbl_reader::MediaBounds;
use super::top_level_box::{TopLevelBox, is_known, is_media};
use crate::left_out::{LeftOut, LeftOutList, LeftOutReason};
use crate::options::Options;
use crate::patch::{HEAD_ROOM, Patch, PatchQueue};
use crate::report::Damage;
use crate::track::Track;

/// Longest `ftyp` payload that the head repeats; a longer one is replaced by ours.
pub(super) const FTYP_LIMIT: u64 = 1 << 10;
/// Largest `moov` in a repair, which runs once and may use more memory.
const REPAIR_MOOV_LIMIT: u64 = 256 << 20;
/// Largest `moof` payload, and largest total of the payloads of pending fragments.
const MOOF_LIMIT: u64 = 16 << 20;
/// Largest `moov` and `moof` payload after [`Scanner::reduce_memory`].
const REDUCED_LIMIT: u64 = 64 << 10;
/// Stream length at which scanning stops, so that no sum of offsets overflows.
const LONGEST_STREAM: u64 = 1 << 62;
/// Reason for samples whose media data should be in front of the next fragment, but is not.
const DAMAGED: Option<LeftOutReason> = Some(LeftOutReason::Damaged);

/// Incremental scanner. It follows top-level boxes as bytes arrive and collects `moov` and `moof` payloads whole.
#[derive(Debug)]
pub(crate) struct Scanner {
    /// Stream offset of the next byte.
    pub(super) pos: u64,
    pub(super) step: Step,
    /// Received part of the next box header.
    pub(super) header: Vec<u8>,
    /// Received part of the payload that is being collected.
    buf: Vec<u8>,
    /// Payload of `ftyp`.
    pub(super) ftyp: Option<Vec<u8>>,
    pub(super) movie: Option<Movie>,
    /// Samples whose media data is incomplete.
    pub(super) pending: PendingSamples,
    /// The `mdat` or `imda` that is arriving.
    pub(super) data: Option<TopLevelBox>,
    /// Stream offset of the first media data.
    data_start: Option<u64>,
    /// End of the last complete `mdat` or `imda`.
    pub(super) data_end: u64,
    /// The last complete `mdat` or `imda`.
    pub(super) last_data: Option<TopLevelBox>,
    /// In a repair: fragments, each with the end of its samples and the reason for missing ones. They count once a valid box follows their media data.
    /// If none follows, bytes are missing or surplus, and a decoder could not decode their frames.
    held_fragments: Vec<(Fragment, u64, Option<LeftOutReason>)>,
    /// Samples that are in no sample table.
    pub(super) unindexed: LeftOutList,
    /// Completes the `mdat` of a torn last fragment.
    pub(super) padding: Vec<u8>,
    /// Stream offset behind the last complete box; for a fragment, its media data included.
    pub(super) keep: u64,
    /// Stream offsets of the start and end of `moov`.
    pub(super) moov: (u64, u64),
    /// Stream offset of the first `moof`, or of the first `mdat` in an unfragmented file.
    pub(super) first_data: Option<u64>,
    /// Stream offset of the sender's `mfra`, if nothing follows it.
    pub(super) index_start: Option<u64>,
    /// Stream offset of the last `ftyp`: the stream may contain several concatenated files.
    file_start: u64,
    /// Stream offset of a concatenated file whose tracks differ from those of the first.
    pub(super) other_file: Option<u64>,
    /// Stream offset of our index marker: everything from there on was appended by us.
    pub(super) index_marker_at: Option<u64>,
    pub(super) patches: PatchQueue,
    pub(super) patch_stream: bool,
    moov_limit: u64,
    /// Length of the whole stream, if known.
    pub(super) length: Option<u64>,
    /// Start of damage whose end has not been found.
    pub(super) damaged_from: Option<u64>,
    /// Whether the damage began with bytes that are no box header.
    pub(super) not_a_box: bool,
    pub(super) damage: Damage,
    /// Corrects the size of a torn `mdat`.
    pub(super) data_patch: Option<Patch>,
    /// Bytes at the end that are kept although they are no box.
    pub(super) trailing: Option<LeftOut>,
    /// Bytes behind the end of the stream that `moov` or the last `mdat` declares.
    pub(super) missing: u64,
    /// Whether [`end`](Self::end) was called.
    pub(super) ended: bool,
    /// Reason for not keeping the bytes at the end.
    pub(super) tail_reason: LeftOutReason,
    /// Whether [`reduce_memory`](Self::reduce_memory) was called.
    pub(super) memory_reduced: bool,
    /// Whether `moov` was discarded because of its size.
    pub(super) moov_discarded: bool,
    /// Whether fragments have absolute base data offsets that are wrong behind a head room.
    pub(super) absolute_offsets: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Header,
    Collect(TopLevelBox),
    /// Discarding a payload that exceeds the memory limit.
    Pass(TopLevelBox),
    /// Skipping a payload up to `to`, then collecting the rest.
    Skip {
        current: TopLevelBox,
        to: u64,
    },
    /// Searching for the next `moof`, for `moov` if there is none yet, or for our index marker.
    Resync(BoxSearch),
    /// Ignoring the rest of the stream.
    Done,
}

impl Scanner {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            pos: 0,
            step: Step::Header,
            header: Vec::with_capacity(16),
            buf: Vec::new(),
            ftyp: None,
            movie: None,
            pending: PendingSamples::default(),
            data: None,
            data_start: None,
            data_end: 0,
            last_data: None,
            held_fragments: Vec::new(),
            unindexed: LeftOutList::default(),
            padding: Vec::new(),
            keep: 0,
            moov: (0, 0),
            first_data: None,
            index_start: None,
            file_start: 0,
            other_file: None,
            index_marker_at: None,
            patches: PatchQueue::default(),
            patch_stream: options.patch_clusters,
            moov_limit: match options.stream_length {
                Some(_) => REPAIR_MOOV_LIMIT,
                None => options.description_limit,
            },
            length: options.stream_length,
            damaged_from: None,
            not_a_box: false,
            damage: Damage::default(),
            data_patch: None,
            trailing: None,
            missing: 0,
            ended: false,
            tail_reason: LeftOutReason::Torn,
            memory_reduced: false,
            moov_discarded: false,
            absolute_offsets: false,
        }
    }

    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        while let Some(&first) = bytes.first() {
            let taken = match self.step {
                Step::Header => {
                    self.pos += 1;
                    self.header_byte(first);
                    1
                }
                Step::Collect(current) => {
                    let left = usize::try_from(current.end - self.pos).unwrap_or(usize::MAX);
                    let taken = bytes.len().min(left);
                    // Doubling the capacity would waste half of a large buffer.
                    if self.buf.capacity() - self.buf.len() < taken {
                        let more = taken.max(self.buf.len() / 4).min(left);
                        self.buf.reserve_exact(more);
                    }
                    self.buf.extend_from_slice(&bytes[..taken]);
                    self.pos += taken as u64;
                    self.close_if_complete(current);
                    taken
                }
                Step::Pass(current) => {
                    let left = usize::try_from(current.end - self.pos).unwrap_or(usize::MAX);
                    let taken = bytes.len().min(left);
                    self.pos += taken as u64;
                    self.close_if_complete(current);
                    taken
                }
                Step::Skip { current, to } => {
                    let left = usize::try_from(to - self.pos).unwrap_or(usize::MAX);
                    let taken = bytes.len().min(left);
                    self.pos += taken as u64;
                    self.skipped(current, to);
                    taken
                }
                Step::Resync(search) => {
                    self.resync(search, first);
                    1
                }
                Step::Done => {
                    self.pos = self.pos.saturating_add(bytes.len() as u64);
                    bytes.len()
                }
            };
            bytes = &bytes[taken..];
        }
    }

    pub(crate) fn skippable(&self) -> u64 {
        match self.step {
            Step::Skip { to, .. } => to - self.pos,
            Step::Done => u64::MAX - self.pos,
            Step::Header | Step::Collect(_) | Step::Pass(_) | Step::Resync(_) => 0,
        }
    }

    pub(crate) fn skip(&mut self, n: u64) {
        self.pos += n.min(self.skippable());
        if let Step::Skip { current, to } = self.step {
            self.skipped(current, to);
        }
        if self.pos > LONGEST_STREAM {
            self.step = Step::Done;
        }
    }

    pub(crate) fn poll_patch(&mut self) -> Option<Patch> {
        // Until a sample is indexed, only the head room changes.
        let movie = self.movie.as_ref();
        let is_playable = movie.is_some_and(|movie| movie.samples() > 0);
        self.patches.pop(is_playable)
    }

    pub(crate) fn received(&self) -> u64 {
        self.pos
    }

    pub(crate) fn tracks(&self) -> &[Track] {
        self.movie
            .as_ref()
            .map_or(&[], |movie| &movie.public_tracks)
    }

    /// Length of the stored file that finishing keeps for certain; 0 while finishing could fail.
    pub(crate) fn immutable_prefix(&self) -> u64 {
        match &self.movie {
            Some(movie) if movie.fragmented && movie.samples() > 0 => {
                HEAD_ROOM.saturating_add(self.index_start.unwrap_or(self.keep))
            }
            _ => 0,
        }
    }

    /// Stream offset behind the sender's last byte.
    pub(super) fn stream_end(&self) -> u64 {
        self.index_marker_at.unwrap_or(self.pos)
    }

    /// Heap size.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let held = self.held_fragments.iter();
        let held: usize = held.map(|(fragment, ..)| fragment.payload.capacity()).sum();
        let fragments = held + self.pending.memory_bytes() + self.unindexed.memory_bytes();
        let rest = self.buf.capacity() + self.patches.memory_bytes() + fragments;
        rest as u64 + self.movie.as_ref().map_or(0, Movie::memory_bytes)
    }

    /// Drops the sample tables, and `moov` if it is large.
    pub(crate) fn reduce_memory(&mut self) {
        self.memory_reduced = true;
        if let Step::Collect(current) = self.step
            && current.end.saturating_sub(current.payload) > REDUCED_LIMIT
        {
            self.moov_discarded |= current.kind == *b"moov";
            self.buf = Vec::new();
            self.step = Step::Pass(current);
        }
        if self.pending.exceeds(REDUCED_LIMIT) {
            self.pending.clear();
        }
        let Some(movie) = &mut self.movie else { return };
        if movie.fragmented {
            self.absolute_offsets |= movie.has_moov_samples();
            self.pending.take_moov();
            movie.drop_tables();
            // Too large for the head room as well.
            if movie.moov.len() as u64 > REDUCED_LIMIT {
                movie.moov = Vec::new();
            }
        } else if movie.moov.len() as u64 > REDUCED_LIMIT {
            movie.moov = Vec::new();
            self.moov_discarded = true;
        }
    }

    pub(crate) fn end_ns(&self) -> u64 {
        self.movie.as_ref().map_or(0, |movie| {
            let ends = movie.timings().map(|timing| timing.total);
            ends.max().map_or(0, |end| to_ns(end, movie.timescale))
        })
    }

    fn header_byte(&mut self, byte: u8) {
        self.header.push(byte);
        match boxes::header(&self.header) {
            Header::Incomplete => {}
            Header::Malformed => {
                let start = self.pos - self.header.len() as u64;
                let header = std::mem::take(&mut self.header);
                self.not_a_box = true;
                self.malformed(start);
                // A box may begin within these bytes.
                self.step = Step::Resync(BoxSearch::after(&header));
            }
            Header::Complete { kind, size, length } => {
                self.header.clear();
                let start = self.pos - length;
                let end = size.map_or(u64::MAX, |size| start.saturating_add(size));
                self.open(TopLevelBox {
                    kind,
                    start,
                    payload: self.pos,
                    end,
                });
            }
        }
    }

    fn open(&mut self, current: TopLevelBox) {
        if self.movie.is_some() && !is_known(current.kind) {
            self.not_a_box = true;
            return self.malformed(current.start);
        }
        if self.is_implausible(current) {
            // Its size is wrong, or the stream ends in it. The next fragment, or the end of the stream, decides.
            self.data = is_media(current.kind).then_some(current);
            if self.data.is_some() {
                self.data_start.get_or_insert(current.payload);
            }
            return self.malformed(current.start);
        }
        self.count_held_fragments();
        if current.kind == *b"moof" && self.is_fragmented() {
            self.end_pending(current.start);
        }
        if current.kind == *b"ftyp" && self.movie.is_some() {
            self.file_start = current.start;
        }
        let size = current.end - self.pos;
        let limit = match &current.kind {
            b"ftyp" if self.ftyp.is_none() && self.movie.is_none() => FTYP_LIMIT,
            b"moov" if self.movie.is_none() && !self.moov_discarded => self.moov_limit,
            // Belongs to a concatenated file.
            b"moov" if self.is_fragmented() && self.other_file.is_none() => REDUCED_LIMIT,
            b"moof" if self.is_fragmented() && self.other_file.is_none() => MOOF_LIMIT,
            b"free" if self.movie.is_some() && size + 8 == INDEX_MARKER.len() as u64 => size,
            _ => 0,
        };
        self.buf = Vec::new();
        if current.kind == *b"moof" || is_media(current.kind) {
            self.first_data.get_or_insert(current.start);
        }
        let mut to = current.end;
        if is_media(current.kind) {
            self.data = Some(current);
            self.data_start.get_or_insert(current.payload);
            if self.pending.has_fragments() {
                // Its last bytes may be the trailer of padding.
                to = current
                    .end
                    .saturating_sub(padding::TRAILER_SIZE)
                    .max(self.pos);
            }
        }
        self.step = match &current.kind {
            b"moov" if self.movie.is_some() && (limit == 0 || size > limit) => {
                let start = self.file_start.max(self.moov.1);
                self.other_file.get_or_insert(start);
                Step::Skip { current, to }
            }
            b"moov" | b"moof" if limit > 0 && self.memory_reduced && size > REDUCED_LIMIT => {
                self.moov_discarded |= current.kind == *b"moov";
                Step::Pass(current)
            }
            // A later scan may have more memory.
            b"moov" if limit > 0 && size > limit && size <= REPAIR_MOOV_LIMIT => {
                self.moov_discarded = true;
                Step::Pass(current)
            }
            _ if limit > 0 && size <= limit => Step::Collect(current),
            _ => Step::Skip { current, to },
        };
        self.skipped(current, to);
    }

    /// Whether a box extends beyond the end of a stream of known length. While a stream grows, every size is
    /// plausible.
    fn is_implausible(&self, current: TopLevelBox) -> bool {
        // A size of 0 means "to the end of the file".
        let beyond =
            self.length.is_some_and(|length| current.end > length) && current.end != u64::MAX;
        self.is_fragmented() && beyond
    }

    fn is_fragmented(&self) -> bool {
        self.movie.as_ref().is_some_and(|movie| movie.fragmented)
    }

    /// Starts resynchronising: at `start` there is no box, or a torn one.
    fn malformed(&mut self, start: u64) {
        self.damaged_from.get_or_insert(start);
        self.step = Step::Resync(BoxSearch::default());
    }

    fn resync(&mut self, mut search: BoxSearch, byte: u8) {
        self.pos += 1;
        search.push(byte);
        self.step = Step::Resync(search);
        if search.is_index_marker() {
            return self.end_stream(self.pos - INDEX_MARKER.len() as u64);
        }
        let found = search.box_at_end(self.pos).filter(|found| {
            let size = found.end - found.start;
            match &found.kind {
                b"moof" => self.is_fragmented() && size <= MOOF_LIMIT,
                _ => self.movie.is_none() && !self.moov_discarded && size <= self.moov_limit,
            }
        });
        let Some(found) = found else { return };
        // Bytes before the damage belong to an earlier box.
        if self.damaged_from.is_some_and(|from| found.start < from) {
            return;
        }
        let held = std::mem::take(&mut self.held_fragments);
        let held = held.first().map(|(fragment, ..)| fragment.start);
        if held.is_some() {
            // All pending fragments are behind the held ones, in the damage.
            self.pending.clear();
        }
        self.not_a_box = false;
        if let Some(from) = self.damaged_from.take() {
            self.damage.add(held.unwrap_or(from)..found.start);
        }
        // If the samples end exactly here, only the header of their `mdat` was damaged.
        let fits = self.pending.has_fragments() && self.pending.end() == found.start;
        if self.data.take().is_some() || fits {
            self.data_end = found.start;
        }
        // No fragment waits for media data behind the damage.
        self.end_pending(u64::MAX);
        self.keep = found.start;
        if self.memory_reduced && found.end - found.start > REDUCED_LIMIT {
            self.moov_discarded |= found.kind == *b"moov";
            self.buf = Vec::new();
            self.step = Step::Pass(found);
        } else {
            self.buf = search.payload().to_vec();
            self.step = Step::Collect(found);
        }
    }

    /// Ends the sender's stream at `start`, where our index marker begins.
    fn end_stream(&mut self, start: u64) {
        self.index_marker_at = Some(start);
        self.step = Step::Done;
    }

    /// Counts the held-back fragments.
    pub(super) fn count_held_fragments(&mut self) {
        if self.held_fragments.is_empty() {
            return;
        }
        for (fragment, limit, missing) in std::mem::take(&mut self.held_fragments) {
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
        let media = self.data_start()..limit;
        if let Some(movie) = &mut self.movie {
            fragment.add_to(movie, media, &mut self.unindexed, missing);
        }
    }

    /// Stream offset of the first media data; [`u64::MAX`] if there is none.
    pub(super) fn data_start(&self) -> u64 {
        self.data_start.unwrap_or(u64::MAX)
    }

    /// Keeps the stream up to `end`, or up to the first pending fragment.
    fn keep_until(&mut self, end: u64) {
        let end = self
            .pending
            .first_start()
            .map_or(end, |start| start.min(end));
        self.keep = self.keep.max(end);
    }

    /// Counts the pending samples except those that wait for media data behind `start`, where the next fragment begins.
    fn end_pending(&mut self, start: u64) {
        if self.pending.is_empty() {
            return;
        }
        let (limit, moov) = (self.data_end, self.moov);
        if self.pending.take_moov()
            && let Some(movie) = &mut self.movie
        {
            movie.load_moov_samples(&MediaBounds { limit, moov }, &mut self.unindexed);
        }
        self.pending.end_before(start, limit);
        while let Some((fragment, limit)) = self.pending.pop_complete(limit) {
            self.count(&fragment, limit, DAMAGED);
        }
        self.keep_until(start);
    }

    fn skipped(&mut self, current: TopLevelBox, to: u64) {
        if self.pos == to && to < current.end && matches!(self.step, Step::Skip { .. }) {
            self.step = Step::Collect(current);
        }
        self.close_if_complete(current);
    }

    fn close_if_complete(&mut self, current: TopLevelBox) {
        if self.pos < current.end {
            return;
        }
        let collected = matches!(self.step, Step::Collect(_));
        self.step = Step::Header;
        let payload = std::mem::take(&mut self.buf);
        match &current.kind {
            b"ftyp" if collected => self.ftyp = Some(payload),
            b"moov" if collected => return self.close_moov(current, payload),
            b"moof" if collected => return self.close_moof(current, payload),
            b"free" if collected && padding::is_index_marker(&payload) => {
                return self.end_stream(current.start);
            }
            b"mdat" | b"imda" => return self.close_data(current, &payload),
            // Its frames are in no track.
            b"moof"
                if !self.memory_reduced && self.is_fragmented() && self.other_file.is_none() =>
            {
                self.damage.add(current.start..current.end);
            }
            _ => {}
        }
        // Otherwise the media data of a fragment in front is missing.
        if self.pending.is_empty() && self.held_fragments.is_empty() {
            self.index_start = (current.kind == *b"mfra").then_some(current.start);
            self.keep = current.end;
        }
    }

    fn close_moov(&mut self, current: TopLevelBox, payload: Vec<u8>) {
        if let Some(movie) = &self.movie {
            let next = Movie::parse(payload);
            if !next.is_some_and(|next| next.is_compatible_with(movie)) {
                self.other_file = Some(self.file_start.max(self.moov.1));
            }
            if self.pending.is_empty() && self.held_fragments.is_empty() {
                self.keep = current.end;
            }
            return;
        }
        self.movie = Movie::parse(payload);
        self.keep = current.end;
        let Some(movie) = &mut self.movie else { return };
        self.moov = (current.start, current.end);
        let head = live_head(self.ftyp.as_deref(), movie, self.moov);
        if let Some(head) = head {
            self.patches.push_head(head);
        }
        if movie.fragmented && movie.has_moov_samples() {
            if self.memory_reduced {
                self.absolute_offsets = true;
            } else {
                let extent = movie.moov_extent();
                if extent <= current.start {
                    let (limit, moov) = (current.start, self.moov);
                    movie.load_moov_samples(&MediaBounds { limit, moov }, &mut self.unindexed);
                } else {
                    self.pending.set_moov_end(extent);
                }
            }
        }
        if self.memory_reduced {
            self.reduce_memory();
        }
    }

    fn close_moof(&mut self, current: TopLevelBox, payload: Vec<u8>) {
        if self.other_file.is_some() {
            self.keep = current.end;
            return;
        }
        let fragment = Fragment {
            start: current.start,
            payload_start: current.end - payload.len() as u64,
            payload,
            file_start: self.file_start,
        };
        let (shifts, others) = fragment.shifts();
        self.absolute_offsets |= others;
        for (offset, bytes) in shifts {
            let is_shifted = self.patch_stream && self.patches.push(offset, bytes);
            self.absolute_offsets |= !is_shifted;
        }
        let Some(movie) = &self.movie else { return };
        let span = fragment.span(movie, self.data_start());
        self.pending.push(fragment, span);
        let limit = match self.memory_reduced {
            true => REDUCED_LIMIT,
            false => MOOF_LIMIT,
        };
        while self.pending.exceeds(limit)
            && let Some(fragment) = self.pending.pop()
        {
            self.count(&fragment, self.data_end, DAMAGED);
            self.keep_until(current.start);
        }
        let is_in_front = span.first == u64::MAX && span.end > 0;
        if is_in_front && self.pending.first_start() == Some(current.start) {
            // All its media data has arrived.
            self.index_start = None;
            self.end_pending(current.end);
            self.keep_until(current.end);
        }
    }

    /// Handles a complete `mdat` or `imda`.
    fn close_data(&mut self, current: TopLevelBox, trailer: &[u8]) {
        let end = current.end;
        self.data = None;
        self.last_data = Some(current);
        self.data_end = end;
        self.index_start = None;
        if self.pending.is_empty() {
            self.keep = end;
            return;
        }
        if self.pending.moov_end().is_some_and(|needed| needed <= end) {
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
        if self.held_fragments.is_empty() {
            self.keep_until(end);
        }
    }

    /// Counts a fragment, in a repair only once a valid box follows.
    fn hold(&mut self, fragment: Fragment, limit: u64, missing: Option<LeftOutReason>) {
        match self.length {
            Some(_) => self.held_fragments.push((fragment, limit, missing)),
            None => self.count(&fragment, limit, missing),
        }
    }
}
