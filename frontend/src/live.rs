//! What the Record page says while a recording runs.

use sortie_client::{Progress, State, StopReason, Waiting};

use crate::format;

/// How long nothing may have been sent before the page mentions it. A single failed attempt is nobody's worry.
const PATIENCE_MS: u64 = 1_500;

/// Where a recording is, in words for a screen reader; nothing where nothing needs saying.
pub fn announcement(state: State) -> &'static str {
    match state {
        State::Idle | State::Failed => "",
        State::Starting => "Starting",
        State::Recording => "Recording",
        State::Paused => "Paused",
        State::Stopping | State::Uploading => "Recording stopped. Sending the rest to the server.",
        State::Done => "The recording is safe on the server.",
    }
}

/// Up to where the recording cannot be lost any more.
pub fn safe_until(progress: &Progress) -> String {
    format!(
        "Safe on the server up to {}",
        format::clock(progress.safe_ms)
    )
}

/// Why nothing is being sent, calmly; nothing while all is well.
pub fn waiting(progress: &Progress) -> Option<String> {
    let whom = match progress.waiting? {
        Waiting::Offline => "the network",
        Waiting::Retry { in_ms } if in_ms < PATIENCE_MS => return None,
        Waiting::Retry { .. } => "the server",
        Waiting::SignIn => "your sign-in",
    };
    let kept = match progress.pending_bytes {
        0 => String::new(),
        bytes => format!(": {} kept here", format::size(bytes)),
    };
    Some(format!("Waiting for {whom}, nothing is lost{kept}"))
}

/// Why recording ended, where the person did not end it on this page.
pub fn stopped(reason: StopReason) -> Option<&'static str> {
    match reason {
        // A failure comes with a sentence of its own.
        StopReason::User | StopReason::UploadFailed => None,
        StopReason::SharingEnded => Some("Sharing was ended, so the recording was finished."),
        StopReason::TrackEnded => Some("The picture ended, so the recording was finished."),
        StopReason::SessionEnded => Some("The session ended, so the recording was finished."),
        StopReason::LimitReached => {
            Some("The recording reached the largest size that this server takes, and was finished.")
        }
        StopReason::DeviceLost => {
            Some("The camera or microphone was disconnected, so the recording was finished.")
        }
        StopReason::StorageFull => Some(
            "This device has no room left and the server could not be reached, so the recording was finished. \
             What was recorded until then is kept.",
        ),
        StopReason::EncoderFailed => Some(
            "The browser's encoder gave up, so the recording was finished. What was recorded until then is kept.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reason: Option<Waiting>, expected: Option<&str>) {
        let progress = Progress {
            pending_bytes: 3_400_000,
            waiting: reason,
            ..Progress::default()
        };
        assert_eq!(waiting(&progress).as_deref(), expected);
    }

    #[test]
    fn network_trouble_is_told_calmly() {
        check(None, None);
        check(
            Some(Waiting::Offline),
            Some("Waiting for the network, nothing is lost: 3.4 MB kept here"),
        );
        check(
            Some(Waiting::Retry { in_ms: 4_000 }),
            Some("Waiting for the server, nothing is lost: 3.4 MB kept here"),
        );
    }

    #[test]
    fn nothing_kept_is_not_counted() {
        let progress = Progress {
            waiting: Some(Waiting::SignIn),
            ..Progress::default()
        };
        assert_eq!(
            waiting(&progress).as_deref(),
            Some("Waiting for your sign-in, nothing is lost")
        );
    }

    #[test]
    fn a_first_retry_is_not_mentioned() {
        check(Some(Waiting::Retry { in_ms: 400 }), None);
    }

    #[test]
    fn only_an_end_that_nobody_here_asked_for_is_explained() {
        assert_eq!(stopped(StopReason::User), None);
        assert!(stopped(StopReason::SharingEnded).is_some());
    }

    #[test]
    fn what_is_safe_is_told_as_a_clock() {
        let progress = Progress {
            safe_ms: 61_900,
            ..Progress::default()
        };
        assert_eq!(safe_until(&progress), "Safe on the server up to 1:01");
    }
}
