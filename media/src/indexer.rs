//! The one entrance: bytes in, patches and an index out.

use crate::container::{Container, Finish, Patch, Signature, Track};
use crate::error::Unplayable;
use crate::report::Report;
use crate::{mp4, webm};

/// How the stored file can be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Whether bytes behind the front matter may be patched (default: yes).
    ///
    /// Without it, as with object storage, every patch lies before the first cluster, or behind what is
    /// [`settled`](Indexer::settled), which stands still from the first of these on. Then clusters keep an
    /// unknown size, and so does the Segment: a little less tidy, and just as seekable. An MP4 whose fragments have
    /// absolute offsets then does not play before it is finished.
    pub patch_clusters: bool,
    /// Bytes of the whole stream, where nothing more will come: for a repair (default: `None`).
    ///
    /// Then an element or box that reaches beyond the end, or that no recorder writes, is damage and nothing to
    /// wait for: reading goes on at the next cluster or fragment.
    pub stream_length: Option<u64>,
    /// Bytes of the largest `moov` of an MP4 that is kept in memory while the stream grows (default: 16 MiB). With
    /// `stream_length` it is 256 MiB, whatever this says.
    ///
    /// A larger one is read when the stream is scanned again; see [`Indexer::needs_rescan`].
    pub description_limit: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            patch_clusters: true,
            stream_length: None,
            description_limit: 16 << 20,
        }
    }
}

impl Options {
    /// Sets [`patch_clusters`](Self::patch_clusters).
    #[must_use]
    pub fn patch_clusters(mut self, patch_clusters: bool) -> Self {
        self.patch_clusters = patch_clusters;
        self
    }

    /// Sets [`description_limit`](Self::description_limit).
    #[must_use]
    pub fn description_limit(mut self, bytes: u64) -> Self {
        self.description_limit = bytes;
        self
    }

    /// Sets [`stream_length`](Self::stream_length).
    #[must_use]
    pub fn stream_length(mut self, bytes: u64) -> Self {
        self.stream_length = Some(bytes);
        self
    }
}

/// Indexes one recording while its bytes pass.
///
/// # Order of calls
///
/// 1. Store some bytes of the stream, then [`push`](Self::push) them. Splits carry no meaning.
/// 2. Fetch patches with [`poll_patch`](Self::poll_patch) until there is none, and write them. Poll after every
///    push: only a bounded number waits. A patch changes stored bytes only, so it may be written at once, late,
///    or never: a process that dies before it writes one scans the stream again and gets it again.
/// 3. When the stream has ended, for whatever reason, [`finish`](Self::finish).
///
/// After a restart the state is regained by pushing the stored bytes behind the head room, **patched or not**,
/// to a new indexer. That is quick: as long as [`skippable`](Self::skippable) is not 0, that many bytes need not
/// be read at all but are passed over with [`skip`](Self::skip). Repair is nothing but this, then `finish`.
///
/// No call fails, blocks or panics, whatever the bytes, and time is linear. Memory stays below 2 MiB for WebM and
/// Matroska; for MP4, whose index names every frame, it grows by some 3 to 8 bytes for each, up to eight million
/// frames (a day at 60 a second, with sound) or an index of 32 MiB. Then the tables are dropped. A caller that has
/// many indexers asks each for its [`memory_bytes`](Self::memory_bytes) and drops them earlier with
/// [`reduce_memory`](Self::reduce_memory).
#[derive(Debug)]
pub struct Indexer {
    options: Options,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The container is not known yet.
    Sniffing(Vec<u8>),
    WebM(Box<webm::Scanner>),
    Mp4(Box<mp4::Scanner>),
    /// No container: how many bytes passed.
    Foreign(u64),
}

impl Default for Indexer {
    fn default() -> Self {
        Self::new()
    }
}

impl Indexer {
    /// An indexer for a new stream, with default [`Options`].
    #[must_use]
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    /// An indexer for a new stream.
    #[must_use]
    pub fn with(options: Options) -> Self {
        Self {
            options,
            state: State::Sniffing(Vec::with_capacity(Signature::SIZE)),
        }
    }

