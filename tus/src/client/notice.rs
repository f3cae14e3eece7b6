//! Notices for the adapter and the user interface.

use super::Millis;

/// An event of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The upload exists. Store the URL to be able to resume after a crash. Repeated if the upload vanished while
    /// empty and was created again.
    Created {
        /// URL of the upload.
        url: String,
    },
    /// All bytes below `offset` are durable on the server and may be dropped. The offset increases, except after
    /// [`Notice::ServerLostBytes`].
    Acknowledged {
        /// Offset in bytes from the start.
        offset: u64,
    },
    /// The server has lost acknowledged bytes, which are still available here and will be sent again.
    ServerLostBytes {
        /// Offset that the server had acknowledged.
        acknowledged: u64,
        /// Current offset of the server.
        offset: u64,
    },
    /// Nothing can be sent at the moment.
    Waiting {
        /// Time of the next attempt; `None` if it depends on an external event.
        until: Option<Millis>,
        /// Reason for waiting.
        reason: WaitReason,
    },
    /// No tus server has responded for some seconds since the start: the URL may be wrong. Attempts continue as after
    /// any failure. Emitted at most once, and not for [`Start::Fresh`](super::Start::Fresh).
    NeverAnswered,
    /// The server expects no further bytes: the recording was stopped on the server, or its session has ended. Emitted
    /// once. Available bytes may still be sent; call [`handle_end`](super::Upload::handle_end).
    StoppedByServer,
    /// The server responds properly again after one or more [`Notice::Waiting`].
    Resumed,
    /// The server has all bytes and the final length. The machine is finished.
    Done,
    /// The upload was abandoned on request. The machine is finished.
    Abandoned {
        /// Whether the upload certainly no longer exists on the server.
        deleted: bool,
    },
    /// The upload cannot continue. The machine is finished; the caller still holds all unacknowledged bytes.
    Failed {
        /// Reason for the failure.
        reason: FailureReason,
    },
}

/// Reason why nothing can be sent at the moment. Displays as a sentence for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaitReason {
    /// The adapter reported that the network is offline.
    #[error("There is no network connection.")]
    Offline,
    /// A request failed without a response.
    #[error("The server cannot be reached.")]
    Network,
    /// A request exceeded its timeout.
    #[error("The server does not answer in time.")]
    Timeout,
    /// The server responded with 5xx, 408, 423, 425 or 429.
    #[error("The server is busy or has a fault (status {status}).")]
    Server {
        /// HTTP status of the response.
        status: u16,
    },
    /// The response is not from a tus server; it may be the login page of a captive portal.
    #[error("Something other than the upload server answers (status {status}).")]
    NotTus {
        /// HTTP status of the response.
        status: u16,
    },
    /// The offset was wrong repeatedly (409): another sender is active.
    #[error("Another sender is writing to the same upload.")]
    Conflict,
    /// The body was damaged in transit (460).
    #[error("The bytes were damaged in transit.")]
    Checksum,
    /// An intermediary rejects bodies of this size.
    #[error("The network refuses requests of this size.")]
    PieceTooLarge,
    /// The upload vanished while it was empty, and is created again.
    #[error("The upload no longer exists and is created again.")]
    Gone,
    /// The server lost acknowledged bytes; they are sent again.
    #[error("The server lost bytes; they are sent again.")]
    LostBytes,
    /// The upload needs a new access token.
    #[error("The sign-in has to be renewed.")]
    Token,
}

/// Reason why an upload cannot continue. Displays as a sentence for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FailureReason {
    /// 401 in spite of a new token, or no new token can be obtained.
    #[error("The sign-in has expired and could not be renewed.")]
    Unauthorized,
    /// 403: the caller lacks permission.
    #[error("Writing to this upload is not allowed.")]
    Forbidden,
    /// 404 or 410: the upload no longer exists.
    #[error("The server no longer has this upload (status {status}).")]
    Gone {
        /// HTTP status of the response.
        status: u16,
    },
    /// 413: the upload exceeds a limit. Acknowledged bytes stay on the server.
    #[error("The recording has become larger than the server accepts.")]
    TooLarge,
    /// 412: unsupported protocol version.
    #[error("The server does not support tus 1.0.0.")]
    Version,
    /// Another 4xx status.
    #[error("The server refuses the upload (status {status}). Check the address of the upload.")]
    Rejected {
        /// HTTP status of the response.
        status: u16,
    },
    /// The upload was created, but the response has no `Location`. The same happens across origins if
    /// `Access-Control-Expose-Headers` lacks `Location`.
    #[error("The server created the upload, but did not return its address.")]
    NoLocation,
    /// The upload has a different length, so it belongs to other bytes.
    #[error("The server expects {server} bytes in total, but there are {ours}.")]
    LengthMismatch {
        /// Length of the upload on the server.
        server: u64,
        /// Number of bytes available here.
        ours: u64,
    },
    /// The server has more bytes than are available, so the upload belongs to other bytes.
    #[error("The server holds {offset} bytes, but there are only {available}.")]
    ServerAhead {
        /// Offset of the server.
        offset: u64,
        /// Number of bytes available here.
        available: u64,
    },
    /// The server lost acknowledged bytes that have already been dropped here.
    #[error(
        "The server lost bytes: it holds {offset}, but those below {released} are not kept here."
    )]
    ServerLostBytes {
        /// Offset of the server.
        offset: u64,
        /// Offset of the first byte that is still available here.
        released: u64,
    },
    /// The number of failures reached [`Config::give_up_after`](super::Config::give_up_after).
    #[error("The upload failed after {attempts} attempts. {last}")]
    GaveUp {
        /// Number of consecutive failures.
        attempts: u32,
        /// Reason of the last failure.
        last: WaitReason,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_sentences() {
        #[track_caller]
        fn check(reason: FailureReason, expected: &str) {
            assert_eq!(reason.to_string(), expected);
        }
        check(
            FailureReason::Rejected { status: 405 },
            "The server refuses the upload (status 405). Check the address of the upload.",
        );
        check(
            FailureReason::ServerLostBytes {
                offset: 5,
                released: 7,
            },
            "The server lost bytes: it holds 5, but those below 7 are not kept here.",
        );
        check(
            FailureReason::GaveUp {
                attempts: 3,
                last: WaitReason::NotTus { status: 200 },
            },
            "The upload failed after 3 attempts. Something other than the upload server answers (status 200).",
        );
    }
}
