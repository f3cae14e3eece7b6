//! Markers as chapters in WebVTT.

use std::fmt::Write as _;

use sortie_api::{Marker, MarkerKind};

/// Writes one chapter for each marker, up to the next one or to the end of the recording. Players ignore chapters
/// without a length, so the last ones are at least a millisecond long.
pub(super) fn chapters(markers: &[Marker], duration_ms: u64) -> String {
    let mut text = String::from("WEBVTT\n");
    for (index, marker) in markers.iter().enumerate() {
        let later = markers.iter().skip(index + 1).map(|next| next.time_ms);
        let end = later
            .chain([duration_ms])
            .find(|&end| end > marker.time_ms)
            .unwrap_or(marker.time_ms + 1);
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "\n{}\n{} --> {}\n{}\n",
            marker.id,
            timestamp(marker.time_ms),
            timestamp(end),
            title(marker)
        );
    }
    text
}

pub(in crate::http::resources::recordings) fn timestamp(ms: u64) -> String {
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    format!(
        "{:02}:{:02}:{seconds:02}.{ms:03}",
        minutes / 60,
        minutes % 60
    )
}

/// Title of a chapter: one line without markup. A line break or an arrow would end the cue.
fn title(marker: &Marker) -> String {
    let text = match (marker.text.trim(), marker.kind) {
        ("", MarkerKind::Note) => "Marker",
        ("", MarkerKind::Pause) => "Pause",
        ("", MarkerKind::Gap) => "Gap",
        ("", MarkerKind::Part) => "Part",
        ("", MarkerKind::EncoderRestart) => "Encoder restarted",
        (text, _) => text,
    };
    let text = text.replace(['\r', '\n'], " ");
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker(time_ms: u64, text: &str) -> Marker {
        Marker {
            id: format!("m{time_ms}"),
            time_ms,
            text: text.to_owned(),
            kind: MarkerKind::default(),
            username: None,
            created_at: String::new(),
        }
    }

    #[test]
    fn chapters_follow_each_other() {
        let markers = [
            marker(0, "Start"),
            marker(61_500, "a --> b\n\n<i>&"),
            marker(61_500, ""),
            marker(3_723_004, "End"),
        ];
        let expected = "WEBVTT\n\nm0\n00:00:00.000 --> 00:01:01.500\nStart\n\n\
             m61500\n00:01:01.500 --> 01:02:03.004\na --&gt; b  &lt;i&gt;&amp;\n\n\
             m61500\n00:01:01.500 --> 01:02:03.004\nMarker\n\n\
             m3723004\n01:02:03.004 --> 01:02:03.005\nEnd\n";
        assert_eq!(chapters(&markers, 3_723_004), expected);
        assert_eq!(chapters(&[], 5), "WEBVTT\n");
    }
}
