//! Stable identifiers of errors.

use crate::named::named;

named! {
    fn name;
    /// Stable identifier of a [`RecorderError`](crate::RecorderError), for programs.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum ErrorCode {
        /// The user, the browser or the embedding page refused permission.
        PermissionDenied = "permission_denied",
        /// The device does not exist.
        NoDevice = "no_device",
        /// The device cannot be read.
        DeviceBusy = "device_busy",
        /// The page has no secure connection.
        InsecureContext = "insecure_context",
        /// The browser lacks a feature.
        Unsupported = "unsupported",
        /// The canvas shows pictures from another origin.
        TaintedCanvas = "tainted_canvas",
        /// The stream has no live track.
        NoTracks = "no_tracks",
        /// A mask cannot be applied.
        MaskFailed = "mask_failed",
        /// The element to record is missing, has no size, or is in another tab.
        RegionFailed = "region_failed",
        /// The browser's encoder failed.
        Encoder = "encoder",
        /// The encoder emitted no byte, or the file is empty.
        Empty = "empty",
        /// The call is not possible in the recorder's state.
        WrongState = "wrong_state",
        /// The recording or the upload was cancelled.
        Aborted = "aborted",
        /// The sign-in has expired or was refused.
        SignedOut = "signed_out",
        /// The server does not answer.
        Unreachable = "unreachable",
        /// The server does not understand the request.
        BadRequest = "bad_request",
        /// The caller lacks permission.
        Forbidden = "forbidden",
        /// The session or the recording does not exist.
        NotFound = "not_found",
        /// The session is not running.
        SessionNotRunning = "session_not_running",
        /// The state of the session or of the recording does not allow the request.
        Conflict = "conflict",
        /// The recording exceeds the server's size limit.
        TooLarge = "too_large",
        /// A quota of the user is exhausted.
        QuotaExceeded = "quota_exceeded",
        /// The caller has sent too many requests, or has too many open uploads.
        RateLimited = "rate_limited",
        /// The server's storage is full.
        InsufficientStorage = "insufficient_storage",
        /// The server is starting, stopping or overloaded, or its database or storage does not answer.
        Unavailable = "unavailable",
        /// The server has failed.
        ServerError = "server_error",
        /// The address belongs to another kind of server, or to an incompatible version.
        UnsupportedServer = "unsupported_server",
        /// The server found no recording in the file.
        NoRecording = "no_recording",
        /// The server no longer has the upload.
        Gone = "gone",
        /// The bytes on the server are not those of this upload.
        Upload = "upload",
        /// Another tab uses the recording.
        InUse = "in_use",
        /// The copy on the device cannot be read.
        Storage = "storage",
        /// The copy on the device contains no whole picture.
        NotPlayable = "not_playable",
    }
}

impl ErrorCode {
    /// Whether the cause is temporary: the same call may succeed later without a change by the page or its user.
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::Unreachable
                | Self::RateLimited
                | Self::InsufficientStorage
                | Self::Unavailable
                | Self::ServerError
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{State, StopReason, WarningCode};

    const TYPES: &str = include_str!("../npm/types.d.ts");

    /// Returns the literals of a union type in `types.d.ts`. Fails if a literal has no comment.
    #[track_caller]
    fn union(name: &str) -> BTreeSet<&'static str> {
        let start = format!("export type {name} =\n");
        let (_, after) = TYPES.split_once(start.as_str()).expect(name);
        let (body, _) = after.split_once(";\n\n").expect("the end of the union");
        let mut is_documented = false;
        let mut literals = BTreeSet::new();
        for line in body.lines().map(str::trim) {
            if let Some(literal) = line.strip_prefix("| '") {
                let literal = literal.strip_suffix('\'').expect("one literal a line");
                assert!(is_documented, "{name}: {literal} has no comment");
                assert!(literals.insert(literal), "{name}: {literal} twice");
                is_documented = false;
            } else {
                is_documented = line.ends_with("*/");
            }
        }
        literals
    }

    #[test]
    fn types_document_every_error_code() {
        let codes = ErrorCode::ALL.iter().map(|it| it.name()).collect();
        assert_eq!(union("RecorderErrorCode"), codes);
    }

    #[test]
    fn types_document_every_state_and_stop_reason() {
        let mut states: BTreeSet<_> = State::ALL.iter().map(|it| it.name()).collect();
        // The package fetches the recorder's WebAssembly module in this state.
        states.insert("loading");
        assert_eq!(union("RecorderState"), states);
        let reasons = StopReason::ALL.iter().map(|it| it.code()).collect();
        assert_eq!(union("StopReason"), reasons);
    }

    #[test]
    fn types_document_every_warning() {
        let codes = WarningCode::ALL.iter().map(|it| it.name()).collect();
        assert_eq!(union("RecorderWarningCode"), codes);
    }
}
