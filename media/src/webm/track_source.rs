//! Tracks with the configurations of their codecs, for writing them into another container.

use super::tracks::{LIMIT, entries, track};
use crate::ebml::{
    ids,
    read::{Children, uint},
};
use crate::track::Track;

/// A track and the configuration of its codec.
#[derive(Debug, Clone)]
pub(crate) struct TrackSource {
    pub(crate) track: Track,
    /// `CodecPrivate`; empty if there is none.
    pub(crate) private: Vec<u8>,
    /// Time by which frames are shown earlier than their timestamps, in nanoseconds.
    pub(crate) delay_ns: u64,
    /// Whether frames are compressed or encrypted by the container.
    pub(crate) is_encoded: bool,
}

impl TrackSource {
    /// Parses the payload of Tracks.
    pub(super) fn parse(payload: &[u8]) -> Vec<Self> {
        let sources = entries(payload).filter_map(source);
        sources.take(LIMIT).collect()
    }
}

fn source(entry: &[u8]) -> Option<TrackSource> {
    let mut source = TrackSource {
        track: track(entry)?,
        private: Vec::new(),
        delay_ns: 0,
        is_encoded: false,
    };
    for (id, value) in Children::of(entry) {
        match id {
            ids::CODEC_PRIVATE => source.private = value.to_vec(),
            ids::CODEC_DELAY => source.delay_ns = uint(value).unwrap_or(0),
            ids::CONTENT_ENCODINGS => source.is_encoded = true,
            _ => {}
        }
    }
    Some(source)
}
