//! Texts of a recording's status; the labels are part of the contract.

use sortie_api::{Recording, RecordingStatus};

/// Label of a status.
pub fn status(status: RecordingStatus) -> &'static str {
    match status {
        RecordingStatus::Recording => "Recording",
        RecordingStatus::Uploading => "Uploading",
        RecordingStatus::Processing => "Processing",
        RecordingStatus::Ready => "Ready",
        RecordingStatus::Failed => "Failed",
        RecordingStatus::Trashed => "In the trash",
    }
}

/// Suffix of the CSS class of a status.
pub fn status_class(status: RecordingStatus) -> &'static str {
    match status {
        RecordingStatus::Recording => "recording",
        RecordingStatus::Uploading => "uploading",
        RecordingStatus::Processing => "processing",
        RecordingStatus::Ready => "ready",
        RecordingStatus::Failed => "failed",
        RecordingStatus::Trashed => "trashed",
    }
}

/// Text in place of the video; `None` if the recording can be played.
pub fn not_playable(recording: &Recording) -> Option<String> {
    let message = match recording.status {
        RecordingStatus::Ready => return None,
        RecordingStatus::Recording => {
            "This recording is still running. It can be watched here as soon as it is finished."
        }
        RecordingStatus::Uploading => {
            "The last part of this recording is still arriving. It can be watched here as soon as it is complete."
        }
        RecordingStatus::Processing => "This recording is being finished. This takes a moment.",
        RecordingStatus::Failed => {
            return Some(failure(recording));
        }
        RecordingStatus::Trashed => "This recording is in the trash. Restore it to watch it.",
    };
    Some(message.to_owned())
}

/// Reason of a failure.
pub fn failure(recording: &Recording) -> String {
    recording
        .failure
        .clone()
        .filter(|reason| !reason.is_empty())
        .unwrap_or_else(|| "The recording cannot be played; the server gave no reason.".to_owned())
}

/// Returns the initials for the round badge: the first letters of the first and the last word, or the first letter
/// alone.
pub fn initials(name: &str) -> String {
    let mut words = name
        .split(|letter: char| letter.is_whitespace() || matches!(letter, '.' | '_' | '-' | '@'))
        .filter_map(|word| word.chars().next());
    let first = words.next();
    let last = words.next_back();
    first
        .into_iter()
        .chain(last)
        .flat_map(char::to_uppercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initials_are_those_of_first_and_last_word() {
        for (name, expected) in [
            ("admin", "A"),
            ("Ada Lovelace", "AL"),
            ("grace.brewster_hopper", "GH"),
            ("élise", "É"),
            ("  ", ""),
        ] {
            assert_eq!(initials(name), expected, "{name:?}");
        }
    }
}
