//! Storyboard of a recording: its pictures in the order of time, from WebVTT.

use crate::player::position;

/// A picture of a storyboard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Time from which the picture is shown, in milliseconds.
    pub start_ms: u64,
    /// Address below the recording's, such as `pictures/1000`.
    pub address: String,
}

/// Parses the storyboard of our server: cues with a picture each. Other cues are ignored.
pub fn parse(vtt: &str) -> Vec<Frame> {
    let mut lines = vtt.lines().peekable();
    let mut frames = Vec::new();
    while let Some(line) = lines.next() {
        let Some((start, _)) = line.split_once(" --> ") else {
            continue;
        };
        let address = lines.peek().and_then(|line| line.split('#').next());
        let at_ms = address.and_then(|address| address.strip_prefix("pictures/"));
        let is_picture = at_ms.is_some_and(|at_ms| at_ms.bytes().all(|it| it.is_ascii_digit()));
        if let (Some(start_ms), Some(address), true) = (position::parse(start), address, is_picture)
        {
            let address = address.to_owned();
            frames.push(Frame { start_ms, address });
        }
    }
    frames
}

/// Returns the picture that is shown at a time.
pub fn frame_at(frames: &[Frame], time_ms: u64) -> Option<&Frame> {
    let after = frames.partition_point(|frame| frame.start_ms <= time_ms);
    frames[..after].last()
}

#[cfg(test)]
mod tests {
    use super::*;

    const VTT: &str = "WEBVTT\n\n00:00:00.000 --> 00:00:10.500\npictures/1000#xywh=0,0,320,180\n\n\
        00:00:10.500 --> 01:00:20.000\npictures/10500#xywh=0,0,320,180\n";

    #[test]
    fn pictures_are_found_by_time() {
        let frames = parse(VTT);
        let address = |time_ms| frame_at(&frames, time_ms).map(|frame| frame.address.as_str());
        assert_eq!(frames.len(), 2);
        assert_eq!(address(0), Some("pictures/1000"));
        assert_eq!(address(10_499), Some("pictures/1000"));
        assert_eq!(address(10_500), Some("pictures/10500"));
        assert_eq!(address(99_000_000), Some("pictures/10500"));
        assert_eq!(frame_at(&[], 0), None);
    }

    #[test]
    fn other_addresses_and_broken_cues_are_ignored() {
        for text in [
            "",
            "WEBVTT",
            "<html>",
            "00:00:00.000 --> 00:00:01.000",
            "00:00:00.000 --> 00:00:01.000\nhttps://example.org/x.png",
            "00:00:00.000 --> 00:00:01.000\npictures/../../users",
            "x --> y\npictures/1",
        ] {
            assert_eq!(parse(text), [], "{text}");
        }
    }
}
