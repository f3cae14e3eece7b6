//! Reading a stream of boxes as it arrives.

use std::collections::VecDeque;

use super::boxes::{self, Header, Kind};
use super::filler::{self, END_MARK};
use super::fragment::Fragment;
use super::head::live_head;
use super::movie::{Movie, to_ns};
use super::tables::Place;
use crate::container::{Patch, Track};
use crate::indexer::Options;
use crate::report::{Damage, LeftOut, LeftOutReason, Report};
use crate::stored::HEAD_ROOM;

/// A longer `ftyp` is passed over and ours takes its place.
const FTYP_LIMIT: u64 = 1 << 10;
/// Largest `moov` in a repair, where memory is spent once.
const REPAIR_MOOV_LIMIT: u64 = 256 << 20;
/// Largest `moof`.
const MOOF_LIMIT: u64 = 16 << 20;
/// The same of both once memory is short.
const SHORT_LIMIT: u64 = 64 << 10;
/// Patches that wait at most; more base offsets are not shifted.
const PATCH_LIMIT: usize = 4096;
/// No stream is longer: no sum of offsets overflows.
const LONGEST_STREAM: u64 = 1 << 62;
/// Header of a box, and of its first child.
const TWO_HEADERS: u64 = 16;
/// Header of the `mfhd` that every `moof` begins with (section 8.8.5).
const MFHD_HEADER: u64 = 0x0000_0010_6D66_6864;
/// Boxes of the top level (section 4.2 and table 1, and what QuickTime and DASH add).
const KNOWN_BOXES: [&Kind; 21] = [
    b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"sidx", b"ssix",
    b"mfra", b"meta", b"meco", b"emsg", b"prft", b"uuid", b"pdin", b"udta", b"pnot", b"imda",
    b"junk",
];

/// Only boxes on the top level are taken in as they arrive; what is in `moov` and `moof` is read as a whole.
#[derive(Debug)]
pub(crate) struct Scanner {
    /// Stream offset of the next byte.
    pub(super) pos: u64,
    step: Step,
    /// The part of the next box's header that has arrived.
    header: Vec<u8>,
    /// The payload being collected.
    buf: Vec<u8>,
    /// Payload of `ftyp`.
    pub(super) ftyp: Option<Vec<u8>>,
    pub(super) movie: Option<Movie>,
    /// Samples whose data has not arrived as a whole.
    pub(super) pending: Option<Pending>,
    /// End of the data of `pending` in the stream, computed once: an `mdat` must not cost a walk through all samples.
    pending_end: Option<u64>,
    /// The `mdat` that has begun and not ended.
    pub(super) data: Option<Whole>,
    /// End of the last whole `mdat`.
    pub(super) data_end: u64,
    /// The last whole `mdat`.
    pub(super) last_data: Option<Whole>,
    /// In a repair: a fragment that counts once something sensible follows it, and where its samples and its data
    /// end. Where nothing does, bytes are missing or too many, and its frames would be noise to a decoder.
    held: Option<(Fragment, u64, u64)>,
    /// Makes the data of a torn last fragment whole.
    pub(super) filler: Vec<u8>,
    /// Stream offset behind the last box that is whole, its data included.
    pub(super) keep: u64,
    /// Stream offsets of `moov`.
    pub(super) moov: (u64, u64),
    /// Stream offset of the first `moof`, or of the data of an unfragmented file.
    first_data: Option<u64>,
    /// Stream offset of the sender's own index of fragments, if nothing follows it.
    pub(super) index_start: Option<u64>,
    /// Stream offset of the last `ftyp`: files may follow each other.
    document: u64,
    /// Stream offset of a further file whose tracks differ from those of the first.
    pub(super) other: Option<u64>,
    /// Stream offset of our end mark: it and everything behind it is not the sender's.
    pub(super) ended_at: Option<u64>,
    pub(super) patches: VecDeque<Patch>,
    pub(super) patch_anywhere: bool,
    moov_limit: u64,
    /// Length of the whole stream, where it is known.
    pub(super) length: Option<u64>,
    /// Where reading failed, until it goes on.
    pub(super) damaged_from: Option<u64>,
    /// Whether that was not a box at all.
    pub(super) garbage: bool,
    pub(super) damage: Damage,
    /// Corrects the size of an `mdat` that is not whole.
    pub(super) data_patch: Option<Patch>,
    /// Bytes at the end that are kept, though they are no box.
    pub(super) trailing: Option<LeftOut>,
    /// Bytes behind the end that `moov` or the last `mdat` says there are.
    pub(super) missing: u64,
    /// Whether [`end`](Self::end) was called.
    pub(super) ended: bool,
    /// Why bytes at the end are not kept.
    pub(super) tail: LeftOutReason,
    /// Whether memory is short.
    short: bool,
    /// Whether the description of tracks and samples was not kept, for lack of memory.
    pub(super) starved: bool,
    /// Whether fragments have absolute offsets that a fragmented file with a head room gets wrong.
    misplaced: bool,
}

