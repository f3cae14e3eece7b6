//! Incremental reader of elements: headers and payloads, whatever they mean.

use serde::{Deserialize, Serialize};

use crate::ebml::vint::{self, Header, MAX_HEADER, Parsed};
use crate::stream_cursor::StreamCursor;

/// An element of known size. All offsets are in the stream.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Element {
    pub(super) id: u32,
    pub(super) start: u64,
    pub(super) payload: u64,
    pub(super) end: u64,
}

impl Element {
    pub(super) fn size(&self) -> u64 {
        self.end - self.payload
    }

    /// Width of the size of an element with an id of one byte, such as a Void.
    pub(super) fn size_width(&self) -> u64 {
        self.payload - self.start - 1
    }
}

/// Progress in the stream. All offsets are in the stream.
#[derive(Debug)]
pub(super) enum Event {
    /// The next element header is incomplete.
    PartialHeader,
    /// There is no element header at this offset.
    Malformed(u64),
    /// Header of the element at this offset. Its children follow unless the handler chooses otherwise.
    Header(Header, u64),
    /// [`ElementReader::payload`] is complete; the rest of the element is skipped.
    Payload(Element),
    /// The element has ended.
    End(Element),
    /// The last four bytes during a search.
    Window(u32),
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
enum Step {
    /// Reading an element header.
    #[default]
    Header,
    /// Collecting a payload, or its first `want` bytes, in `payload`.
    Collect { element: Element, want: usize },
    /// Skipping the rest of a payload.
    Skip { element: Element },
    /// Searching for an id.
    Resync { window: u32 },
    /// Ignoring the rest of the stream.
    Done,
}

/// Incremental reader of a stream of elements.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct ElementReader {
    pub(super) cursor: StreamCursor,
    step: Step,
    /// Received part of the next element header.
    header: [u8; MAX_HEADER],
    header_len: usize,
    /// Received part of the payload that is being collected, or the payload collected last. Reused for every block.
    pub(super) payload: Vec<u8>,
}

impl ElementReader {
    /// Consumes bytes up to the next event; `None` if it needs more bytes.
    pub(super) fn next(&mut self, bytes: &mut &[u8]) -> Option<Event> {
        match self.step {
            Step::Header => {
                let byte = self.cursor.take_byte(bytes)?;
                self.header[self.header_len] = byte;
                self.header_len += 1;
                let start = self.pos() - self.header_len as u64;
                let parsed = vint::header(&self.header[..self.header_len]);
                if parsed != Parsed::Incomplete {
                    self.header_len = 0;
                }
                Some(match parsed {
                    Parsed::Incomplete => Event::PartialHeader,
                    Parsed::Malformed => Event::Malformed(start),
                    Parsed::Item(header, _) => Event::Header(header, start),
                })
            }
            Step::Collect { element, want } => {
                let left = want.saturating_sub(self.payload.len());
                let part = self.cursor.take_until(bytes, self.pos() + left as u64);
                self.payload.extend_from_slice(part);
                (self.payload.len() >= want).then(|| {
                    self.step = Step::Skip { element };
                    Event::Payload(element)
                })
            }
            Step::Skip { element } => {
                self.cursor.take_until(bytes, element.end);
                (self.pos() >= element.end).then(|| {
                    self.step = Step::Header;
                    Event::End(element)
                })
            }
            Step::Resync { window } => {
                let byte = self.cursor.take_byte(bytes)?;
                let window = window << 8 | u32::from(byte);
                self.step = Step::Resync { window };
                Some(Event::Window(window))
            }
            Step::Done => {
                self.cursor.advance(std::mem::take(bytes).len() as u64);
                None
            }
        }
    }

    pub(super) fn skippable(&self) -> u64 {
        match self.step {
            Step::Skip { element } => element.end - self.pos(),
            Step::Done => u64::MAX - self.pos(),
            Step::Header | Step::Collect { .. } | Step::Resync { .. } => 0,
        }
    }

    pub(super) fn pos(&self) -> u64 {
        self.cursor.pos
    }

    /// Shortens a payload `id` that is being collected to `limit` bytes. Any other payload stays; one that has been
    /// used is freed.
    pub(super) fn shorten(&mut self, id: u32, limit: usize) {
        match &mut self.step {
            Step::Collect { element, want } if element.id == id => *want = limit.min(*want),
            Step::Collect { .. } => {}
            _ => self.payload = Vec::new(),
        }
    }

    /// Whether an element header begins here.
    pub(super) fn is_at_header(&self) -> bool {
        matches!(self.step, Step::Header) && self.header_len == 0
    }

    /// Whether no element is incomplete here.
    pub(super) fn is_at_boundary(&self) -> bool {
        matches!(self.step, Step::Header | Step::Done) && self.header_len == 0
    }

    /// Stream offset of the element that is incomplete here.
    pub(super) fn torn_from(&self) -> Option<u64> {
        match self.step {
            Step::Header => (self.header_len > 0).then(|| self.pos() - self.header_len as u64),
            Step::Collect { element, .. } | Step::Skip { element } => Some(element.start),
            Step::Resync { .. } | Step::Done => None,
        }
    }

    /// Continues with the children of the element whose payload begins here.
    pub(super) fn enter(&mut self) {
        self.step = Step::Header;
    }

    /// Skips the payload that begins here; its size must be known.
    pub(super) fn pass(&mut self, header: &Header, start: u64) {
        let element = self.element(header, start);
        self.step = Step::Skip { element };
    }

    /// Collects at most `limit` bytes of the payload that begins here; its size must be known.
    pub(super) fn collect(&mut self, header: &Header, start: u64, limit: u64) {
        let element = self.element(header, start);
        self.payload.clear();
        let want = usize::try_from(limit.min(element.size())).unwrap_or(0);
        self.step = Step::Collect { element, want };
    }

    fn element(&self, header: &Header, start: u64) -> Element {
        let size = header.size.unwrap_or(0);
        Element {
            id: header.id,
            start,
            payload: self.pos(),
            end: self.pos().saturating_add(size),
        }
    }

    /// Skips the rest of an enclosing element.
    pub(super) fn leave(&mut self, element: Element) {
        self.header_len = 0;
        self.step = Step::Skip { element };
    }

    /// Starts a search: an event follows each byte.
    pub(super) fn resync(&mut self) {
        self.header_len = 0;
        self.step = Step::Resync { window: 0 };
    }

    /// Ends a search: the last four bytes are the id of an element.
    pub(super) fn found(&mut self, id: u32) {
        let id = id.to_be_bytes();
        self.header[..id.len()].copy_from_slice(&id);
        self.header_len = id.len();
        self.step = Step::Header;
    }

    /// Ignores the rest of the stream.
    pub(super) fn stop(&mut self) {
        self.step = Step::Done;
    }
}
