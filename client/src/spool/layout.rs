//! Assignment of bytes to files.

use std::ops::Range;

use super::facts::{Fact, Facts};
use super::recovery::{HEAD_FILE, journal_name, segment_name};

/// Bytes at the beginning that are kept permanently: more than any recorder's front matter.
const HEAD_BYTES: u64 = 16 * 1024;
/// Size at which a segment is closed.
const SEGMENT_BYTES: u64 = 4 * 1024 * 1024;
/// Size at which a segment is closed under storage pressure, so that acknowledged bytes are released sooner.
const SMALL_SEGMENT_BYTES: u64 = 256 * 1024;

/// Data of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    /// Bytes of the recording.
    Bytes(Range<u64>),
    Lines(String),
}

/// Write that is made durable before the next one of its step begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Put {
    pub(crate) file: String,
    /// Offset in the file.
    pub(crate) at: u64,
    pub(crate) data: Data,
}

/// Writes in order. Then the `seal` file is complete, and the `drop` files are deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) puts: Vec<Put>,
    /// File with all bytes of this range.
    pub(crate) seal: Option<(String, Range<u64>)>,
    pub(crate) drop: Vec<String>,
}

impl Step {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Appends the lines of a step that writes nothing else, if they follow this step's own. Returns whether they do.
    pub(super) fn join(&mut self, next: &Self) -> bool {
        let are_plain = [&*self, next]
            .iter()
            .all(|it| it.seal.is_none() && it.drop.is_empty());
        if let ([first], [second]) = (&mut self.puts[..], &next.puts[..])
            && let (Data::Lines(lines), Data::Lines(more)) = (&mut first.data, &second.data)
            && first.file == second.file
            && first.at + lines.len() as u64 == second.at
            && are_plain
        {
            *lines += more;
            return true;
        }
        false
    }
}

/// Files of a recording. Every change is a [`Step`] for the storage; steps are carried out in order.
#[derive(Debug)]
pub(crate) struct Layout {
    facts: Facts,
    segments: Vec<Range<u64>>,
    segment_bytes: u64,
    /// Number and length of the current journal; the length is 0 before it is begun.
    journal: (u32, u64),
    /// Bytes in the head file.
    head: u64,
    end: u64,
}

impl Layout {
    pub(crate) fn new(facts: Facts) -> Self {
        Self {
            facts,
            segments: Vec::new(),
            segment_bytes: SEGMENT_BYTES,
            journal: (0, 0),
            head: 0,
            end: 0,
        }
    }

    /// Uses smaller segments from the next chunk on. Returns whether they were larger before.
    pub(crate) fn shrink(&mut self) -> bool {
        std::mem::replace(&mut self.segment_bytes, SMALL_SEGMENT_BYTES) != SMALL_SEGMENT_BYTES
    }

    /// Adds the bytes up to `end`, which arrived when the recording was `recorded_ms` long and the server held `safe`
    /// bytes.
    pub(crate) fn chunk(&mut self, end: u64, recorded_ms: u64, safe: u64) -> Step {
        let bytes = self.end..end;
        let mut step = Step::default();
        let full = self
            .segments
            .last()
            .is_some_and(|it| it.end - it.start >= self.segment_bytes);
        if full && let Some(last) = self.segments.last() {
            step.seal = Some((segment_name(last.start), last.clone()));
        }
        if full || self.segments.is_empty() {
            self.segments.push(self.end..self.end);
        }
        // An encoder's first chunk may be a single byte.
        if bytes.start == self.head && self.head < HEAD_BYTES {
            self.head = end.min(HEAD_BYTES);
            step.puts.push(Put {
                file: HEAD_FILE.to_owned(),
                at: bytes.start,
                data: Data::Bytes(bytes.start..self.head),
            });
            if self.head == HEAD_BYTES {
                step.seal = Some((HEAD_FILE.to_owned(), 0..HEAD_BYTES));
            }
        }
        if let Some(segment) = self.segments.last_mut() {
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

    /// Sets a fact that is written with the next journal.
    pub(crate) fn know(&mut self, fact: Fact, value: &str) {
        self.facts.set(fact, value);
    }

    /// Sets a fact and writes it.
    pub(crate) fn fact(&mut self, fact: Fact, value: &str) -> Step {
        let mut step = Step::default();
        self.facts.set(fact, value);
        self.note(fact, &mut step);
        step
    }

    /// Releases the bytes below `offset`, which the server holds.
    pub(crate) fn acknowledged(&mut self, offset: u64) -> Step {
        let mut step = Step::default();
        // The last segment is still being written.
        let complete = self.segments.len().saturating_sub(1);
        let released = self.segments.iter().take(complete);
        let released = released.take_while(|it| it.end <= offset).count();
        for segment in self.segments.drain(..released) {
            step.drop.push(segment_name(segment.start));
        }
        step
    }

    /// Drops all bytes and continues at `end`: the server holds the bytes before it. The first step only deletes files,
    /// because there may be no space to write.
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

    /// Begins the next journal with all facts and deletes the current one.
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