    /// Takes the next bytes of the stream, in any split.
    pub fn push(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Sniffing(first) => {
                let (head, rest) = bytes.split_at(bytes.len().min(Signature::SIZE - first.len()));
                first.extend_from_slice(head);
                if let Some(state) = recognise(first, self.options) {
                    self.state = state;
                    self.push(rest);
                }
            }
            State::WebM(scanner) => scanner.push(bytes),
            State::Mp4(scanner) => scanner.push(bytes),
            State::Foreign(received) => *received = received.saturating_add(bytes.len() as u64),
        }
    }

    /// The next bytes to write over stored ones, once everything pushed is stored.
    pub fn poll_patch(&mut self) -> Option<Patch> {
        match &mut self.state {
            State::WebM(scanner) => scanner.poll_patch(),
            State::Mp4(scanner) => scanner.poll_patch(),
            State::Sniffing(_) | State::Foreign(_) => None,
        }
    }

    /// Bytes of the stream pushed or skipped so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        match &self.state {
            State::Sniffing(first) => first.len() as u64,
            State::WebM(scanner) => scanner.received(),
            State::Mp4(scanner) => scanner.received(),
            State::Foreign(received) => *received,
        }
    }

    /// The container, once its first bytes have said it.
    #[must_use]
    pub fn container(&self) -> Option<Container> {
        match &self.state {
            State::Sniffing(_) | State::Foreign(_) => None,
            State::WebM(scanner) => scanner.container(),
            State::Mp4(_) => Some(Container::Mp4),
        }
    }

    /// Whether this is certainly no container this crate knows. It never becomes `false` again.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        match &self.state {
            State::Sniffing(_) | State::Mp4(_) => false,
            State::WebM(scanner) => scanner.is_foreign(),
            State::Foreign(_) => true,
        }
    }

    /// The tracks, once their description is complete; empty before.
    #[must_use]
    pub fn tracks(&self) -> &[Track] {
        match &self.state {
            State::WebM(scanner) => scanner.tracks(),
            State::Mp4(scanner) => scanner.tracks(),
            State::Sniffing(_) | State::Foreign(_) => &[],
        }
    }

    /// Milliseconds of the recording that have arrived: the end of the last complete frame.
    #[must_use]
    pub fn duration_ms(&self) -> u64 {
        match &self.state {
            State::WebM(scanner) => scanner.end_ns() / 1_000_000,
            State::Mp4(scanner) => scanner.end_ns() / 1_000_000,
            State::Sniffing(_) | State::Foreign(_) => 0,
        }
    }

    /// Length of the stored file, head room included, that [`finish`](Self::finish) keeps for certain, whatever
    /// comes next. It never decreases, and is 0 as long as finishing could fail.
    ///
    /// With [`Options::patch_clusters`] switched off, all patches that come once it is not 0 lie in the head
    /// room or behind it: what is settled may be handed to a storage that cannot overwrite. Of an MP4 that is not fragmented nothing
    /// is certain before the end, because its index may turn out to be broken.
    #[must_use]
    pub fn settled(&self) -> u64 {
        match &self.state {
            State::WebM(scanner) => scanner.settled(),
            State::Mp4(scanner) => scanner.settled(),
            State::Sniffing(_) | State::Foreign(_) => 0,
        }
    }

    /// What has been found so far. Costs as much as there are frames in the index of an ordinary MP4, else nothing.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut report = match &self.state {
            State::WebM(scanner) => scanner.report(),
            State::Mp4(scanner) => scanner.report(),
            State::Sniffing(_) | State::Foreign(_) => Report::default(),
        };
        report.container = self.container();
        report.tracks = self.tracks().to_vec();
        report
    }

    /// How many of the next bytes are of no interest, so that [`skip`](Self::skip) may stand for reading them.
    #[must_use]
    pub fn skippable(&self) -> u64 {
        match &self.state {
            State::Sniffing(_) => 0,
            State::WebM(scanner) => scanner.skippable(),
            State::Mp4(scanner) => scanner.skippable(),
            State::Foreign(received) => u64::MAX - received,
        }
    }

    /// Passes over the next `n` bytes, which must exist in the stored stream, without having read them.
    ///
    /// `n` is at most [`skippable`](Self::skippable); what is beyond that is not skipped, as
    /// [`received`](Self::received) shows.
    pub fn skip(&mut self, n: u64) {
        match &mut self.state {
            State::Sniffing(_) => {}
            State::WebM(scanner) => scanner.skip(n),
            State::Mp4(scanner) => scanner.skip(n),
            State::Foreign(received) => *received = received.saturating_add(n),
        }
    }

    /// Bytes on the heap: sample tables, boxes or elements being collected, and patches that wait.
    ///
    /// A push adds at most twice the bytes pushed.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        match &self.state {
            State::Sniffing(_) | State::Foreign(_) => 0,
            State::WebM(scanner) => scanner.memory_bytes(),
            State::Mp4(scanner) => scanner.memory_bytes(),
        }
    }

    /// Bytes that [`finish`](Self::finish) allocates at most, beside [`memory_bytes`](Self::memory_bytes).
    #[must_use]
    pub fn finish_bytes(&self) -> u64 {
        match &self.state {
            State::Sniffing(_) | State::Foreign(_) => 0,
            State::WebM(scanner) => scanner.finish_bytes(),
            State::Mp4(scanner) => scanner.finish_bytes(),
        }
    }

    /// Frees most of the memory, for good: as little as possible is kept from now on, at most some 256 KiB.
    ///
    /// A fragmented MP4 stays fragmented when it is finished, with its duration in our head. Where that does not play,
    /// and for other MP4s with a large description, [`needs_rescan`](Self::needs_rescan) says so. The index of a
    /// WebM or Matroska recording becomes coarser.
    pub fn reduce_memory(&mut self) {
        match &mut self.state {
            State::Sniffing(_) | State::Foreign(_) => {}
            State::WebM(scanner) => scanner.reduce_memory(),
            State::Mp4(scanner) => scanner.reduce_memory(),
        }
    }

    /// Whether memory was too short for an index without which the recording cannot be finished. Then the stored
    /// stream is to be pushed to a new indexer, with a larger [`Options::description_limit`], and that one
    /// finished.
    #[must_use]
    pub fn needs_rescan(&self) -> bool {
        match &self.state {
            State::Sniffing(_) | State::Foreign(_) | State::WebM(_) => false,
            State::Mp4(scanner) => scanner.needs_rescan(),
        }
    }

    /// Says that nothing more will come, so that the [`report`](Self::report) covers what [`finish`](Self::finish)
    /// will keep: the complete frames of a torn last fragment count from now on.
    pub fn end(&mut self) {
        if let State::Mp4(scanner) = &mut self.state {
            scanner.end();
        }
    }

    /// Ends the recording where the stream has arrived.
    ///
    /// # Errors
    ///
    /// [`Unplayable`] when there is nothing to play, with the reason.
    pub fn finish(self) -> Result<Finish, Unplayable> {
        match self.state {
            State::Sniffing(first) if first.is_empty() => Err(Unplayable::Empty),
            State::Sniffing(_) | State::Foreign(_) => Err(Unplayable::UnknownContainer),
            State::Mp4(scanner) => scanner.finish(),
            State::WebM(scanner) => scanner.finish(),
        }
    }
}

