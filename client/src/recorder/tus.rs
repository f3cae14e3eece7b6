//! Use of tus by recordings: creation, configuration, and translation of notices for the recorder's caller.

use sortie_tus::client::{Config, FailureReason, Millis, Start, UploadLength, WaitReason};
use sortie_tus::metadata::Metadata;

use super::begun_upload::BegunUpload;
use crate::container::without_parameters;
use crate::{RecorderError, Refusal, Target, Waiting};

/// Upper limit of the keep-alive interval with our own server. The answer tells a paused recorder that the recording
/// was stopped on the server, or that the server is unreachable.
const KEEP_ALIVE_MS: Millis = 10_000;
/// A request without an answer is reported as waiting after this time.
const LATE_MS: Millis = 5_000;

/// Returns the configuration of a recording's upload.
pub(crate) fn upload_config(begun: Option<&BegunUpload>) -> Config {
    let defaults = Config::default();
    let silence_ms = begun.and_then(|it| it.silence_ms);
    let keep_alive_ms = match (begun, silence_ms) {
        (None, _) => defaults.keep_alive_ms,
        (Some(_), None) => KEEP_ALIVE_MS,
        (Some(_), Some(silence_ms)) => KEEP_ALIVE_MS.min(silence_ms / 3),
    };
    Config {
        keep_alive_ms,
        report_late_after_ms: Some(LATE_MS),
        wait_for_sign_in: true,
        ..defaults
    }
}

/// Returns the creation of an upload on another tus server.
pub(crate) fn creation(
    endpoint: &str,
    filename: &str,
    mime_type: &str,
    continues: Option<&str>,
) -> Start {
    let mut metadata = Metadata::new();
    let container = match without_parameters(mime_type) {
        "" => "video/webm",
        named => named,
    };
    let continues = continues.map(|it| ("continues", it));
    let named = [("filename", filename), ("filetype", container)];
    for (key, value) in named.into_iter().chain(continues) {
        // Only a name of more than 6,000 bytes does not fit. The upload is more important than its name.
        let _too_long = metadata.insert(key, value);
    }
    Start::Create {
        endpoint: endpoint.to_owned(),
        length: UploadLength::Deferred,
        metadata,
    }
}

/// Returns why nothing is sent, and for how long.
pub(crate) fn waiting_for(now_ms: Millis, until: Option<Millis>, reason: WaitReason) -> Waiting {
    let in_ms = until.map(|until| until.saturating_sub(now_ms));
    match (reason, in_ms) {
        (WaitReason::Token, _) => Waiting::SignIn,
        (WaitReason::Offline, _) | (_, None) => Waiting::Offline,
        (_, Some(in_ms)) => Waiting::Retry { in_ms },
    }
}

/// Translates the failure of an upload.
pub(crate) fn failure(reason: FailureReason, target: &Target) -> RecorderError {
    match reason {
        FailureReason::Unauthorized => RecorderError::SignedOut,
        FailureReason::TooLarge => RecorderError::TooLarge,
        FailureReason::Gone { .. } => RecorderError::Gone,
        reason => {
            let mut sentence = reason.to_string();
            if let Target::Tus { endpoint } = target {
                sentence = sentence + " A tus server is expected at " + endpoint;
            }
            match refused_status(reason) {
                Some(status) => Refusal::of_status(status, sentence).into(),
                None => RecorderError::Upload(sentence),
            }
        }
    }
}

/// Returns the HTTP status of a refusal; `None` if the server did not refuse.
pub(crate) fn refused_status(reason: FailureReason) -> Option<u16> {
    match reason {
        FailureReason::Unauthorized => Some(401),
        FailureReason::Forbidden => Some(403),
        FailureReason::Gone { status } | FailureReason::Rejected { status } => Some(status),
        FailureReason::Version => Some(412),
        FailureReason::TooLarge => Some(413),
        // The answer of a tus server to a creation has an address.
        FailureReason::NoLocation => Some(201),
        FailureReason::LengthMismatch { .. }
        | FailureReason::ServerAhead { .. }
        | FailureReason::ServerLostBytes { .. }
        | FailureReason::GaveUp { .. } => None,
    }
}

