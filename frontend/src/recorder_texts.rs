//! Texts of the Record page while a recording is running.

use sortie_client::{Progress, State, StopReason, Waiting};

use crate::format;

/// Shorter interruptions are not shown: a single failed attempt is harmless.
const PATIENCE_MS: u64 = 1_500;

/// Longest normal lag of an acknowledgement. A longer one means that the server is unreachable, even before a request
/// fails.
const LAG_MAX_MS: u64 = 5_000;

/// Announcement of the recorder's state for screen readers; empty if there is nothing to announce.
pub fn announcement(state: State) -> &'static str {
    match state {
        State::Idle | State::Failed | State::Aborted => "",
        State::Starting => "Starting",
        State::Recording => "Recording",
        State::Paused => "Paused",
        State::Stopping | State::Uploading => "Recording stopped. Sending the rest to the server.",
        State::Done => "The recording is safe on the server.",
    }
}

/// Whether recorded bytes are stuck on this device: the server is unreachable, or has acknowledged nothing for longer
/// than usual.
pub fn is_behind(progress: &Progress) -> bool {
    progress.pending_bytes > 0
        && (progress.waiting.is_some()
            || progress.recorded_ms.saturating_sub(progress.safe_ms) > LAG_MAX_MS)
}

/// Returns the position up to which the recording is durable, and the bytes beyond it while the server is unreachable.
pub fn safe_until(progress: &Progress) -> String {
    let safe = format!(
        "Safe on the server up to {}",
        format::clock(progress.safe_ms)
    );
    if is_behind(progress) {
        format!(
            "{safe}, {} not uploaded yet",
            format::size(progress.pending_bytes)
        )
    } else {
        safe
    }
}

/// Returns the reason why nothing is sent; `None` while the upload makes progress.
pub fn waiting(progress: &Progress) -> Option<String> {
    let state = match progress.waiting? {
        Waiting::Retry { in_ms } if in_ms < PATIENCE_MS => return None,
        Waiting::Offline | Waiting::Retry { .. } => "Reconnecting…",
        Waiting::SignIn => "Waiting for your sign-in.",
    };
    Some(match progress.pending_bytes {
        0 => state.to_owned(),
        bytes => format!("{state} {} saved on this device", format::size(bytes)),
    })
}

/// Returns the same reason for screen readers, without the amount, which changes every second.
pub fn waiting_announcement(progress: &Progress) -> &'static str {
    match progress.waiting {
        None => "",
        Some(Waiting::Retry { in_ms }) if in_ms < PATIENCE_MS => "",
        Some(Waiting::Offline | Waiting::Retry { .. }) => {
            "Connection lost. The recording is saved on this device meanwhile."
        }
        Some(Waiting::SignIn) => {
            "Waiting for your sign-in. The recording is saved on this device meanwhile."
        }
    }
}

/// Returns the reason for the end of the recording, unless the user stopped it on this page.
pub fn stopped(reason: StopReason) -> Option<&'static str> {
    match reason {
        // A failure has a separate error message.
        StopReason::User | StopReason::UploadFailed => None,
        StopReason::SharingEnded => Some("Sharing ended, so the recording was finished."),
        StopReason::TrackEnded => Some("The video ended, so the recording was finished."),
        StopReason::SessionEnded => Some("The session ended, so the recording was finished."),
        StopReason::LimitReached => {
            Some("The recording reached the server's size limit, so it was finished.")
        }
        StopReason::DeviceLost => {
            Some("The camera or microphone was disconnected, so the recording was finished.")
        }
        StopReason::StorageFull => Some(
            "This device is out of storage and the server could not be reached, so the recording was finished. \
             Everything recorded until then was kept.",
        ),
        StopReason::EncoderFailed => Some(
            "The browser's encoder failed, so the recording was finished. Everything recorded until then was kept.",
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
    fn interruption_shows_the_local_amount() {
        check(None, None);
        check(
            Some(Waiting::Offline),
            Some("Reconnecting… 3.4 MB saved on this device"),
        );
        check(
            Some(Waiting::Retry { in_ms: 4_000 }),
            Some("Reconnecting… 3.4 MB saved on this device"),
        );
    }

    #[test]
    fn empty_spool_shows_no_amount() {
        let progress = Progress {
            waiting: Some(Waiting::SignIn),
            ..Progress::default()
        };
        assert_eq!(
            waiting(&progress).as_deref(),
            Some("Waiting for your sign-in.")
        );
    }

    #[test]
    fn first_retry_is_silent() {
        check(Some(Waiting::Retry { in_ms: 400 }), None);
    }

    #[test]
    fn only_ends_without_user_action_are_explained() {
        assert_eq!(stopped(StopReason::User), None);
        assert!(stopped(StopReason::SharingEnded).is_some());
    }

    #[test]
    fn unreachable_server_shows_the_pending_amount() {
        let mut progress = Progress {
            recorded_ms: 9_000,
            safe_ms: 7_000,
            pending_bytes: 347_000,
            ..Progress::default()
        };
        assert!(!is_behind(&progress));
        progress.waiting = Some(Waiting::Retry { in_ms: 100 });
        assert!(is_behind(&progress));
        assert_eq!(
            safe_until(&progress),
            "Safe on the server up to 0:07, 347 kB not uploaded yet"
        );
        // A hanging request has not failed, but acknowledges nothing.
        progress.waiting = None;
        progress.recorded_ms = 12_001;
        assert!(is_behind(&progress));
        progress.pending_bytes = 0;
        assert!(!is_behind(&progress));
    }

    #[test]
    fn announcement_has_no_amount() {
        let progress = Progress {
            pending_bytes: 3_400_000,
            waiting: Some(Waiting::Offline),
            ..Progress::default()
        };
        assert!(!waiting_announcement(&progress).contains(char::is_numeric));
        assert_eq!(waiting_announcement(&Progress::default()), "");
    }

    #[test]
    fn safe_position_is_shown_as_a_clock() {
        let progress = Progress {
            safe_ms: 61_900,
            ..Progress::default()
        };
        assert_eq!(safe_until(&progress), "Safe on the server up to 1:01");
    }
}