/// Scanner for a stream with these first bytes; `None` while more are needed.
fn recognise(first: &[u8], options: Options) -> Option<State> {
    Some(match Signature::of(first)? {
        Signature::Ebml => {
            let mut scanner = webm::Scanner::new(options);
            scanner.push(first);
            State::WebM(Box::new(scanner))
        }
        Signature::Mp4 => {
            let mut scanner = mp4::Scanner::new(options);
            scanner.push(first);
            State::Mp4(Box::new(scanner))
        }
        Signature::Unknown => State::Foreign(first.len() as u64),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], container: Option<Container>, foreign: bool, error: Unplayable) {
        let mut indexer = Indexer::new();
        for byte in bytes {
            indexer.push(&[*byte]);
        }
        assert_eq!(indexer.received(), bytes.len() as u64);
        assert_eq!(
            (indexer.container(), indexer.is_foreign()),
            (container, foreign)
        );
        assert_eq!(indexer.finish(), Err(error));
    }

    #[test]
    fn what_is_not_a_recording() {
        check(b"", None, false, Unplayable::Empty);
        check(b"Hello", None, false, Unplayable::UnknownContainer);
        check(b"Hello, world", None, true, Unplayable::UnknownContainer);
        check(
            b"\x1A\x45\xDF\xA3",
            None,
            false,
            Unplayable::UnknownContainer,
        );
        check(
            b"\x1A\x45\xDF\xA3\x80",
            Some(Container::Matroska),
            false,
            Unplayable::NoTracks,
        );
        check(
            b"\x1A\x45\xDF\xA3\x80\xA3\x80",
            None,
            true,
            Unplayable::UnknownContainer,
        );
        check(
            b"\0\0\0\x18ftypisom",
            Some(Container::Mp4),
            false,
            Unplayable::NoTracks,
        );
    }
}
