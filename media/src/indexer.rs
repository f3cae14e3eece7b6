//! The indexer: consumes a stream, and produces patches and an index.

use serde::{Deserialize, Serialize};

use crate::activity::Activity;
use crate::container::{Container, Signature};
use crate::error::Unplayable;
use crate::finish::Finish;
use crate::live::{self, EntryPoint};
use crate::options::Options;
use crate::patch::Patch;
use crate::report::Report;
use crate::snapshot::Snapshot;
use crate::track::Track;
use crate::{mp4, webm};

/// Incremental indexer of one stream.
///
/// # Order of calls
///
/// 1. Store bytes of the stream, then [`push`](Self::push) them, split at any point.
/// 2. Call [`poll_patch`](Self::poll_patch) until it returns `None`, and write the patches. Poll after every push: the
///    queue is bounded. A patch only changes stored bytes, so that it may be written immediately, later or never: after
///    a crash, scanning the stored stream produces it again.
/// 3. When the stream has ended, for whatever reason, call [`finish`](Self::finish).
///
/// To recover after a restart, push the stored bytes behind the head room, **patched or not**, to a new indexer.
/// [`skippable`](Self::skippable) bytes need not be read but can be [skipped](Self::skip), so that recovery is fast;
/// [`stored::read_next`](crate::stored::read_next) does this. Repair is recovery followed by `finish`.
///
/// No call fails, blocks or panics on any input, and the run time is linear. Memory stays below 2 MiB for WebM and
/// Matroska. For MP4 the sample tables take about 3 to 8 bytes a frame, up to eight million frames (a day at 60
/// frames/s, with audio) or an index of 32 MiB; beyond that they are dropped. A caller with many indexers sums up their
/// [`memory_bytes`](Self::memory_bytes) and can drop tables earlier with [`reduce_memory`](Self::reduce_memory).
#[derive(Debug, Serialize, Deserialize)]
pub struct Indexer {
    options: Options,
    state: State,
}

#[derive(Debug, Serialize, Deserialize)]
enum State {
    /// Waiting for the first bytes of the stream.
    Sniffing(Vec<u8>),
    WebM(Box<webm::Scanner>),
    Mp4(Box<mp4::Scanner>),
    /// In no known container; number of bytes received.
    Unrecognized(u64),
}

impl Default for Indexer {
    fn default() -> Self {
        Self::new()
    }
}

impl Indexer {
    /// Creates an indexer for a new stream, with default [`Options`].
    #[must_use]
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    /// Creates an indexer for a new stream.
    #[must_use]
    pub fn with(options: Options) -> Self {
        Self {
            options,
            state: State::Sniffing(Vec::with_capacity(Signature::SIZE)),
        }
    }

