//! Whether the server can copy a recording as MP4.

use sortie_api::{Recording, RecordingStatus};

/// Codecs of WebM and Matroska that the server copies into MP4.
const CODECS: [&str; 5] = ["V_MPEG4/ISO/AVC", "V_AV1", "V_VP9", "A_OPUS", "A_AAC"];

/// Whether a recording is no MP4, and the server can copy it as one.
pub fn is_possible(recording: &Recording) -> bool {
    let codecs = [&recording.video_codec, &recording.audio_codec];
    let mut codecs = codecs.into_iter().flatten().peekable();
    recording.status == RecordingStatus::Ready
        && !recording.deleting
        && matches!(recording.format.as_str(), "webm" | "mkv")
        && codecs.peek().is_some()
        && codecs.all(|codec| CODECS.contains(&codec.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list_page::tests::row;

    #[track_caller]
    fn check(format: &str, video: Option<&str>, audio: Option<&str>, expected: bool) {
        let mut recording = row("a", RecordingStatus::Ready);
        recording.format = format.to_owned();
        recording.video_codec = video.map(str::to_owned);
        recording.audio_codec = audio.map(str::to_owned);
        assert_eq!(
            is_possible(&recording),
            expected,
            "{format} {video:?} {audio:?}"
        );
        recording.status = RecordingStatus::Processing;
        assert!(!is_possible(&recording));
    }

    #[test]
    fn codecs_decide_whether_a_copy_is_possible() {
        check("webm", Some("V_VP9"), Some("A_OPUS"), true);
        check("mkv", Some("V_MPEG4/ISO/AVC"), None, true);
        check("webm", None, Some("A_OPUS"), true);
        check("webm", Some("V_VP8"), Some("A_OPUS"), false);
        check("webm", Some("V_AV1"), Some("A_VORBIS"), false);
        check("webm", None, None, false);
        check("mp4", Some("avc1"), None, false);
    }
}