/// Samples whose data is still to come.
#[derive(Debug)]
pub(super) enum Pending {
    /// Those in `moov`, in front of the first fragment.
    Moov,
    /// Those of a fragment.
    Moof(Fragment),
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Header,
    Collect(Whole),
    /// Reading a payload that there is no memory for.
    Pass(Whole),
    /// Passing over a payload, up to `to`; what is left then is collected.
    Skip {
        whole: Whole,
        to: u64,
    },
    /// Something is broken: looking for the next `moof`, for a `moov` while there is none, or for our end mark.
    Resync {
        window: u128,
    },
    /// Nothing more is of interest.
    Done,
}

/// A box on the top level.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whole {
    kind: Kind,
    pub(super) start: u64,
    /// Stream offset of the payload.
    pub(super) payload: u64,
    /// [`u64::MAX`] for one that reaches to the end of the file.
    pub(super) end: u64,
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
            pending: None,
            pending_end: None,
            data: None,
            data_end: 0,
            last_data: None,
            held: None,
            filler: Vec::new(),
            keep: 0,
            moov: (0, 0),
            first_data: None,
            index_start: None,
            document: 0,
            other: None,
            ended_at: None,
            patches: VecDeque::new(),
            patch_anywhere: options.patch_clusters,
            moov_limit: match options.stream_length {
                Some(_) => REPAIR_MOOV_LIMIT,
                None => options.description_limit,
            },
            length: options.stream_length,
            damaged_from: None,
            garbage: false,
            damage: Damage::default(),
            data_patch: None,
            trailing: None,
            missing: 0,
            ended: false,
            tail: LeftOutReason::Torn,
            short: false,
            starved: false,
            misplaced: false,
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
                Step::Collect(whole) => {
                    let left = usize::try_from(whole.end - self.pos).unwrap_or(usize::MAX);
                    let taken = bytes.len().min(left);
                    // Doubling would waste half of a large one.
                    if self.buf.capacity() - self.buf.len() < taken {
                        let more = taken.max(self.buf.len() / 4).min(left);
                        self.buf.reserve_exact(more);
                    }
                    self.buf.extend_from_slice(&bytes[..taken]);
                    self.pos += taken as u64;
                    self.close_if_whole(whole);
                    taken
                }
                Step::Pass(whole) => {
                    let left = usize::try_from(whole.end - self.pos).unwrap_or(usize::MAX);
                    let taken = bytes.len().min(left);
                    self.pos += taken as u64;
                    self.close_if_whole(whole);
                    taken
                }
                Step::Skip { whole, to } => {
                    let left = usize::try_from(to - self.pos).unwrap_or(usize::MAX);
                    let taken = bytes.len().min(left);
                    self.pos += taken as u64;
                    self.skipped(whole, to);
                    taken
                }
                Step::Resync { window } => {
                    self.pos += 1;
                    self.resync(window << 8 | u128::from(first));
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
            Step::Header | Step::Collect(_) | Step::Pass(_) | Step::Resync { .. } => 0,
        }
    }

    pub(crate) fn skip(&mut self, n: u64) {
        self.pos += n.min(self.skippable());
        if let Step::Skip { whole, to } = self.step {
            self.skipped(whole, to);
        }
        if self.pos > LONGEST_STREAM {
            self.step = Step::Done;
        }
    }

    pub(crate) fn poll_patch(&mut self) -> Option<Patch> {
        let head = self.patches.iter().position(|patch| patch.position == 0);
        if let Some(at) = head {
            return self.patches.remove(at);
        }
        // A stream that turns out to be no recording is kept byte for byte: until there is a sample, only the head room
        // changes.
        let movie = self.movie.as_ref().filter(|movie| movie.samples() > 0);
        movie.and_then(|_| self.patches.pop_front())
    }

    pub(crate) fn received(&self) -> u64 {
        self.pos
    }

    pub(crate) fn tracks(&self) -> &[Track] {
        self.movie.as_ref().map_or(&[], |movie| &movie.described)
    }

    /// What finishing keeps whatever comes next; 0 while it could fail.
    pub(crate) fn settled(&self) -> u64 {
        match &self.movie {
            Some(movie) if movie.fragmented && movie.samples() > 0 => {
                HEAD_ROOM.saturating_add(self.index_start.unwrap_or(self.keep))
            }
            _ => 0,
        }
    }

    /// Stream offset behind the last byte of the sender's.
    pub(super) fn stream_end(&self) -> u64 {
        self.ended_at.unwrap_or(self.pos)
    }

    /// Bytes on the heap.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let fragments = [
            match &self.pending {
                Some(Pending::Moof(fragment)) => fragment.payload.capacity(),
                _ => 0,
            },
            self.held
                .as_ref()
                .map_or(0, |(fragment, ..)| fragment.payload.capacity()),
        ];
        let patches = self.patches.capacity() * size_of::<Patch>()
            + self
                .patches
                .iter()
                .map(|patch| patch.bytes.capacity())
                .sum::<usize>();
        let rest = self.buf.capacity() + patches + fragments.iter().sum::<usize>();
        rest as u64 + self.movie.as_ref().map_or(0, Movie::memory_bytes)
    }

    /// Bytes that finishing needs on top.
    pub(crate) fn finish_bytes(&self) -> u64 {
        self.movie.as_ref().map_or(0, |movie| {
            let moov = movie.moov.len() as u64;
            match movie.fragmented {
                true => movie.written_bytes() + 2 * moov,
                // Tables may have to be made anew.
                false => 4 * moov,
            }
        })
    }

    /// Frees the sample tables, and what describes them where it is large.
    pub(crate) fn reduce_memory(&mut self) {
        self.short = true;
        if let Step::Collect(whole) = self.step
            && whole.end.saturating_sub(whole.payload) > SHORT_LIMIT
        {
            self.starved |= whole.kind == *b"moov";
            self.buf = Vec::new();
            self.step = Step::Pass(whole);
        }
        if let Some(Pending::Moof(fragment)) = &self.pending
            && fragment.payload.len() as u64 > SHORT_LIMIT
        {
            self.pending = None;
        }
        let Some(movie) = &mut self.movie else { return };
        if movie.fragmented {
            self.misplaced |= movie.has_moov_samples();
            self.pending
                .take_if(|pending| matches!(pending, Pending::Moov));
            movie.drop_tables();
            // Then it does not fit into the head room either.
            if movie.moov.len() as u64 > SHORT_LIMIT {
                movie.moov = Vec::new();
            }
        } else if movie.moov.len() as u64 > SHORT_LIMIT {
            movie.moov = Vec::new();
            self.starved = true;
        }
    }

    /// Whether finishing needs another scan with more memory.
    pub(crate) fn needs_rescan(&self) -> bool {
        self.starved || self.short && self.misplaced
    }

    /// Ranges that are stored, but that players pass over.
    pub(super) fn hidden(&self) -> Vec<LeftOut> {
        let ranges = self.damage.ranges.iter();
        ranges
            .filter_map(|range| LeftOut::new(range.clone(), LeftOutReason::Damaged))
            .chain(
                self.other.and_then(|start| {
                    LeftOut::new(start..self.keep, LeftOutReason::OtherRecording)
                }),
            )
            .chain(self.trailing)
            .collect()
    }

    pub(crate) fn report(&self) -> Report {
        let movie = self.movie.as_ref();
        let whole = matches!(self.step, Step::Header | Step::Done) && self.header.is_empty();
        let torn = !whole && self.ended_at.is_none();
        Report {
            duration_ms: match movie {
                Some(movie) if !movie.fragmented && !movie.rebuilt => {
                    to_ns(movie.duration, movie.timescale)
                }
                _ => self.end_ns(),
            } / 1_000_000,
            pace: movie.map(Movie::pace).unwrap_or_default(),
            front_matter_bytes: self.first_data,
            indexed: movie.is_some_and(|movie| !movie.fragmented && !movie.rebuilt),
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
                self.garbage = true;
                self.malformed(start);
                // A box may begin in it.
                let window = header
                    .iter()
                    .fold(0, |window, &byte| window << 8 | u128::from(byte));
                self.step = Step::Resync { window };
            }
            Header::Whole { kind, size, length } => {
                self.header.clear();
                let start = self.pos - length;
                let end = size.map_or(u64::MAX, |size| start.saturating_add(size));
                self.open(Whole {
                    kind,
                    start,
                    payload: self.pos,
                    end,
                });
            }
        }
    }

    fn open(&mut self, whole: Whole) {
        if self.movie.is_some() && !KNOWN_BOXES.contains(&&whole.kind) {
            self.garbage = true;
            return self.malformed(whole.start);
        }
        if self.is_implausible(whole) {
            // Its size is wrong, or the stream ends in it: the next fragment, or the end, tells.
            self.data = (whole.kind == *b"mdat").then_some(whole);
            return self.malformed(whole.start);
        }
        self.release();
        if whole.kind == *b"moof" && self.is_fragmented() {
            self.resolve(whole.start);
        }
        if whole.kind == *b"ftyp" && self.movie.is_some() {
            self.document = whole.start;
        }
        let size = whole.end - self.pos;
        let limit = match &whole.kind {
            b"ftyp" if self.ftyp.is_none() && self.movie.is_none() => FTYP_LIMIT,
            b"moov" if self.movie.is_none() && !self.starved => self.moov_limit,
            // Of a further file.
            b"moov" if self.is_fragmented() && self.other.is_none() => SHORT_LIMIT,
            b"moof" if self.is_fragmented() && self.other.is_none() => MOOF_LIMIT,
            b"free" if self.movie.is_some() && size + 8 == END_MARK.len() as u64 => size,
            _ => 0,
        };
        self.buf = Vec::new();
        if matches!(&whole.kind, b"moof" | b"mdat") {
            self.first_data.get_or_insert(whole.start);
        }
        let mut to = whole.end;
        if whole.kind == *b"mdat" {
            self.data = Some(whole);
            if matches!(self.pending, Some(Pending::Moof(_))) {
                // Its last bytes may say that it was filled up.
                to = whole.end.saturating_sub(filler::TRAILER).max(self.pos);
            }
        }
        self.step = match &whole.kind {
            b"moov" if self.movie.is_some() && (limit == 0 || size > limit) => {
                let start = self.document.max(self.moov.1);
                self.other.get_or_insert(start);
                Step::Skip { whole, to }
            }
            b"moov" | b"moof" if limit > 0 && self.short && size > SHORT_LIMIT => {
                self.starved |= whole.kind == *b"moov";
                Step::Pass(whole)
            }
            // There may be memory for it when the stream is scanned again.
            b"moov" if limit > 0 && size > limit && size <= REPAIR_MOOV_LIMIT => {
                self.starved = true;
                Step::Pass(whole)
            }
            _ if limit > 0 && size <= limit => Step::Collect(whole),
            _ => Step::Skip { whole, to },
        };
        self.skipped(whole, to);
    }

    /// Whether a box cannot be right. Asked where the length is known: what still arrives may be anything.
    fn is_implausible(&self, whole: Whole) -> bool {
        // 0 for a size means "to the end", and only there.
        let beyond = self.length.is_some_and(|length| whole.end > length) && whole.end != u64::MAX;
        self.is_fragmented() && beyond
    }

    fn is_fragmented(&self) -> bool {
        self.movie.as_ref().is_some_and(|movie| movie.fragmented)
    }

    /// No box begins at `start`, or a torn one: reading goes on at the next fragment.
    fn malformed(&mut self, start: u64) {
        self.damaged_from.get_or_insert(start);
        self.step = Step::Resync { window: 0 };
    }

    fn resync(&mut self, window: u128) {
        self.step = Step::Resync { window };
        if window.to_be_bytes() == END_MARK[8..] {
            return self.end_stream(self.pos - END_MARK.len() as u64);
        }
        let number = |shift: u32| u32::try_from(window >> shift & 0xFFFF_FFFF).unwrap_or(0);
        let [size, kind, child_size, child] = [96, 64, 32, 0].map(number);
        let child_kind = child.to_be_bytes();
        let size = u64::from(size);
        let kind = match &kind.to_be_bytes() {
            b"moof" if self.is_fragmented() => {
                let child = u64::from(child_size) << 32 | u64::from(child);
                let plausible = child == MFHD_HEADER && (24..=MOOF_LIMIT).contains(&size);
                plausible.then_some(*b"moof")
            }
            b"moov" if self.movie.is_none() && !self.starved => {
                let child = child_kind == *b"mvhd" && matches!(child_size, 108 | 120);
                let plausible = child && (128..=self.moov_limit).contains(&size);
                plausible.then_some(*b"moov")
            }
            _ => None,
        };
        let Some(kind) = kind else { return };
        let start = self.pos - TWO_HEADERS;
        // Bytes in front of the damage belong to a box already.
        if self.damaged_from.is_some_and(|from| start < from) {
            return;
        }
        let held = self.held.take().map(|(fragment, ..)| fragment.start);
        self.garbage = false;
        if let Some(from) = self.damaged_from.take() {
            self.damage.add(held.unwrap_or(from)..start);
        }
        // Where it ends there, only the header of its data was damaged.
        let fits = matches!(self.pending, Some(Pending::Moof(_))) && self.pending_end() == start;
        if self.data.take().is_some() || fits {
            self.data_end = start;
        }
        self.resolve(start);
        self.keep = start;
        let whole = Whole {
            kind,
            start,
            payload: start + 8,
            end: start + size,
        };
        self.buf = window.to_be_bytes()[8..].to_vec();
        self.step = if self.short && size > SHORT_LIMIT {
            self.starved |= kind == *b"moov";
            self.buf = Vec::new();
            Step::Pass(whole)
        } else {
            Step::Collect(whole)
        };
    }

    /// Our end mark begins at `start`.
    fn end_stream(&mut self, start: u64) {
        self.ended_at = Some(start);
        self.step = Step::Done;
    }

    /// Counts the fragment that was held back.
    pub(super) fn release(&mut self) {
        if let (Some((fragment, limit, end)), Some(movie)) = (self.held.take(), &mut self.movie) {
            fragment.add_to(movie, limit);
            self.keep = end;
        }
    }

    /// Counts the pending samples as far as their data is there: the next fragment begins at `start`.
    fn resolve(&mut self, start: u64) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        self.pending_end = None;
        let (limit, moov) = (self.data_end, self.moov);
        if let Some(movie) = &mut self.movie {
            match pending {
                Pending::Moof(fragment) => fragment.add_to(movie, limit),
                Pending::Moov => movie.load_moov_samples(&Place { limit, moov }),
            }
        }
        self.keep = start;
    }

    fn skipped(&mut self, whole: Whole, to: u64) {
        if self.pos == to && to < whole.end && matches!(self.step, Step::Skip { .. }) {
            self.step = Step::Collect(whole);
        }
        self.close_if_whole(whole);
    }

    fn close_if_whole(&mut self, whole: Whole) {
        if self.pos < whole.end {
            return;
        }
        let collected = matches!(self.step, Step::Collect(_));
        self.step = Step::Header;
        let payload = std::mem::take(&mut self.buf);
        match &whole.kind {
            b"ftyp" if collected => self.ftyp = Some(payload),
            b"moov" if collected => return self.close_moov(whole, payload),
            b"moof" if collected => return self.close_moof(whole, payload),
            b"free" if collected && filler::is_end_mark(&payload) => {
                return self.end_stream(whole.start);
            }
            b"mdat" => return self.close_data(whole, &payload),
            // Frames that nothing describes to a player.
            b"moof" if !self.short && self.is_fragmented() && self.other.is_none() => {
                self.damage.add(whole.start..whole.end);
            }
            _ => {}
        }
        // Not behind a fragment whose data is missing.
        if self.pending.is_none() && self.held.is_none() {
            self.index_start = (whole.kind == *b"mfra").then_some(whole.start);
            self.keep = whole.end;
        }
    }

    fn close_moov(&mut self, whole: Whole, payload: Vec<u8>) {
        if let Some(movie) = &self.movie {
            let further = Movie::parse(payload);
            if !further.is_some_and(|further| further.is_like(movie)) {
                self.other = Some(self.document.max(self.moov.1));
            }
            if self.pending.is_none() && self.held.is_none() {
                self.keep = whole.end;
            }
            return;
        }
        self.movie = Movie::parse(payload);
        self.keep = whole.end;
        let Some(movie) = &mut self.movie else { return };
        self.moov = (whole.start, whole.end);
        let head = live_head(self.ftyp.as_deref(), movie, self.moov);
        self.patches.extend(head);
        if movie.fragmented && movie.has_moov_samples() {
            if self.short {
                self.misplaced = true;
            } else if movie.moov_extent() <= whole.start {
                movie.load_moov_samples(&Place {
                    limit: whole.start,
                    moov: self.moov,
                });
            } else {
                self.pending = Some(Pending::Moov);
                self.pending_end = None;
            }
        }
        if self.short {
            self.reduce_memory();
        }
    }

    fn close_moof(&mut self, whole: Whole, payload: Vec<u8>) {
        if self.other.is_some() {
            self.keep = whole.end;
            return;
        }
        let fragment = Fragment {
            start: whole.start,
            payload_start: whole.end - payload.len() as u64,
            payload,
            document: self.document,
        };
        let (shifts, others) = fragment.shifts();
        self.misplaced |= others;
        for (offset, bytes) in shifts {
            let position = HEAD_ROOM.saturating_add(offset);
            if self.patch_anywhere && self.patches.len() < PATCH_LIMIT {
                self.patches.push_back(Patch { position, bytes });
            } else {
                self.misplaced = true;
            }
        }
        self.pending = Some(Pending::Moof(fragment));
        self.pending_end = None;
    }

    /// End of the data of the pending samples in the stream; 0 when none are pending.
    fn pending_end(&mut self) -> u64 {
        if let Some(end) = self.pending_end {
            return end;
        }
        let end = match (&self.pending, &self.movie) {
            (Some(Pending::Moof(fragment)), Some(movie)) => fragment.extent(movie),
            (Some(Pending::Moov), Some(movie)) => movie.moov_extent(),
            _ => 0,
        };
        self.pending_end = Some(end);
        end
    }

    /// An `mdat` has arrived as a whole.
    fn close_data(&mut self, whole: Whole, trailer: &[u8]) {
        let end = whole.end;
        self.data = None;
        self.last_data = Some(whole);
        self.data_end = end;
        self.index_start = None;
        let data_end = self.pending_end();
        match (self.pending.take(), &mut self.movie) {
            (Some(Pending::Moof(fragment)), Some(_)) => {
                let filled = filler::length(trailer);
                if filled == 0 && data_end > end {
                    // The rest may follow in another one.
                    self.pending = Some(Pending::Moof(fragment));
                    return;
                }
                // A hostile trailer may claim more than there is.
                self.held = Some((fragment, end.saturating_sub(filled), end));
                if self.length.is_none() {
                    self.release();
                }
            }
            (Some(Pending::Moov), Some(movie)) => {
                if data_end > end {
                    self.pending = Some(Pending::Moov);
                    return;
                }
                movie.load_moov_samples(&Place {
                    limit: end,
                    moov: self.moov,
                });
                self.keep = end;
            }
            _ => self.keep = end,
        }
    }
}
