//! Which bytes go to which file, and which files are done with.

use std::collections::VecDeque;
use std::ops::Range;

use super::facts::{Fact, Facts};
use super::recovery::{HEAD_FILE, journal_name, segment_name};

/// Of a recording's beginning so much is kept for good: more than any recorder's front matter.
const HEAD_BYTES: u64 = 16 * 1024;
/// A segment is closed when it has this many bytes.
const SEGMENT_BYTES: u64 = 4 * 1024 * 1024;
/// The same where room is short: acknowledged bytes are given back sooner.
const SMALL_SEGMENT_BYTES: u64 = 256 * 1024;

/// What is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    /// These bytes of the recording.
    Bytes(Range<u64>),
    /// Lines of the journal.
    Lines(String),
}

/// One write: made durable before the next one of its step begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Put {
    pub(crate) file: String,
    /// Where in the file.
    pub(crate) at: u64,
    pub(crate) data: Data,
}

/// Writes in order; then `seal` will not be written any more; then `drop` goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) puts: Vec<Put>,
    /// A file with all bytes of this range.
    pub(crate) seal: Option<(String, Range<u64>)>,
    pub(crate) drop: Vec<String>,
}

impl Step {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Where a recording's bytes are kept. Every change is a [`Step`] for the store; steps are carried out in order.
#[derive(Debug)]
pub(crate) struct Layout {
    facts: Facts,
    segments: VecDeque<Range<u64>>,
    segment_bytes: u64,
    /// Number and length of the journal in use; no length before it is begun.
    journal: (u32, u64),
    end: u64,
}

impl Layout {
    /// An empty one for a recording of which `facts` are known.
    pub(crate) fn new(facts: Facts) -> Self {
        Self {
            facts,
            segments: VecDeque::new(),
            segment_bytes: SEGMENT_BYTES,
            journal: (0, 0),
            end: 0,
        }
    }

    /// Room is short: smaller segments from the next chunk on. Whether that is news.
    pub(crate) fn shrink(&mut self) -> bool {
        std::mem::replace(&mut self.segment_bytes, SMALL_SEGMENT_BYTES) != SMALL_SEGMENT_BYTES
    }

    /// Bytes up to `end` came, when the recording was `recorded_ms` long and the server held `safe` bytes.
    pub(crate) fn chunk(&mut self, end: u64, recorded_ms: u64, safe: u64) -> Step {
        let bytes = self.end..end;
        let mut step = Step::default();
        let full = self
            .segments
            .back()
            .is_some_and(|it| it.end - it.start >= self.segment_bytes);
        if full && let Some(last) = self.segments.back() {
            step.seal = Some((segment_name(last.start), last.clone()));
        }
        if full || self.segments.is_empty() {
            self.segments.push_back(self.end..self.end);
        }
        if bytes.start == 0 {
            let head = 0..end.min(HEAD_BYTES);
            step.puts.push(Put {
                file: HEAD_FILE.to_owned(),
                at: 0,
                data: Data::Bytes(head.clone()),
            });
            step.seal = Some((HEAD_FILE.to_owned(), head));
        }
        if let Some(segment) = self.segments.back_mut() {
            step.puts.push(Put {
                file: segment_name(segment.start),
                at: segment.end - segment.start,
                data: Data::Bytes(bytes),
            });
            segment.end = end;
        }
        self.end = end;
        let at = [end, recorded_ms, safe].map(|it| it.to_string()).join(" ");
        self.facts.set(Fact::At, &at);
        if full {
            self.new_journal(&mut step);
        } else {
            self.note(Fact::At, &mut step);
        }
        step
    }

    /// Something became known; it is written with the next journal.
    pub(crate) fn know(&mut self, fact: Fact, value: &str) {
        self.facts.set(fact, value);
    }

    /// Something else became known.
    pub(crate) fn fact(&mut self, fact: Fact, value: &str) -> Step {
        let mut step = Step::default();
        self.facts.set(fact, value);
        self.note(fact, &mut step);
        step
    }

    /// The server holds the bytes below `offset`.
    pub(crate) fn acknowledged(&mut self, offset: u64) -> Step {
        let mut step = Step::default();
        // The last segment is still written to.
        while self.segments.len() > 1
            && let Some(segment) = self.segments.pop_front_if(|it| it.end <= offset)
        {
            step.drop.push(segment_name(segment.start));
        }
        step
    }

    /// Nothing that was written last counts, and the next bytes are those from `end` on: the server holds all
    /// before them. First the room is given back: there may be none for anything else.
    pub(crate) fn restart(&mut self, end: u64) -> [Step; 2] {
        let mut steps = <[Step; 2]>::default();
        let segments = std::mem::take(&mut self.segments);
        steps[0].drop = segments.iter().map(|it| segment_name(it.start)).collect();
        self.end = end;
        self.facts.set(Fact::From, &end.to_string());
        if self.journal.1 > 0 {
            steps[0].drop.push(journal_name(self.journal.0));
            self.journal = (self.journal.0 + 1, 0);
        }
        self.new_journal(&mut steps[1]);
        steps
    }

    fn note(&mut self, fact: Fact, step: &mut Step) {
        let lines = match self.journal.1 {
            0 => self.facts.lines(),
            _ => self.facts.line(fact),
        };
        self.put_lines(lines, step);
    }

    /// Begins the next journal with all that is known; the one before goes.
    fn new_journal(&mut self, step: &mut Step) {
        if self.journal.1 > 0 {
            step.drop.push(journal_name(self.journal.0));
            self.journal = (self.journal.0 + 1, 0);
        }
        self.put_lines(self.facts.lines(), step);
    }

    fn put_lines(&mut self, lines: String, step: &mut Step) {
        let at = self.journal.1;
        self.journal.1 += lines.len() as u64;
        step.puts.push(Put {
            file: journal_name(self.journal.0),
            at,
            data: Data::Lines(lines),
        });
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
