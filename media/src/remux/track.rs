//! A track that is written.

use super::audio_queue::AudioQueue;
use super::codec::{Codec, SampleEntry, readable};
use super::no_remux::NoRemux;
use super::time::units;
use super::video_queue::{TIMESCALE, VideoQueue};
use crate::mp4::{FragmentSample, Media, TrackDescription};
use crate::webm::{Block, TrackSource};

/// A track that is written.
#[derive(Debug)]
pub(super) struct RemuxTrack {
    pub(super) id: u32,
    source: TrackSource,
    codec: Codec,
    /// Known from the start, or from the first keyframe.
    entry: Option<SampleEntry>,
    /// Whether a frame was queued. Decoding starts at a keyframe.
    is_started: bool,
    queue: Queue,
}

#[derive(Debug)]
enum Queue {
    Video(VideoQueue),
    Audio(AudioQueue),
}

/// Samples of a track for a fragment.
#[derive(Debug)]
pub(super) struct Flushed {
    /// Decoding time of the first sample.
    pub(super) time: u64,
    /// Presentation time of the first sample.
    pub(super) shown: u64,
    pub(super) samples: Vec<FragmentSample>,
    pub(super) data: Vec<u8>,
}

impl RemuxTrack {
    /// Creates a track; `None` if it is neither video nor audio.
    pub(super) fn new(id: u32, source: TrackSource) -> Result<Option<Self>, NoRemux> {
        let Some(mut codec) = Codec::of(&source)? else {
            return Ok(None);
        };
        let queue = match codec.media(&source) {
            Media::Video { .. } => Queue::Video(VideoQueue::new()),
            Media::Audio { sample_rate_hz, .. } => Queue::Audio(AudioQueue::new(sample_rate_hz)),
        };
        let entry = codec.entry(&source, &[]);
        Ok(Some(Self {
            id,
            source,
            codec,
            entry,
            is_started: false,
            queue,
        }))
    }

    pub(super) fn number(&self) -> u64 {
        self.source.track.number
    }

    pub(super) fn is_video(&self) -> bool {
        matches!(self.queue, Queue::Video(_))
    }

    /// Whether the configuration of the codec is known.
    pub(super) fn is_described(&self) -> bool {
        self.entry.is_some()
    }

    /// Whether a frame can be queued: decoding must not start before the first keyframe, which may have the
    /// configuration of the codec.
    pub(super) fn prepare(&mut self, block: &Block) -> Result<bool, NoRemux> {
        if !self.is_started && self.is_video() {
            if !block.keyframe {
                return Ok(false);
            }
            if self.entry.is_none() {
                let first = block.frames().next().unwrap_or_default();
                self.entry = self.codec.entry(&self.source, first);
                if self.entry.is_none() {
                    return Err(self.invalid());
                }
            }
        }
        self.is_started = true;
        Ok(true)
    }

    pub(super) fn invalid(&self) -> NoRemux {
        NoRemux::Configuration(readable(&self.source.track.codec))
    }

    pub(super) fn push(&mut self, ns: i64, block: &Block) {
        for (index, frame) in block.frames().enumerate() {
            match &mut self.queue {
                Queue::Video(queue) => {
                    queue.push(ns, block.keyframe, &self.codec.sample(frame));
                }
                Queue::Audio(queue) => {
                    let samples = self.codec.samples(frame);
                    let ns = (index == 0).then_some(ns);
                    queue.push(ns, samples, block.discard_ns, frame);
                }
            }
        }
    }

    /// Whether a fragment may begin with a frame at this time.
    pub(super) fn is_newest(&self, ns: i64) -> bool {
        match &self.queue {
            Queue::Video(queue) => queue.is_newest(ns),
            Queue::Audio(_) => true,
        }
    }

    /// Returns the queued samples. `next_ns`: time of the next frame, or the end of the recording, if known.
    pub(super) fn flush(&mut self, next_ns: Option<i64>) -> Option<Flushed> {
        match &mut self.queue {
            Queue::Video(queue) => queue.flush(next_ns),
            Queue::Audio(queue) => queue.flush(),
        }
    }

    /// Describes the track; `None` if the configuration of its codec is unknown.
    pub(super) fn description(&self) -> Option<TrackDescription<'_>> {
        let entry = self.entry.as_ref()?;
        let media = self.codec.media(&self.source);
        let (timescale, media_time) = match (&self.queue, media) {
            (Queue::Audio(_), Media::Audio { sample_rate_hz, .. }) => {
                let delay_ns = i64::try_from(self.source.delay_ns).unwrap_or(0);
                (sample_rate_hz, units(delay_ns, sample_rate_hz))
            }
            (Queue::Video(queue), _) => (TIMESCALE, queue.delay()),
            (Queue::Audio(_), Media::Video { .. }) => return None,
        };
        Some(TrackDescription {
            id: self.id,
            timescale,
            media,
            entry: entry.kind,
            config: &entry.boxes,
            media_time,
            language: self.source.track.language.as_deref(),
        })
    }
}
