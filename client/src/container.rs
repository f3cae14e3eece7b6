//! Choice of container and codecs.

/// Types for a source with audio, best first.
///
/// The order weighs the quality of screen content against the cost of encoding in real time: VP9 keeps text sharp at
/// low rates, VP8 is supported by every recorder, H.264 needs Matroska in Chromium. MP4 comes last because Chromium
/// emits it in far longer pieces, so a crash loses more; [`choose_type`] prefers it on WebKit. AV1 is left out: in software it cannot keep up with a full-HD
/// screen on an ordinary machine.
pub const AUDIO_VIDEO_TYPES: &[&str] = &[
    "video/webm;codecs=vp9,opus",
    "video/webm;codecs=vp8,opus",
    "video/x-matroska;codecs=avc1,opus",
    "video/webm",
    "video/mp4;codecs=avc1.640028,mp4a.40.2",
    "video/mp4",
];

/// Types for a source without audio, best first. They name no audio codec, because some browsers then write an empty
/// audio track.
pub const VIDEO_TYPES: &[&str] = &[
    "video/webm;codecs=vp9",
    "video/webm;codecs=vp8",
    "video/x-matroska;codecs=avc1",
    "video/webm",
    "video/mp4;codecs=avc1.640028",
    "video/mp4",
];

/// Returns the best supported type; `None` if none of these is supported, in which case the browser's own choice is
/// used. `prefers_mp4` is set for WebKit, which records MP4 in short pieces and plays WebM badly.
pub fn choose_type(
    has_audio: bool,
    prefers_mp4: bool,
    is_supported: impl Fn(&str) -> bool,
) -> Option<&'static str> {
    let types = if has_audio {
        AUDIO_VIDEO_TYPES
    } else {
        VIDEO_TYPES
    };
    // The types of MP4 are the last ones of both lists.
    let first = if prefers_mp4 { types.len() - 2 } else { 0 };
    let (last, first) = types.split_at(first);
    let mut order = first.iter().chain(last).copied();
    order.find(|kind| is_supported(kind))
}

/// Returns the file extension for a MIME type with or without parameters: `webm`, `mkv` or `mp4`. Unknown types are
/// `webm`, because a recorder that does not name its type (Firefox) writes WebM.
pub fn file_extension(mime_type: &str) -> &'static str {
    match without_parameters(mime_type) {
        "video/x-matroska" => "mkv",
        "video/mp4" => "mp4",
        _ => "webm",
    }
}

/// Returns the part of a MIME type before the first `;`.
pub(crate) fn without_parameters(mime_type: &str) -> &str {
    mime_type.split(';').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(has_audio: bool, supported: &[&str], expected: Option<&str>) {
        let chosen = choose_type(has_audio, false, |kind| supported.contains(&kind));
        assert_eq!(chosen, expected);
    }

    #[test]
    fn webkit_prefers_mp4() {
        let choose = |has_audio, supported: &[&str]| {
            choose_type(has_audio, true, |kind| supported.contains(&kind))
        };
        let mp4 = "video/mp4;codecs=avc1.640028,mp4a.40.2";
        assert_eq!(choose(true, AUDIO_VIDEO_TYPES), Some(mp4));
        assert_eq!(
            choose(false, VIDEO_TYPES),
            Some("video/mp4;codecs=avc1.640028")
        );
        assert_eq!(
            choose(false, &["video/mp4", "video/webm"]),
            Some("video/mp4")
        );
        assert_eq!(choose(true, &["video/webm"]), Some("video/webm"));
    }

    #[test]
    fn best_supported_type_is_chosen() {
        check(true, AUDIO_VIDEO_TYPES, Some("video/webm;codecs=vp9,opus"));
        check(false, VIDEO_TYPES, Some("video/webm;codecs=vp9"));
        check(
            true,
            &["video/mp4", "video/webm;codecs=vp8,opus"],
            Some("video/webm;codecs=vp8,opus"),
        );
        check(true, &["video/mp4"], Some("video/mp4"));
        check(true, &[], None);
    }

    #[test]
    fn audio_codec_is_named_for_sources_with_audio_only() {
        assert!(
            VIDEO_TYPES
                .iter()
                .all(|kind| !kind.contains("opus") && !kind.contains("mp4a"))
        );
        check(true, VIDEO_TYPES, Some("video/webm"));
    }

    #[test]
    fn extension_follows_the_mime_type() {
        assert_eq!(file_extension("video/x-matroska;codecs=avc1"), "mkv");
        assert_eq!(file_extension("video/mp4 ; codecs=vp9"), "mp4");
        assert_eq!(file_extension("video/webm;codecs=vp8"), "webm");
        assert_eq!(file_extension(""), "webm");
    }
}