    /// Consumes the next bytes of the stream, split at any point.
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
            State::Unrecognized(received) => {
                *received = received.saturating_add(bytes.len() as u64)
            }
        }
    }

    /// Returns the next patch. Must be called once all pushed bytes are stored.
    pub fn poll_patch(&mut self) -> Option<Patch> {
        match &mut self.state {
            State::WebM(scanner) => scanner.poll_patch(),
            State::Mp4(scanner) => scanner.poll_patch(),
            State::Sniffing(_) | State::Unrecognized(_) => None,
        }
    }

    /// Returns the number of bytes pushed or skipped.
    #[must_use]
    pub fn received(&self) -> u64 {
        match &self.state {
            State::Sniffing(first) => first.len() as u64,
            State::WebM(scanner) => scanner.received(),
            State::Mp4(scanner) => scanner.received(),
            State::Unrecognized(received) => *received,
        }
    }

    /// Returns the container format, once the first bytes determine it.
    #[must_use]
    pub fn container(&self) -> Option<Container> {
        match &self.state {
            State::Sniffing(_) | State::Unrecognized(_) => None,
            State::WebM(scanner) => scanner.container(),
            State::Mp4(_) => Some(Container::Mp4),
        }
    }

    /// Returns the tracks, once their description is complete; empty before.
    #[must_use]
    pub fn tracks(&self) -> &[Track] {
        match &self.state {
            State::WebM(scanner) => scanner.tracks(),
            State::Mp4(scanner) => scanner.tracks(),
            State::Sniffing(_) | State::Unrecognized(_) => &[],
        }
    }

    /// Returns the duration in milliseconds: the end of the last complete frame.
    #[must_use]
    pub fn duration_ms(&self) -> u64 {
        match &self.state {
            State::WebM(scanner) => scanner.end_ns() / 1_000_000,
            State::Mp4(scanner) => scanner.end_ns() / 1_000_000,
            State::Sniffing(_) | State::Unrecognized(_) => 0,
        }
    }

    /// Returns the length of the immutable prefix of the stored file, head room included: leading bytes that
    /// [`finish`](Self::finish) keeps whatever follows. Never decreases; 0 while finishing could fail.
    ///
    /// With [`Options::patch_clusters`] off, once it is not 0 all patches lie in the head room or behind the prefix,
    /// so that the prefix may be handed to a storage that cannot overwrite. For an unfragmented MP4 it stays 0,
    /// because its index may prove broken at the end.
    #[must_use]
    pub fn immutable_prefix(&self) -> u64 {
        match &self.state {
            State::WebM(scanner) => scanner.immutable_prefix(),
            State::Mp4(scanner) => scanner.immutable_prefix(),
            State::Sniffing(_) | State::Unrecognized(_) => 0,
        }
    }

    /// Returns the end of the stored file up to which it can be played while it grows: the end of the last complete
    /// frame in WebM, of the last complete fragment in MP4. 0 without a frame. Bytes before it change only in the sizes
    /// of clusters.
    #[must_use]
    pub fn playable_end(&self) -> u64 {
        match &self.state {
            State::WebM(scanner) => scanner.playable_end(),
            State::Mp4(scanner) => scanner.playable_end(),
            State::Sniffing(_) | State::Unrecognized(_) => 0,
        }
    }

    /// Returns the end of the head in the stored file: everything in front of the first cluster or fragment. `None`
    /// until that begins, and for an unfragmented MP4.
    #[must_use]
    pub fn head_end(&self) -> Option<u64> {
        match &self.state {
            State::WebM(scanner) => scanner.head_end(),
            State::Mp4(scanner) => scanner.head_end(),
            State::Sniffing(_) | State::Unrecognized(_) => None,
        }
    }

    /// Returns the newest keyframe at which playback of the growing file can begin.
    #[must_use]
    pub fn newest_entry_point(&self) -> Option<EntryPoint> {
        match &self.state {
            State::WebM(scanner) => scanner.newest_entry_point(),
            State::Mp4(scanner) => scanner.newest_entry_point(),
            State::Sniffing(_) | State::Unrecognized(_) => None,
        }
    }

    /// Returns keyframes at which playback of the growing file can begin, in order and at most a few thousand, evenly
    /// spread over the recording.
    #[must_use]
    pub fn entry_points(&self) -> Vec<EntryPoint> {
        match &self.state {
            State::WebM(scanner) => scanner.entry_points(),
            State::Mp4(scanner) => scanner.entry_points(),
            State::Sniffing(_) | State::Unrecognized(_) => Vec::new(),
        }
    }

    /// Returns the present state. `None` while there is no frame, in an unfragmented MP4, which is read again quickly, and
    /// while a restart needs earlier bytes: in headers, at damage, and while timestamps are shifted.
    ///
    /// Valid once the bytes pushed so far and the patches polled so far are stored, and as long as they stay.
    #[must_use]
    pub fn snapshot(&self) -> Option<Snapshot> {
        let frame = match &self.state {
            State::WebM(scanner) => scanner.frame_before_restart(),
            State::Mp4(scanner) => scanner.frame_before_restart(),
            State::Sniffing(_) | State::Unrecognized(_) => None,
        };
        Snapshot::new(self, self.received(), frame?)
    }

    /// Creates the indexer of a [`Snapshot`]; `None` if it is of another version or of an indexer with other options.
    ///
    /// The caller has checked that the bytes are as they were written, and the witness. Push the stream from
    /// [`received`](Self::received) on.
    #[must_use]
    pub fn restore(snapshot: &[u8], options: Options) -> Option<Self> {
        Snapshot::read(snapshot).filter(|indexer: &Self| indexer.options == options)
    }

    /// Returns the media type with codecs, such as `video/webm; codecs="vp9,opus"`, once the tracks are known.
    #[must_use]
    pub fn media_type(&self) -> Option<String> {
        let container = self.container().filter(|_| !self.tracks().is_empty())?;
        Some(live::media_type(container, self.tracks()))
    }

    /// Reports what has been found so far. Takes time proportional to the number of frames for an unfragmented MP4,
    /// constant time otherwise.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut report = match &self.state {
            State::WebM(scanner) => scanner.report(),
            State::Mp4(scanner) => scanner.report(),
            State::Sniffing(_) | State::Unrecognized(_) => Report::default(),
        };
        report.container = self.container();
        report.tracks = self.tracks().to_vec();
        report
    }

    /// Returns the activity so far: how much the picture of the first video track changes over time, or how loud the
    /// first audio track is without one. Takes time proportional to the number of frames for an unfragmented MP4.
    #[must_use]
    pub fn activity(&self) -> Activity {
        match &self.state {
            State::WebM(scanner) => scanner.activity(),
            State::Mp4(scanner) => scanner.activity(),
            State::Sniffing(_) | State::Unrecognized(_) => Activity::default(),
        }
    }

    /// Returns how many of the next bytes may be passed to [`skip`](Self::skip) instead of being read and pushed.
    #[must_use]
    pub fn skippable(&self) -> u64 {
        match &self.state {
            State::Sniffing(_) => 0,
            State::WebM(scanner) => scanner.skippable(),
            State::Mp4(scanner) => scanner.skippable(),
            State::Unrecognized(received) => u64::MAX - received,
        }
    }

    /// Skips the next `n` bytes, which must exist in the stored stream.
    ///
    /// `n` should be at most [`skippable`](Self::skippable). Bytes beyond that are not skipped, as
    /// [`received`](Self::received) shows.
    pub fn skip(&mut self, n: u64) {
        match &mut self.state {
            State::Sniffing(_) => {}
            State::WebM(scanner) => scanner.skip(n),
            State::Mp4(scanner) => scanner.skip(n),
            State::Unrecognized(received) => *received = received.saturating_add(n),
        }
    }

    /// Returns the heap size: sample tables, boxes or elements being collected, and queued patches.
    ///
    /// A push adds at most twice the number of bytes pushed.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        match &self.state {
            State::Sniffing(_) | State::Unrecognized(_) => 0,
            State::WebM(scanner) => scanner.memory_bytes(),
            State::Mp4(scanner) => scanner.memory_bytes(),
        }
    }

    /// Returns an upper bound for the heap memory that [`finish`](Self::finish) allocates in addition to
    /// [`memory_bytes`](Self::memory_bytes).
    #[must_use]
    pub fn finish_bytes(&self) -> u64 {
        match &self.state {
            State::Sniffing(_) | State::Unrecognized(_) => 0,
            State::WebM(scanner) => scanner.finish_bytes(),
            State::Mp4(scanner) => scanner.finish_bytes(),
        }
    }

    /// Frees most of the memory and uses at most about 256 KiB from now on.
    ///
    /// A fragmented MP4 then stays fragmented when it is finished, with its duration in the head. If that would not
    /// play, or for another MP4 with a large `moov`, [`needs_rescan`](Self::needs_rescan) returns `true`. The index of
    /// a WebM or Matroska recording becomes coarser.
    pub fn reduce_memory(&mut self) {
        match &mut self.state {
            State::Sniffing(_) | State::Unrecognized(_) => {}
            State::WebM(scanner) => scanner.reduce_memory(),
            State::Mp4(scanner) => scanner.reduce_memory(),
        }
    }

    /// Whether the recording cannot be finished because its description was discarded to save memory. The stored
    /// stream must then be pushed to a new indexer with a larger [`Options::description_limit`].
    #[must_use]
    pub fn needs_rescan(&self) -> bool {
        match &self.state {
            State::Sniffing(_) | State::Unrecognized(_) | State::WebM(_) => false,
            State::Mp4(scanner) => scanner.needs_rescan(),
        }
    }

    /// Marks the end of the stream, so that [`report`](Self::report) covers the complete frames of a torn last
    /// fragment, as [`finish`](Self::finish) will.
    pub fn end(&mut self) {
        if let State::Mp4(scanner) = &mut self.state {
            scanner.end();
        }
    }

    /// Ends the stream and returns the changes that make it a seekable file.
    ///
    /// # Errors
    ///
    /// [`Unplayable`] with the reason if there is nothing to play.
    pub fn finish(self) -> Result<Finish, Unplayable> {
        match self.state {
            State::Sniffing(first) if first.is_empty() => Err(Unplayable::Empty),
            State::Sniffing(_) | State::Unrecognized(_) => Err(Unplayable::UnknownContainer),
            State::Mp4(scanner) => scanner.finish(),
            State::WebM(scanner) => scanner.finish(),
        }
    }
}

/// Creates the scanner for a stream with these first bytes; `None` while more are needed.
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
        Signature::Unknown => State::Unrecognized(first.len() as u64),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], container: Option<Container>, error: Unplayable) {
        let mut indexer = Indexer::new();
        for byte in bytes {
            indexer.push(&[*byte]);
        }
        assert_eq!(indexer.received(), bytes.len() as u64);
        assert_eq!(indexer.container(), container);
        assert_eq!(indexer.finish(), Err(error));
    }

    #[test]
    fn streams_without_a_recording_are_unplayable() {
        check(b"", None, Unplayable::Empty);
        check(b"Hello", None, Unplayable::UnknownContainer);
        check(b"Hello, world", None, Unplayable::UnknownContainer);
        let ebml = b"\x1A\x45\xDF\xA3\x80\xA3\x80";
        check(&ebml[..4], None, Unplayable::UnknownContainer);
        check(&ebml[..5], Some(Container::Matroska), Unplayable::NoTracks);
        check(ebml, None, Unplayable::UnknownContainer);
        let mp4 = b"\0\0\0\x18ftypisom";
        check(mp4, Some(Container::Mp4), Unplayable::NoTracks);
    }
}
