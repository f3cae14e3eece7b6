//! Storyboard of a recording in WebVTT.

use std::fmt::Write as _;

use crate::http::resources::recordings::markers::timestamp;
use crate::picture::Size;

/// Writes one cue for each picture, up to the next one or to the end of the recording. The addresses are relative to
/// that of the storyboard.
pub(super) fn cues(pictures: &[(u64, Size)], duration_ms: u64) -> String {
    let mut text = String::from("WEBVTT\n");
    for (index, &(at_ms, size)) in pictures.iter().enumerate() {
        let next = pictures.get(index + 1).map(|&(next_ms, _)| next_ms);
        let end = next.unwrap_or(duration_ms).max(at_ms + 1);
        // The first picture stands for the time before it, too.
        let start = if index == 0 { 0 } else { at_ms };
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "\n{} --> {}\npictures/{at_ms}#xywh=0,0,{},{}\n",
            timestamp(start),
            timestamp(end),
            size.width,
            size.height
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cues_follow_each_other_from_start_to_end() {
        let (width, height) = (320, 180);
        let size = Size { width, height };
        let pictures = [(1_000, size), (10_500, size), (20_500, size)];
        let expected = "WEBVTT\n\n00:00:00.000 --> 00:00:10.500\npictures/1000#xywh=0,0,320,180\n\n\
             00:00:10.500 --> 00:00:20.500\npictures/10500#xywh=0,0,320,180\n\n\
             00:00:20.500 --> 00:00:25.000\npictures/20500#xywh=0,0,320,180\n";
        assert_eq!(cues(&pictures, 25_000), expected);
        assert!(cues(&pictures, 0).contains("00:00:20.500 --> 00:00:20.501"));
    }
}
