//! Titles of recordings.

use sortie_api::Recording;

/// Returns the title of a recording: the one that a user set, otherwise the name of an uploaded file, otherwise source
/// and time. `moment` is the local time of the start: `30 Nov 12:00`.
pub fn title(recording: &Recording, moment: &str) -> String {
    if let Some(title) = &recording.title {
        return title.clone();
    }
    if is_default_filename(&recording.filename) {
        format!("{}, {moment}", kind(recording.source.as_deref()))
    } else {
        recording.filename.clone()
    }
}

fn kind(source: Option<&str>) -> &'static str {
    match source {
        Some("tab") => "Tab recording",
        Some("window") => "Window recording",
        Some("screen") => "Screen recording",
        Some("camera") => "Camera recording",
        Some("canvas") => "Canvas recording",
        Some("hdmi") => "HDMI recording",
        Some("file") => "Uploaded file",
        _ => "Recording",
    }
}

/// Whether the server chose the file name: `recording_2026-11-21_09-30-00.webm`.
fn is_default_filename(filename: &str) -> bool {
    let Some(stamp) = filename.strip_prefix("recording_") else {
        return filename.is_empty();
    };
    stamp.len() >= 19
        && stamp
            .bytes()
            .take(19)
            .enumerate()
            .all(|(at, byte)| match at {
                10 => byte == b'_',
                4 | 7 | 13 | 16 => byte == b'-',
                _ => byte.is_ascii_digit(),
            })
}

#[cfg(test)]
mod tests {
    use sortie_api::RecordingStatus;

    use super::*;
    use crate::list_page::tests::row;

    #[test]
    fn title_falls_back_to_file_name_then_source_and_time() {
        let generated = "recording_2026-11-21_09-30-00.webm";
        for (title_set, filename, source, expected) in [
            (Some("Exam"), generated, Some("tab"), "Exam"),
            (None, generated, Some("tab"), "Tab recording, 30 Nov 12:00"),
            (None, generated, Some("robot"), "Recording, 30 Nov 12:00"),
            (None, generated, None, "Recording, 30 Nov 12:00"),
            (None, "", None, "Recording, 30 Nov 12:00"),
            (None, "lesson 1.webm", Some("file"), "lesson 1.webm"),
            (
                None,
                "recording_of_a_cat.webm",
                None,
                "recording_of_a_cat.webm",
            ),
            (None, "recording_é", None, "recording_é"),
        ] {
            let recording = Recording {
                title: title_set.map(str::to_owned),
                filename: filename.to_owned(),
                source: source.map(str::to_owned),
                ..row("a", RecordingStatus::Ready)
            };
            assert_eq!(title(&recording, "30 Nov 12:00"), expected, "{filename}");
        }
    }
}
