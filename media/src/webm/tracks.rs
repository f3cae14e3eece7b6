//! The Tracks element (RFC 9559, section 5.1.4).

use serde::{Deserialize, Serialize};

use crate::ebml::{
    ids,
    read::{Children, float, string, uint},
};
use crate::stable_hash::StableHash;
use crate::track::{Track, TrackKind};

/// Bytes of Tracks that are parsed; the rest is stored but ignored.
pub(super) const TRACKS_LIMIT: u64 = 1 << 20;
/// Maximum number of parsed tracks; no recorder writes this many.
pub(super) const LIMIT: usize = 64;

/// The tracks of a document.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Tracks {
    /// Entries without a number are left out.
    pub(super) list: Vec<Track>,
    /// Keys that the tracks of the next document must match.
    pub(super) keys: Vec<TrackKey>,
    /// `TrackNumber` and `TrackUID` of each track.
    pub(super) uids: Vec<(u64, u64)>,
}

impl Tracks {
    /// Parses the payload of Tracks.
    pub(super) fn parse(payload: &[u8]) -> Self {
        let uids = entries(payload).take(LIMIT).filter_map(uids);
        Self {
            list: entries(payload).filter_map(track).take(LIMIT).collect(),
            keys: keys(payload),
            uids: uids.collect(),
        }
    }
}

/// Properties that two tracks must share so that one decoder plays both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TrackKey {
    number: u64,
    /// Hash of track type, codec and codec configuration.
    hash: u64,
}

/// Returns the keys of the tracks in the payload of Tracks.
pub(super) fn keys(payload: &[u8]) -> Vec<TrackKey> {
    entries(payload).filter_map(key).take(LIMIT).collect()
}

pub(super) fn entries(payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    let entries = Children::of(payload).filter(|&(id, _)| id == ids::TRACK_ENTRY);
    entries.map(|(_, entry)| entry)
}

fn key(entry: &[u8]) -> Option<TrackKey> {
    let mut number = None;
    let mut hash = StableHash::default();
    for (id, value) in Children::of(entry) {
        match id {
            ids::TRACK_NUMBER => number = uint(value),
            ids::TRACK_TYPE | ids::CODEC_ID | ids::CODEC_PRIVATE | ids::CONTENT_ENCODINGS => {
                add_element(&mut hash, id, value);
            }
            ids::AUDIO => {
                for (id, value) in Children::of(value) {
                    if matches!(id, ids::SAMPLING_FREQUENCY | ids::CHANNELS) {
                        add_element(&mut hash, id, value);
                    }
                }
            }
            _ => {}
        }
    }
    Some(TrackKey {
        number: number?,
        hash: hash.finish(),
    })
}

/// Adds an element, delimited by the length of its value.
fn add_element(hash: &mut StableHash, id: u32, value: &[u8]) {
    hash.add(&id.to_le_bytes());
    hash.add(&(value.len() as u64).to_le_bytes());
    hash.add(value);
}

fn uids(entry: &[u8]) -> Option<(u64, u64)> {
    let child = |wanted| {
        let mut children = Children::of(entry);
        children
            .find(|&(id, _)| id == wanted)
            .and_then(|(_, value)| uint(value))
    };
    Some((child(ids::TRACK_NUMBER)?, child(ids::TRACK_UID)?))
}

pub(super) fn track(entry: &[u8]) -> Option<Track> {
    let mut track = Track::new(0, TrackKind::Other, String::new());
    for (id, value) in Children::of(entry) {
        match id {
            ids::TRACK_NUMBER => track.number = uint(value)?,
            ids::TRACK_TYPE => {
                track.kind = match uint(value)? {
                    1 => TrackKind::Video,
                    2 => TrackKind::Audio,
                    _ => TrackKind::Other,
                }
            }
            // LanguageBCP47 takes precedence (RFC 9559, section 5.1.4.1.20).
            ids::LANGUAGE_BCP47 => track.language = Some(string(value, 64)),
            ids::LANGUAGE => {
                track.language.get_or_insert_with(|| string(value, 64));
            }
            ids::CODEC_ID => track.codec = string(value, 64),
            ids::DEFAULT_DURATION => track.default_duration_ns = uint(value).filter(|&ns| ns != 0),
            ids::VIDEO => {
                for (id, value) in Children::of(value) {
                    match id {
                        ids::PIXEL_WIDTH => track.width = uint32(value),
                        ids::PIXEL_HEIGHT => track.height = uint32(value),
                        _ => {}
                    }
                }
            }
            ids::AUDIO => {
                // Defaults (RFC 9559, sections 5.1.4.1.29.1 and 5.1.4.1.29.3).
                (track.sample_rate_hz, track.channels) = (8000, 1);
                for (id, value) in Children::of(value) {
                    match id {
                        ids::SAMPLING_FREQUENCY => track.sample_rate_hz = hertz(value),
                        ids::CHANNELS => track.channels = uint32(value),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    track.language = track.language.filter(|language| language != "und");
    (track.number != 0).then_some(track)
}

fn uint32(value: &[u8]) -> u32 {
    uint(value)
        .and_then(|value| u32::try_from(value).ok())
        .unwrap_or(0)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a float cast saturates, and NaN becomes 0"
)]
fn hertz(value: &[u8]) -> u32 {
    float(value)
        .map_or(0, |hertz| hertz.round() as i64)
        .try_into()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ebml::write::Writer;

    #[test]
    fn entries_without_number_are_left_out() {
        let mut writer = Writer::new();
        writer.master(ids::TRACK_ENTRY, |w| w.uint(ids::TRACK_TYPE, 1));
        writer.master(ids::TRACK_ENTRY, |w| {
            w.uint(ids::TRACK_NUMBER, 7);
            w.uint(ids::TRACK_TYPE, 2);
            w.string(ids::CODEC_ID, "A_OPUS");
            w.master(ids::AUDIO, |w| w.float(ids::SAMPLING_FREQUENCY, 48_000.0));
        });
        let tracks = Tracks::parse(&writer.into_bytes()).list;
        assert_eq!(tracks.len(), 1);
        let track = &tracks[0];
        assert_eq!(
            (track.number, track.kind, track.codec.as_str()),
            (7, TrackKind::Audio, "A_OPUS")
        );
        assert_eq!((track.sample_rate_hz, track.channels), (48_000, 1));
    }

    #[test]
    fn invalid_sampling_frequencies_are_unknown() {
        for value in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
            assert_eq!(hertz(&value.to_be_bytes()), 0, "{value}");
        }
    }
}
