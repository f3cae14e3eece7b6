//! The remuxer: clusters in, fragments out.

use super::fragment_index::FragmentIndex;
use super::no_remux::NoRemux;
use super::time::milliseconds;
use super::track::{Flushed, RemuxTrack};
use crate::mp4::{SyncSample, TrackFragment, init_segment, movie_fragment};
use crate::webm::{Block, FrameReader, ReadBlock, TrackSource};

const FTYP: &[u8] = b"isom\0\0\x02\0isomiso6mp41";
/// A keyframe begins a fragment after this time.
const SHORT_NS: i64 = 2_000_000_000;
/// Any frame begins a fragment after this time or these bytes, unless B-frames are missing.
const LONG_NS: i64 = 5_000_000_000;
const LONG_BYTES: usize = 4 << 20;
/// Any frame begins a fragment after these bytes.
const LIMIT_BYTES: usize = 8 << 20;
/// Memory for a sample beside its bytes.
const SAMPLE_BYTES: usize = 64;

/// Writes clusters of WebM or Matroska as a fragmented MP4.
#[derive(Debug)]
pub(crate) struct Remuxer {
    reader: FrameReader,
    scale_ns: u64,
    /// End of the recording.
    end_ns: u64,
    tracks: Vec<RemuxTrack>,
    /// Position in [`tracks`](Self::tracks) of the track whose keyframes begin fragments.
    lead: usize,
    /// Time of the first queued frame.
    start_ns: Option<i64>,
    queued_bytes: usize,
    sequence: u32,
    /// Length of the output.
    position: u64,
    index: FragmentIndex,
    failure: Option<NoRemux>,
}

impl Remuxer {
    /// Creates a remuxer for clusters with ticks of `scale_ns` that end at `end_ns`.
    pub(crate) fn new(
        sources: Vec<TrackSource>,
        scale_ns: u64,
        end_ns: u64,
    ) -> Result<Self, NoRemux> {
        let mut tracks: Vec<RemuxTrack> = Vec::new();
        for source in sources {
            let id = u32::try_from(tracks.len()).unwrap_or(0) + 1;
            let is_known = tracks.iter().any(|it| it.number() == source.track.number);
            let track = RemuxTrack::new(id, source)?;
            tracks.extend(track.filter(|_| !is_known));
        }
        if tracks.is_empty() {
            return Err(NoRemux::NoFrames);
        }
        let lead = tracks.iter().position(RemuxTrack::is_video).unwrap_or(0);
        Ok(Self {
            reader: FrameReader::default(),
            scale_ns,
            end_ns,
            tracks,
            lead,
            start_ns: None,
            queued_bytes: 0,
            sequence: 0,
            position: 0,
            index: FragmentIndex::default(),
            failure: None,
        })
    }

    pub(crate) fn failure(&self) -> Option<&NoRemux> {
        self.failure.as_ref()
    }

    /// Takes the next bytes of the clusters and returns the next bytes of the MP4.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        while self.failure.is_none() {
            match self.reader.next(&mut bytes) {
                ReadBlock::Incomplete => break,
                ReadBlock::TooLarge => self.failure = Some(NoRemux::FrameTooLarge),
                ReadBlock::Block(block) => {
                    if let Err(failure) = self.block(&block, &mut out) {
                        self.failure = Some(failure);
                    }
                }
            }
        }
        out
    }

    /// Returns the last bytes of the MP4.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.failure.is_some() {
            return out;
        }
        let end_ns = i64::try_from(self.end_ns).ok();
        self.flush(|_| end_ns, &mut out);
        if self.position == 0 {
            self.failure = Some(NoRemux::NoFrames);
            return out;
        }
        out.extend(self.index.to_bytes(self.tracks[self.lead].id));
        out
    }

    fn block(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<(), NoRemux> {
        let mut tracks = self.tracks.iter_mut();
        let Some(index) = tracks.position(|track| track.number() == block.track) else {
            return Ok(());
        };
        let ns = i128::from(block.ticks) * i128::from(self.scale_ns);
        let ns = i64::try_from(ns).unwrap_or(i64::MAX).max(0);
        let was_described = self.tracks[index].is_described();
        if !self.tracks[index].prepare(block)? {
            return Ok(());
        }
        if !was_described && self.position > 0 {
            // The tracks of an MP4 are listed at its start.
            return Err(self.tracks[index].invalid());
        }
        if self.is_complete_before(index, ns, block) {
            self.flush(|other| (other == index).then_some(ns), out);
        }
        let frames = block.frames().map(|frame| frame.len() + SAMPLE_BYTES);
        self.queued_bytes += frames.sum::<usize>();
        self.start_ns.get_or_insert(ns);
        self.tracks[index].push(ns, block);
        Ok(())
    }

    /// Whether the fragment is complete in front of a block of the track at `index`.
    fn is_complete_before(&self, index: usize, ns: i64, block: &Block) -> bool {
        let Some(start_ns) = self.start_ns else {
            return false;
        };
        if self.queued_bytes >= LIMIT_BYTES {
            return true;
        }
        // Before the first fragment, the configurations of all codecs must be known.
        let is_described = self.position > 0 || self.tracks.iter().all(RemuxTrack::is_described);
        if !is_described || !self.tracks[index].is_newest(ns) {
            return false;
        }
        let elapsed = ns.saturating_sub(start_ns);
        let is_long = elapsed >= LONG_NS || self.queued_bytes >= LONG_BYTES;
        match index == self.lead {
            true => is_long || block.keyframe && elapsed >= SHORT_NS,
            // The lead may be silent.
            false => elapsed >= 2 * LONG_NS,
        }
    }

    /// Writes the queued samples as a fragment. `next_ns` returns the time of the next frame of the track at an index, if
    /// known.
    fn flush(&mut self, next_ns: impl Fn(usize) -> Option<i64>, out: &mut Vec<u8>) {
        (self.start_ns, self.queued_bytes) = (None, 0);
        let tracks = self.tracks.iter_mut().enumerate();
        let flushed: Vec<(usize, Flushed)> = tracks
            .filter_map(|(index, track)| Some((index, track.flush(next_ns(index))?)))
            .collect();
        if flushed.is_empty() {
            return;
        }
        if self.position == 0 {
            let described = self.tracks.iter().filter_map(RemuxTrack::description);
            let described: Vec<_> = described.collect();
            let duration_ms = milliseconds(self.end_ns);
            self.append(&init_segment(FTYP, &described, Some(duration_ms)), out);
        }
        let lead = flushed.iter().position(|(index, _)| *index == self.lead);
        if let Some((traf, (_, lead))) = lead.map(|at| (at + 1, &flushed[at]))
            && lead.samples.first().is_some_and(|sample| sample.keyframe)
        {
            self.index.add(SyncSample {
                time: lead.shown,
                moof: self.position,
                traf: u8::try_from(traf).unwrap_or(u8::MAX),
            });
        }
        let fragments = flushed.iter().map(|(index, flushed)| TrackFragment {
            track_id: self.tracks[*index].id,
            time: flushed.time,
            samples: &flushed.samples,
            data: &flushed.data,
        });
        self.sequence = self.sequence.wrapping_add(1);
        let fragment = movie_fragment(self.sequence, &fragments.collect::<Vec<_>>());
        self.append(&fragment, out);
    }

    fn append(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.position += bytes.len() as u64;
        out.extend_from_slice(bytes);
    }
}
