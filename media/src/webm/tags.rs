//! Tags about track durations. They describe the file that the sender intended to write, not the received part of it.

use serde::{Deserialize, Serialize};

use crate::ebml::{
    ids,
    read::{Children, string, uint},
    write::void_header,
};

/// Maximum number of parsed Tag elements.
const LIMIT: usize = 16;
/// Track statistics of mkvmerge, which are invalid if the duration is.
const STATISTICS: [&str; 3] = ["BPS", "NUMBER_OF_FRAMES", "NUMBER_OF_BYTES"];
/// Length of the shortest complete duration text, `00:00:00`.
const SHORTEST: usize = 8;
/// Largest deviation that is not corrected: the duration of the last frame is an estimate.
const TOLERANCE_NS: u64 = 500_000_000;

/// Duration tags of one track.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct TrackTags {
    /// `TrackUID` of the track.
    track_uid: u64,
    /// Stream offset and text of `DURATION`.
    duration: Option<(u64, String)>,
    /// Stream offset and length of the payload of its SimpleTag.
    duration_element: Option<(u64, u64)>,
    /// Stream offsets and lengths of the payloads of SimpleTags that depend on the duration.
    statistics: Vec<(u64, u64)>,
}

impl TrackTags {
    /// Parses the payload of Tags at stream offset `start`.
    pub(super) fn read(payload: &[u8], start: u64) -> Vec<Self> {
        let at = |part: &[u8]| start + (part.as_ptr().addr() - payload.as_ptr().addr()) as u64;
        Children::of(payload)
            .filter(|&(id, _)| id == ids::TAG)
            .take(LIMIT)
            .map(|(_, tag)| {
                let mut tags = Self::default();
                for (id, value) in Children::of(tag) {
                    match id {
                        ids::TARGETS => {
                            tags.track_uid = Children::of(value)
                                .find(|&(id, _)| id == ids::TAG_TRACK_UID)
                                .and_then(|(_, uid)| uint(uid))
                                .unwrap_or(0);
                        }
                        ids::SIMPLE_TAG => tags.add(value, at),
                        _ => {}
                    }
                }
                tags
            })
            .filter(|tags| tags.duration.is_some())
            .collect()
    }

    fn add(&mut self, simple: &[u8], at: impl Fn(&[u8]) -> u64) {
        let child = |wanted| Children::of(simple).find(|&(id, _)| id == wanted);
        let name = child(ids::TAG_NAME).map(|(_, name)| string(name, 64));
        match (name.as_deref(), child(ids::TAG_STRING)) {
            (Some("DURATION"), Some((_, text))) => {
                self.duration = Some((at(text), string(text, 64)));
                self.duration_element = Some((at(simple), simple.len() as u64));
            }
            (Some(name), _) if STATISTICS.contains(&name) && self.statistics.len() < LIMIT => {
                // A Void may replace the payload: a SimpleTag without a name has no meaning.
                self.statistics.push((at(simple), simple.len() as u64));
            }
            _ => {}
        }
    }

    pub(super) fn track_uid(&self) -> u64 {
        self.track_uid
    }

    /// Returns patches that remove all of these tags, as stream offsets and bytes.
    pub(super) fn removal(&self) -> Vec<(u64, Vec<u8>)> {
        let elements = self.statistics.iter().chain(&self.duration_element);
        elements
            .filter_map(|&(start, length)| Some((start, void_header(length)?)))
            .collect()
    }

    /// Returns patches that correct the tags for a track that ends at `end_ns`, as stream offsets and bytes.
    pub(super) fn corrections(&self, end_ns: u64) -> Vec<(u64, Vec<u8>)> {
        let Some((at, text)) = &self.duration else {
            return Vec::new();
        };
        if text.len() < SHORTEST || parse(text).is_some_and(|ns| ns.abs_diff(end_ns) < TOLERANCE_NS)
        {
            return Vec::new();
        }
        let mut bytes = format(end_ns).into_bytes();
        bytes.resize(text.len(), 0);
        let mut corrections = vec![(*at, bytes)];
        for &(start, length) in &self.statistics {
            if let Some(void) = void_header(length) {
                corrections.push((start, void));
            }
        }
        corrections
    }
}

/// Formats a duration as `HH:MM:SS.nnnnnnnnn`.
fn format(ns: u64) -> String {
    let seconds = ns / 1_000_000_000;
    format!(
        "{:02}:{:02}:{:02}.{:09}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        ns % 1_000_000_000
    )
}

fn parse(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let mut seconds = 0u64;
    for part in whole.split(':') {
        seconds = seconds.checked_mul(60)?.checked_add(part.parse().ok()?)?;
    }
    let digits = fraction.get(..fraction.len().min(9))?;
    let mut ns: u64 = digits.parse().ok()?;
    for _ in digits.len()..9 {
        ns *= 10;
    }
    seconds.checked_mul(1_000_000_000)?.checked_add(ns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ebml::write::Writer;

    fn tags() -> Vec<u8> {
        let mut writer = Writer::new();
        writer.master(ids::TAG, |w| {
            w.master(ids::TARGETS, |w| w.uint(ids::TAG_TRACK_UID, 7));
            for (name, value) in [("DURATION", "00:01:00.500000000"), ("BPS", "1000")] {
                w.master(ids::SIMPLE_TAG, |w| {
                    w.string(ids::TAG_NAME, name);
                    w.string(ids::TAG_STRING, value);
                });
            }
        });
        writer.into_bytes()
    }

    #[test]
    fn wrong_duration_is_corrected_with_its_statistics() {
        let mut payload = tags();
        let [tags] = &TrackTags::read(&payload, 100)[..] else {
            panic!("one tag")
        };
        assert_eq!(tags.track_uid(), 7);
        assert!(tags.corrections(60_700_000_000).is_empty(), "right");
        for (at, bytes) in tags.corrections(3_723_000_000_004) {
            let at = usize::try_from(at - 100).expect("small");
            payload[at..at + bytes.len()].copy_from_slice(&bytes);
        }
        let [tags] = &TrackTags::read(&payload, 100)[..] else {
            panic!("one tag")
        };
        assert_eq!(
            tags.duration.as_ref().map(|(_, text)| text.as_str()),
            Some("01:02:03.000000004")
        );
        assert!(tags.statistics.is_empty(), "{payload:x?}");
        assert!(tags.corrections(3_723_000_000_004).is_empty());
    }

    #[test]
    fn durations_round_trip() {
        for ns in [0, 1, 59_999_999_999, 360_000_000_000_000] {
            assert_eq!(parse(&format(ns)), Some(ns));
        }
        for (text, ns) in [
            ("00:00:01.5", Some(1_500_000_000)),
            ("1:2", Some(62_000_000_000)),
            ("x", None),
            ("1.x", None),
        ] {
            assert_eq!(parse(text), ns, "{text}");
        }
    }
}
