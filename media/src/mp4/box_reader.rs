//! Incremental reader of top-level boxes, whatever they mean.

use serde::{Deserialize, Serialize};

use super::box_search::BoxSearch;
use super::boxes::{self, Header};
use super::top_level_box::TopLevelBox;
use crate::stream_cursor::StreamCursor;

/// Progress in the stream.
#[derive(Debug)]
pub(super) enum Event {
    /// There is no box at this stream offset: a search begins.
    Malformed(u64),
    /// The header of a box is complete. The handler must collect, pass or skip the payload.
    Header(TopLevelBox),
    /// The box has ended. Its payload, or the end of it, if that was collected.
    End(TopLevelBox, Option<Vec<u8>>),
    /// Another byte during a search.
    Search(BoxSearch),
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
enum Step {
    #[default]
    Header,
    Collect(TopLevelBox),
    /// Discarding a payload that exceeds the memory limit.
    Pass(TopLevelBox),
    /// Skipping a payload up to `to`, then collecting the rest.
    Skip {
        current: TopLevelBox,
        to: u64,
    },
    Resync(BoxSearch),
    /// Ignoring the rest of the stream.
    Done,
}

/// Incremental reader of a stream of boxes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct BoxReader {
    pub(super) cursor: StreamCursor,
    step: Step,
    /// Received part of the next box header.
    header: Vec<u8>,
    /// Received part of the payload that is being collected.
    pub(super) payload: Vec<u8>,
}

impl BoxReader {
    /// Consumes bytes up to the next event; `None` if it needs more bytes.
    pub(super) fn next(&mut self, bytes: &mut &[u8]) -> Option<Event> {
        loop {
            match self.step {
                Step::Header => {
                    self.header.push(self.cursor.take_byte(bytes)?);
                    if let Some(event) = self.parse_header() {
                        return Some(event);
                    }
                }
                Step::Collect(current) => {
                    self.collect_from(bytes, current.end);
                    return self.end(current, true);
                }
                Step::Pass(current) => {
                    self.cursor.take_until(bytes, current.end);
                    return self.end(current, false);
                }
                Step::Skip { current, to } => {
                    self.cursor.take_until(bytes, to);
                    if self.pos() < to || to >= current.end {
                        return self.end(current, false);
                    }
                    self.step = Step::Collect(current);
                }
                Step::Resync(mut search) => {
                    search.push(self.cursor.take_byte(bytes)?);
                    self.step = Step::Resync(search);
                    return Some(Event::Search(search));
                }
                Step::Done => {
                    self.cursor.advance(std::mem::take(bytes).len() as u64);
                    return None;
                }
            }
        }
    }

    fn parse_header(&mut self) -> Option<Event> {
        let start = self.pos() - self.header.len() as u64;
        match boxes::header(&self.header) {
            Header::Incomplete => None,
            Header::Malformed => {
                // A box may begin within these bytes.
                let header = std::mem::take(&mut self.header);
                self.step = Step::Resync(BoxSearch::after(&header));
                Some(Event::Malformed(start))
            }
            Header::Complete { kind, size, .. } => {
                self.header.clear();
                Some(Event::Header(TopLevelBox {
                    kind,
                    start,
                    payload: self.pos(),
                    end: size.map_or(u64::MAX, |size| start.saturating_add(size)),
                }))
            }
        }
    }

    fn collect_from(&mut self, bytes: &mut &[u8], end: u64) {
        let left = usize::try_from(end - self.pos()).unwrap_or(usize::MAX);
        let part = self.cursor.take_until(bytes, end);
        // Doubling the capacity would waste half of a large buffer.
        if self.payload.capacity() - self.payload.len() < part.len() {
            let more = part.len().max(self.payload.len() / 4).min(left);
            self.payload.reserve_exact(more);
        }
        self.payload.extend_from_slice(part);
    }

    fn end(&mut self, current: TopLevelBox, collected: bool) -> Option<Event> {
        (self.pos() >= current.end).then(|| {
            self.step = Step::Header;
            let payload = std::mem::take(&mut self.payload);
            Event::End(current, collected.then_some(payload))
        })
    }

    pub(super) fn pos(&self) -> u64 {
        self.cursor.pos
    }

    pub(super) fn skippable(&self) -> u64 {
        match self.step {
            Step::Skip { to, .. } => to - self.pos(),
            Step::Done => u64::MAX - self.pos(),
            Step::Header | Step::Collect(_) | Step::Pass(_) | Step::Resync(_) => 0,
        }
    }

    /// Whether no box is incomplete here.
    pub(super) fn is_at_boundary(&self) -> bool {
        matches!(self.step, Step::Header | Step::Done) && self.header.is_empty()
    }

    /// Collects the payload that begins here.
    pub(super) fn collect(&mut self, current: TopLevelBox) {
        self.step = Step::Collect(current);
    }

    /// Collects a payload that begins with these bytes.
    pub(super) fn collect_behind(&mut self, current: TopLevelBox, first: &[u8]) {
        self.payload = first.to_vec();
        self.step = Step::Collect(current);
    }

    /// Discards the payload although it should be collected.
    pub(super) fn pass(&mut self, current: TopLevelBox) {
        self.payload = Vec::new();
        self.step = Step::Pass(current);
    }

    /// Skips the payload up to `to`, and collects the rest.
    pub(super) fn skip(&mut self, current: TopLevelBox, to: u64) {
        self.step = Step::Skip { current, to };
    }

    /// Discards a payload of more than `limit` bytes that is being collected, and returns its box.
    pub(super) fn discard(&mut self, limit: u64) -> Option<TopLevelBox> {
        let Step::Collect(current) = self.step else {
            return None;
        };
        (current.size() > limit).then(|| {
            self.pass(current);
            current
        })
    }

    /// Starts a search: an event follows each byte.
    pub(super) fn resync(&mut self) {
        self.step = Step::Resync(BoxSearch::default());
    }

    /// Ignores the rest of the stream.
    pub(super) fn stop(&mut self) {
        self.step = Step::Done;
    }
}
