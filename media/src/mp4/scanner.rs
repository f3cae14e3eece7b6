//! Reading a stream of boxes as it arrives.

use super::boxes::{self, Header, Kind};
use super::filler;
use super::finish::{live_head, to_ns};
use super::fragment::Fragment;
use super::movie::Movie;
use crate::container::{HEAD_ROOM, Patch, Track};
use crate::indexer::Options;
use crate::report::{Damage, Report};

/// A longer `ftyp` is passed over and ours takes its place.
const FTYP_LIMIT: u64 = 1 << 10;
/// Largest `moov` (that of an unfragmented file holds its sample tables) and `moof`.
const MOOV_LIMIT: u64 = 16 << 20;
/// The same in a repair, where memory is spent once.
const REPAIR_MOOV_LIMIT: u64 = 256 << 20;
const MOOF_LIMIT: u64 = 4 << 20;
/// No stream is longer: no sum of offsets overflows.
const LONGEST_STREAM: u64 = 1 << 62;
/// Header of a box, and of the `mfhd` that every `moof` begins with (section 8.8.5).
const MOOF_BEGIN: usize = 16;
const MFHD_HEADER: u64 = 0x0000_0010_6D66_6864;
/// What stands on the top level (section 4.2 and table 1, and what QuickTime and DASH add).
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
    pub(super) fragment: Option<Fragment>,
    /// The data of `fragment`, as long as it is not whole.
    pub(super) data: Option<Whole>,
    /// In a repair: a fragment that counts once something sensible follows it, and where its samples and its data
    /// end. Where nothing does, bytes are missing or too many, and its frames would be noise to a decoder.
    held: Option<(Fragment, u64, u64)>,
    /// What makes the data of a torn last fragment whole.
    pub(super) filler: Vec<u8>,
    /// End of the last whole `mdat` whose samples are known, or of the last one of an unfragmented file.
    pub(super) keep: u64,
    /// Stream offset behind `moov`.
    pub(super) moov_end: u64,
    /// Stream offset of the first `moof`, or of the data of an unfragmented file.
    first_data: Option<u64>,
    live_head: Option<Patch>,
    /// Length of the whole stream, where it is known.
    pub(super) length: Option<u64>,
    /// Where reading failed, until it goes on.
    damaged_from: Option<u64>,
    damage: Damage,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Header,
    Collect(Whole),
    /// Passing over a payload, up to `to`; what is left then is collected.
    Skip {
        whole: Whole,
        to: u64,
    },
    /// Something is broken: looking for the next `moof`.
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
            fragment: None,
            data: None,
            held: None,
            filler: Vec::new(),
            keep: 0,
            moov_end: 0,
            first_data: None,
            live_head: None,
            length: options.stream_length,
            damaged_from: None,
            damage: Damage::default(),
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
                    self.buf.extend_from_slice(&bytes[..taken]);
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
            Step::Header | Step::Collect(_) | Step::Resync { .. } => 0,
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
        self.live_head.take()
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
                HEAD_ROOM.saturating_add(self.keep)
            }
            _ => 0,
        }
    }

    pub(crate) fn report(&self) -> Report {
        let movie = self.movie.as_ref();
        let torn = !matches!(self.step, Step::Header | Step::Done) || !self.header.is_empty();
        Report {
            duration_ms: match movie {
                Some(movie) if !movie.fragmented => to_ns(movie.duration, movie.timescale),
                _ => self.end_ns(),
            } / 1_000_000,
            pace: movie.map(Movie::pace).unwrap_or_default(),
            front_matter_bytes: self.first_data,
            indexed: movie.is_some_and(|movie| !movie.fragmented),
            damage: self.damage.clone(),
            torn_bytes: if torn {
                self.pos.saturating_sub(self.keep)
            } else {
                0
            },
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
                self.header.clear();
                self.malformed(start);
            }
            Header::Whole { kind, size, length } => {
                self.header.clear();
                let start = self.pos - length;
                let end = size.map_or(u64::MAX, |size| start.saturating_add(size));
                self.open(Whole { kind, start, end });
            }
        }
    }

    fn open(&mut self, whole: Whole) {
        if self.is_implausible(whole) {
            // Its size is wrong, or the stream ends in it: the next fragment, or the end, tells.
            self.data = (whole.kind == *b"mdat").then_some(whole);
            return self.malformed(whole.start);
        }
        self.release();
        let moov_limit = match self.length {
            Some(_) => REPAIR_MOOV_LIMIT,
            None => MOOV_LIMIT,
        };
        let limit = match &whole.kind {
            b"ftyp" if self.ftyp.is_none() && self.movie.is_none() => FTYP_LIMIT,
            b"moov" if self.movie.is_none() => moov_limit,
            b"moof" if self.movie.is_some() => MOOF_LIMIT,
            _ => 0,
        };
        self.buf = Vec::new();
        if matches!(&whole.kind, b"moof" | b"mdat") {
            self.first_data.get_or_insert(whole.start);
        }
        let mut to = whole.end;
        if whole.kind == *b"mdat" && self.fragment.is_some() {
            self.data = Some(whole);
            // Its last bytes may say that it was filled up.
            to = whole.end.saturating_sub(filler::TRAILER).max(self.pos);
        }
        self.step = if limit > 0 && whole.end - self.pos <= limit {
            Step::Collect(whole)
        } else {
            Step::Skip { whole, to }
        };
        self.skipped(whole, to);
    }

    /// Whether a box cannot be right. Asked where the length is known: what still arrives may be anything.
    fn is_implausible(&self, whole: Whole) -> bool {
        // 0 for a size means "to the end", and only there.
        let beyond = self.length.is_some_and(|length| whole.end > length) && whole.end != u64::MAX;
        self.length.is_some()
            && self.is_fragmented()
            && (beyond || !KNOWN_BOXES.contains(&&whole.kind))
    }

    fn is_fragmented(&self) -> bool {
        self.movie.as_ref().is_some_and(|movie| movie.fragmented)
    }

    /// What begins at `start` is no box, or a torn one: reading goes on at the next fragment.
    fn malformed(&mut self, start: u64) {
        if !self.is_fragmented() {
            self.step = Step::Done;
            return;
        }
        self.damaged_from.get_or_insert(start);
        self.step = Step::Resync { window: 0 };
    }

    fn resync(&mut self, window: u128) {
        self.step = Step::Resync { window };
        let [size, kind, mfhd] = [
            window >> 96,
            window >> 64 & 0xFFFF_FFFF,
            window & u128::from(u64::MAX),
        ];
        if kind != u128::from(u32::from_be_bytes(*b"moof")) || mfhd != u128::from(MFHD_HEADER) {
            return;
        }
        let size = u64::try_from(size).unwrap_or(0);
        if !(24..=MOOF_LIMIT).contains(&size) {
            return;
        }
        let start = self.pos - MOOF_BEGIN as u64;
        let held = self.held.take().map(|(fragment, ..)| fragment.start);
        if let Some(from) = self.damaged_from.take() {
            self.damage.add(held.unwrap_or(from)..start);
        }
        if let (Some(_), Some(fragment), Some(movie)) =
            (self.data.take(), self.fragment.take(), &mut self.movie)
        {
            fragment.add_to(movie, start);
            self.keep = start;
        }
        let whole = Whole {
            kind: *b"moof",
            start,
            end: start + size,
        };
        self.buf = window.to_be_bytes()[8..].to_vec();
        self.step = Step::Collect(whole);
    }

    /// Counts the fragment that was held back.
    pub(super) fn release(&mut self) {
        if let (Some((fragment, limit, end)), Some(movie)) = (self.held.take(), &mut self.movie) {
            fragment.add_to(movie, limit);
            self.keep = end;
        }
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
            b"moov" if collected => {
                self.movie = Movie::parse(&payload);
                if let Some(movie) = &self.movie {
                    self.live_head = live_head(self.ftyp.as_deref(), whole.start);
                    self.moov_end = whole.end;
                    if !movie.fragmented {
                        // Kept, though replaced: what is appended must not be the first one in a later scan.
                        self.keep = whole.end;
                    }
                }
            }
            b"moof" if collected => {
                self.fragment = Some(Fragment {
                    start: whole.start,
                    payload,
                });
            }
            b"mdat" => self.close_data(whole.end, &payload),
            _ => {}
        }
    }

    /// The data of a fragment, or of an unfragmented file, has arrived as a whole.
    fn close_data(&mut self, end: u64, trailer: &[u8]) {
        self.data = None;
        match (self.fragment.take(), &mut self.movie) {
            (Some(fragment), Some(_)) => {
                // A hostile trailer may claim more than there is.
                let limit = end.saturating_sub(filler::length(trailer));
                self.held = Some((fragment, limit, end));
                if self.length.is_none() {
                    self.release();
                }
            }
            (None, movie) if movie.as_ref().is_none_or(|movie| !movie.fragmented) => {
                self.keep = end;
            }
            _ => {}
        }
    }
}
