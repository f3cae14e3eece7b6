//! Tracks of a recording.

use serde::{Deserialize, Serialize};

/// Media type of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TrackKind {
    /// A video track.
    Video,
    /// An audio track.
    Audio,
    /// Any other track: subtitles, buttons, metadata.
    Other,
}

/// Description of a track.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Track {
    /// Number by which blocks or fragments refer to the track.
    pub number: u64,
    /// Media type.
    pub kind: TrackKind,
    /// Codec identifier of the container, such as `V_VP9` or `avc1`.
    pub codec: String,
    /// Duration of a frame in nanoseconds, if the container declares one.
    pub default_duration_ns: Option<u64>,
    /// Width of the video in pixels; 0 if unknown or not video.
    pub width: u32,
    /// Height of the video in pixels; 0 if unknown or not video.
    pub height: u32,
    /// Audio sample rate in Hz; 0 if unknown or not audio.
    pub sample_rate_hz: u32,
    /// Number of audio channels; 0 if unknown or not audio.
    pub channels: u32,
    /// Language in the notation of the container: `eng`, or a BCP 47 tag such as `de-AT`. `None` if undetermined.
    pub language: Option<String>,
}

impl Track {
    /// Creates a track of which only number, media type and codec are known.
    pub(crate) fn new(number: u64, kind: TrackKind, codec: String) -> Self {
        Self {
            number,
            kind,
            codec,
            default_duration_ns: None,
            width: 0,
            height: 0,
            sample_rate_hz: 0,
            channels: 0,
            language: None,
        }
    }
}
