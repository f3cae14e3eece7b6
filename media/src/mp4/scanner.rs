//! Reading a stream of boxes as it arrives.

use super::boxes::{self, Header, Kind};
use super::finish::{live_head, to_ns};
use super::fragment::Fragment;
use super::movie::Movie;
use crate::container::{Patch, Track};

/// A longer `ftyp` is passed over and ours takes its place.
const FTYP_LIMIT: u64 = 1 << 10;
/// Largest `moov` (that of an unfragmented file holds its sample tables) and `moof`.
const MOOV_LIMIT: u64 = 16 << 20;
const MOOF_LIMIT: u64 = 4 << 20;
/// No stream is longer: no sum of offsets overflows.
const LONGEST_STREAM: u64 = 1 << 62;

/// Only boxes on the top level are taken in as they arrive; what is in `moov` and `moof` is read as a whole.
#[derive(Debug)]
pub(crate) struct Scanner {
    /// Stream offset of the next byte.
    pos: u64,
    step: Step,
    /// The part of the next box's header that has arrived.
    header: Vec<u8>,
    /// The payload being collected.
    buf: Vec<u8>,
    /// Payload of `ftyp`.
    pub(super) ftyp: Option<Vec<u8>>,
    pub(super) movie: Option<Movie>,
    fragment: Option<Fragment>,
    /// End of the last whole `mdat` whose samples are known, or of the last one of an unfragmented file.
    pub(super) keep: u64,
    /// Whether all samples fitted the tables.
    pub(super) complete: bool,
    live_head: Option<Patch>,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Header,
    Collect(Whole),
    Skip(Whole),
    /// Nothing more is of interest.
    Done,
}

/// A box on the top level.
#[derive(Debug, Clone, Copy)]
struct Whole {
    kind: Kind,
    start: u64,
    end: u64,
}

impl Scanner {
    pub(crate) fn new() -> Self {
        Self {
            pos: 0,
            step: Step::Header,
            header: Vec::with_capacity(16),
            buf: Vec::new(),
            ftyp: None,
            movie: None,
            fragment: None,
            keep: 0,
            complete: true,
            live_head: None,
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
                Step::Collect(whole) | Step::Skip(whole) => {
                    let left = usize::try_from(whole.end - self.pos).unwrap_or(usize::MAX);
                    let taken = bytes.len().min(left);
                    if let Step::Collect(_) = self.step {
                        self.buf.extend_from_slice(&bytes[..taken]);
                    }
                    self.pos += taken as u64;
                    self.close_if_whole(whole);
                    taken
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
            Step::Skip(whole) => whole.end - self.pos,
            Step::Done => u64::MAX - self.pos,
            Step::Header | Step::Collect(_) => 0,
        }
    }

    pub(crate) fn skip(&mut self, n: u64) {
        self.pos += n.min(self.skippable());
        if let Step::Skip(whole) = self.step {
            self.close_if_whole(whole);
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
            Header::Malformed => self.step = Step::Done,
            Header::Whole { kind, size, length } => {
                self.header.clear();
                let start = self.pos - length;
                let end = size.map_or(u64::MAX, |size| start.saturating_add(size));
                self.open(Whole { kind, start, end });
            }
        }
    }

    fn open(&mut self, whole: Whole) {
        let limit = match &whole.kind {
            b"ftyp" if self.ftyp.is_none() && self.movie.is_none() => FTYP_LIMIT,
            b"moov" if self.movie.is_none() => MOOV_LIMIT,
            b"moof" if self.movie.is_some() => MOOF_LIMIT,
            _ => 0,
        };
        self.buf = Vec::new();
        self.step = if limit > 0 && whole.end - self.pos <= limit {
            Step::Collect(whole)
        } else {
            Step::Skip(whole)
        };
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
                })
            }
            b"mdat" => self.close_data(whole.end),
            _ => {}
        }
    }

    /// The data of a fragment, or of an unfragmented file, has arrived as a whole.
    fn close_data(&mut self, end: u64) {
        match (self.fragment.take(), &mut self.movie) {
            (Some(fragment), Some(movie)) => {
                self.complete &= fragment.add_to(movie, end);
                self.keep = end;
            }
            (None, movie) if movie.as_ref().is_none_or(|movie| !movie.fragmented) => {
                self.keep = end
            }
            _ => {}
        }
    }
}
