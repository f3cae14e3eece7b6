//! Codecs that MP4 and its players have.

use std::borrow::Cow;

use super::aac::{self, AudioConfig};
use super::avc::{self, ParameterSets};
use super::no_remux::NoRemux;
use super::opus::{self, OpusHead};
use super::{av1, vp9};
use crate::mp4::{Kind, Media, write, write_full, write_full_with};
use crate::track::TrackKind;
use crate::webm::TrackSource;

/// Codec of a track.
#[derive(Debug)]
pub(super) enum Codec {
    /// H.264, with parameter sets if frames have start codes instead of sizes.
    Avc(Option<ParameterSets>),
    Av1,
    Vp9,
    Aac(AudioConfig),
    Opus(OpusHead),
}

/// Type and boxes of a sample entry.
#[derive(Debug)]
pub(super) struct SampleEntry {
    pub(super) kind: Kind,
    pub(super) boxes: Vec<u8>,
}

impl Codec {
    /// Returns the codec of a track; `None` for a track that is neither video nor audio.
    pub(super) fn of(source: &TrackSource) -> Result<Option<Self>, NoRemux> {
        if source.track.kind == TrackKind::Other {
            return Ok(None);
        }
        if source.is_encoded {
            return Err(NoRemux::Encoded);
        }
        let invalid = || NoRemux::Configuration(readable(&source.track.codec));
        Ok(Some(match source.track.codec.as_str() {
            "V_MPEG4/ISO/AVC" => Self::Avc(None),
            "V_AV1" => Self::Av1,
            "V_VP9" => Self::Vp9,
            "A_AAC" => Self::Aac(AudioConfig::parse(&source.private).ok_or_else(invalid)?),
            "A_OPUS" => Self::Opus(OpusHead::parse(&source.private).ok_or_else(invalid)?),
            codec => return Err(NoRemux::Codec(readable(codec))),
        }))
    }

    /// Returns the sample entry; `None` if the configuration is invalid. For video, `keyframe` is the first one.
    pub(super) fn entry(&mut self, source: &TrackSource, keyframe: &[u8]) -> Option<SampleEntry> {
        let private = &source.private;
        let mut boxes = Vec::new();
        let kind = match self {
            Self::Avc(sets) => {
                let config = if avc::is_config(private) {
                    private.clone()
                } else {
                    sets.insert(ParameterSets::of(keyframe)?).config()?
                };
                write(&mut boxes, *b"avcC", |out| out.extend(config));
                *b"avc1"
            }
            Self::Av1 => {
                let config = av1::config(private, keyframe)?;
                write(&mut boxes, *b"av1C", |out| out.extend(config));
                *b"av01"
            }
            Self::Vp9 => {
                let config = vp9::config(keyframe, source.track.default_duration_ns)?;
                write_full_with(&mut boxes, *b"vpcC", 1, 0, |out| out.extend(config));
                *b"vp09"
            }
            Self::Aac(_) => {
                let descriptors = aac::descriptors(private);
                write_full(&mut boxes, *b"esds", |out| out.extend(descriptors));
                *b"mp4a"
            }
            Self::Opus(head) => {
                write(&mut boxes, *b"dOps", |out| {
                    out.extend_from_slice(&head.config)
                });
                *b"Opus"
            }
        };
        Some(SampleEntry { kind, boxes })
    }

    pub(super) fn media(&self, source: &TrackSource) -> Media {
        let pixels = |number| u16::try_from(number).unwrap_or(u16::MAX);
        match self {
            Self::Avc(_) | Self::Av1 | Self::Vp9 => Media::Video {
                width: pixels(source.track.width),
                height: pixels(source.track.height),
            },
            Self::Aac(config) => Media::Audio {
                channels: match config.channels {
                    0 => pixels(source.track.channels),
                    channels => channels,
                },
                sample_rate_hz: config.sample_rate_hz,
            },
            Self::Opus(head) => Media::Audio {
                channels: head.channels.into(),
                sample_rate_hz: opus::SAMPLE_RATE_HZ,
            },
        }
    }

    /// Returns the bytes of a frame in the form of MP4.
    pub(super) fn sample<'a>(&self, frame: &'a [u8]) -> Cow<'a, [u8]> {
        match self {
            Self::Avc(Some(sets)) => sets.sized(frame).into(),
            _ => frame.into(),
        }
    }

    /// Returns the number of samples in a frame of audio; 0 for video.
    pub(super) fn samples(&self, frame: &[u8]) -> u32 {
        match self {
            Self::Avc(_) | Self::Av1 | Self::Vp9 => 0,
            Self::Aac(config) => config.frame,
            Self::Opus(_) => opus::samples(frame).unwrap_or(0),
        }
    }
}

/// Returns the usual name of a codec.
pub(super) fn readable(codec: &str) -> String {
    let name = match codec {
        "V_VP8" => "VP8",
        "V_VP9" => "VP9",
        "V_AV1" => "AV1",
        "V_MPEG4/ISO/AVC" => "H.264",
        "V_MPEGH/ISO/HEVC" => "H.265",
        "A_AAC" => "AAC",
        "A_OPUS" => "Opus",
        "A_VORBIS" => "Vorbis",
        "A_FLAC" => "FLAC",
        "A_PCM/INT/LIT" | "A_PCM/INT/BIG" | "A_PCM/FLOAT/IEEE" => "PCM",
        // From the file, so not necessarily printable.
        other => return other.chars().filter(char::is_ascii_graphic).collect(),
    };
    name.to_owned()
}