/// Returns the last segment of an upload's URL, which identifies the upload on a server without recording ids.
pub(crate) fn last_segment(url: &str) -> &str {
    let slash = url.bytes().rposition(|it| it == b'/');
    slash.and_then(|at| url.get(at + 1..)).unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorCode;

    fn begun(silence_ms: Option<u64>) -> BegunUpload {
        BegunUpload {
            session: "s".to_owned(),
            recording: "r".to_owned(),
            upload_url: "/u".to_owned(),
            max_size_bytes: 1,
            silence_ms,
        }
    }

    #[test]
    fn keep_alive_comes_three_times_within_the_silence_of_the_server() {
        let keep_alive_ms = |begun: Option<&BegunUpload>| upload_config(begun).keep_alive_ms;
        assert_eq!(keep_alive_ms(None), Config::default().keep_alive_ms);
        assert_eq!(keep_alive_ms(Some(&begun(None))), 10_000);
        assert_eq!(keep_alive_ms(Some(&begun(Some(600_000)))), 10_000);
        assert_eq!(keep_alive_ms(Some(&begun(Some(6_000)))), 2_000);
    }

    #[test]
    fn upload_on_another_server_names_file_type_and_continued_upload() {
        let start = creation("/files", "a.webm", "video/webm;codecs=vp9", Some("7"));
        let Start::Create {
            endpoint, metadata, ..
        } = start
        else {
            panic!("{start:?}");
        };
        assert_eq!(endpoint, "/files");
        let expected = "filename YS53ZWJt,filetype dmlkZW8vd2VibQ==,continues Nw==";
        assert_eq!(metadata.to_string(), expected);
    }

    #[test]
    fn upload_on_our_server_exists_already() {
        let expected = Start::Fresh {
            url: "/u".to_owned(),
            length: UploadLength::Deferred,
        };
        assert_eq!(begun(None).start(), expected);
    }

    #[test]
    fn waiting_event_has_reason_and_delay() {
        let network = WaitReason::Network;
        let retry = Waiting::Retry { in_ms: 500 };
        assert_eq!(waiting_for(1_000, Some(1_500), network), retry);
        let sign_in = waiting_for(1_000, Some(1_500), WaitReason::Token);
        assert_eq!(sign_in, Waiting::SignIn);
        assert_eq!(waiting_for(1_000, None, network), Waiting::Offline);
    }

    #[test]
    fn failure_of_an_upload_has_a_code_and_the_status() {
        let endpoint = Target::Tus {
            endpoint: "/files".to_owned(),
        };
        #[track_caller]
        fn check(error: RecorderError, code: ErrorCode, status: Option<u16>) {
            assert_eq!(error.code(), code);
            let refusal = match &error {
                RecorderError::Refused(refusal) => Some(refusal.status),
                _ => None,
            };
            assert_eq!(refusal, status);
        }
        let rejected = failure(FailureReason::Rejected { status: 405 }, &endpoint);
        assert!(
            rejected
                .to_string()
                .ends_with("A tus server is expected at /files")
        );
        check(rejected, ErrorCode::UnsupportedServer, Some(405));
        let of = |reason| failure(reason, &endpoint);
        check(
            of(FailureReason::Forbidden),
            ErrorCode::Forbidden,
            Some(403),
        );
        check(
            of(FailureReason::NoLocation),
            ErrorCode::UnsupportedServer,
            Some(201),
        );
        check(
            of(FailureReason::Version),
            ErrorCode::UnsupportedServer,
            Some(412),
        );
        check(of(FailureReason::TooLarge), ErrorCode::TooLarge, None);
        check(
            of(FailureReason::Gone { status: 410 }),
            ErrorCode::Gone,
            None,
        );
        let lost = FailureReason::ServerLostBytes {
            offset: 1,
            released: 2,
        };
        check(of(lost), ErrorCode::Upload, None);
    }

    #[test]
    fn last_segment_follows_the_last_slash() {
        assert_eq!(last_segment("/files/7"), "7");
        assert_eq!(last_segment("7"), "7");
    }
}
