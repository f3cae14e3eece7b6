//! What the Record page says while a recording runs.

use sortie_client::{Progress, State, StopReason, Waiting};

use crate::format;

/// How long nothing may have been sent before the page mentions it. A single failed attempt is nobody's worry.
const PATIENCE_MS: u64 = 1_500;

/// An acknowledgement that takes longer is a sign that the server is away, although no request has failed yet.
const LAG_MAX_MS: u64 = 5_000;

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

/// Whether recorded bytes are not on the server and the server does not take them: it is away, or has been silent for
/// longer than an ordinary acknowledgement takes.
pub fn is_behind(progress: &Progress) -> bool {
    progress.pending_bytes > 0
        && (progress.waiting.is_some()
            || progress.recorded_ms.saturating_sub(progress.safe_ms) > LAG_MAX_MS)
}

/// Up to where the recording cannot be lost any more, and how much lies beyond while the server is away.
pub fn safe_until(progress: &Progress) -> String {
    let safe = format!(
        "Safe on the server up to {}",
        format::clock(progress.safe_ms)
    );
    if is_behind(progress) {
        format!(
            "{safe}, {} not there yet",
            format::size(progress.pending_bytes)
        )
    } else {
        safe
    }
}

/// Why nothing is being sent, calmly; nothing while all is well.
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

/// The same for a screen reader: without the amount, which changes every second.
pub fn waiting_spoken(progress: &Progress) -> &'static str {
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

/// Why recording ended, where the person did not end it on this page.
pub fn stopped(reason: StopReason) -> Option<&'static str> {
    match reason {
        // A failure comes with a sentence of its own.
        StopReason::User | StopReason::UploadFailed => None,
        StopReason::SharingEnded => Some("Sharing was ended, so the recording was finished."),
        StopReason::TrackEnded => Some("The picture ended, so the recording was finished."),
        StopReason::SessionEnded => Some("The session ended, so the recording was finished."),
        StopReason::LimitReached => {
            Some("The recording reached the server's size limit, so it was finished.")
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
            Some("Reconnecting… 3.4 MB saved on this device"),
        );
        check(
            Some(Waiting::Retry { in_ms: 4_000 }),
            Some("Reconnecting… 3.4 MB saved on this device"),
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
            Some("Waiting for your sign-in.")
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
    fn amount_is_named_as_soon_as_the_server_is_away() {
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
            "Safe on the server up to 0:07, 347 kB not there yet"
        );
        // A request that hangs has not failed, but nothing is acknowledged either.
        progress.waiting = None;
        progress.recorded_ms = 12_001;
        assert!(is_behind(&progress));
        progress.pending_bytes = 0;
        assert!(!is_behind(&progress));
    }

    #[test]
    fn spoken_sentence_has_no_amount() {
        let progress = Progress {
            pending_bytes: 3_400_000,
            waiting: Some(Waiting::Offline),
            ..Progress::default()
        };
        assert!(!waiting_spoken(&progress).contains(char::is_numeric));
        assert_eq!(waiting_spoken(&Progress::default()), "");
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
