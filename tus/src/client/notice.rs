//! Notices for the adapter and the user interface.

use std::error::Error;
use std::fmt;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// The adapter reported that the network is offline.
    Offline,
    /// A request failed without a response.
    Network,
    /// A request exceeded its timeout.
    Timeout,
    /// The server responded with 5xx, 408, 423, 425 or 429.
    Server {
        /// HTTP status of the response.
        status: u16,
    },
    /// The response is not from a tus server; it may be the login page of a captive portal.
    NotTus {
        /// HTTP status of the response.
        status: u16,
    },
    /// The offset was wrong repeatedly (409): another sender is active.
    Conflict,
    /// The body was damaged in transit (460).
    Checksum,
    /// An intermediary rejects bodies of this size.
    PieceTooLarge,
    /// The upload vanished while it was empty, and is created again.
    Gone,
    /// The server lost acknowledged bytes; they are sent again.
    LostBytes,
    /// The upload needs a new access token.
    Token,
}

/// Reason why an upload cannot continue. Displays as a sentence for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureReason {
    /// 401 in spite of a new token, or no new token can be obtained.
    Unauthorized,
    /// 403: the caller lacks permission.
    Forbidden,
    /// 404 or 410: the upload no longer exists.
    Gone {
        /// HTTP status of the response.
        status: u16,
    },
    /// 413: the upload exceeds a limit. Acknowledged bytes stay on the server.
    TooLarge,
    /// 412: unsupported protocol version.
    Version,
    /// Another 4xx status.
    Rejected {
        /// HTTP status of the response.
        status: u16,
    },
    /// The upload was created, but the response has no `Location`. The same happens across origins if
    /// `Access-Control-Expose-Headers` lacks `Location`.
    NoLocation,
    /// The upload has a different length, so it belongs to other bytes.
    LengthMismatch {
        /// Length of the upload on the server.
        server: u64,
        /// Number of bytes available here.
        ours: u64,
    },
    /// The server has more bytes than are available, so the upload belongs to other bytes.
    ServerAhead {
        /// Offset of the server.
        offset: u64,
        /// Number of bytes available here.
        available: u64,
    },
    /// The server lost acknowledged bytes that have already been dropped here.
    ServerLostBytes {
        /// Offset of the server.
        offset: u64,
        /// Offset of the first byte that is still available here.
        released: u64,
    },
    /// The number of failures reached [`Config::give_up_after`](super::Config::give_up_after).
    GaveUp {
        /// Number of consecutive failures.
        attempts: u32,
        /// Reason of the last failure.
        last: WaitReason,
    },
}

// By hand: what `write!` needs of the standard library is 2 kB that every page with a recorder would fetch.

impl Error for WaitReason {}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Offline => "There is no network connection.",
            Self::Network => "The server cannot be reached.",
            Self::Timeout => "The server does not answer in time.",
            Self::Server { status } => {
                let status = status.to_string();
                return write(
                    f,
                    &["The server is busy or has a fault (status ", &status, ")."],
                );
            }
            Self::NotTus { status } => {
                let start = "Something other than the upload server answers (status ";
                return write(f, &[start, &status.to_string(), ")."]);
            }
            Self::Conflict => "Another sender is writing to the same upload.",
            Self::Checksum => "The bytes were damaged on their way.",
            Self::PieceTooLarge => "The network does not let a piece of this size through.",
            Self::Gone => "The upload is gone and is created anew.",
            Self::LostBytes => "The server lost bytes; they are sent again.",
            Self::Token => "The sign-in has to be renewed.",
        };
        f.write_str(text)
    }
}

impl Error for FailureReason {}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Unauthorized => "The sign-in has expired and could not be renewed.",
            Self::Forbidden => "Writing to this upload is not allowed.",
            Self::Gone { status } => {
                let start = "The server no longer has this upload (status ";
                return write(f, &[start, &status.to_string(), ")."]);
            }
            Self::TooLarge => "The recording has become larger than the server takes.",
            Self::Version => "The server does not speak tus 1.0.0.",
            Self::Rejected { status } => {
                let start = "The server turns the upload down (status ";
                let end = "). Check the address it goes to.";
                return write(f, &[start, &status.to_string(), end]);
            }
            Self::NoLocation => "The server created the upload without saying where.",
            Self::LengthMismatch { server, ours } => {
                let (server, ours) = (server.to_string(), ours.to_string());
                let between = " bytes in all, there are ";
                return write(f, &["The server expects ", &server, between, &ours, "."]);
            }
            Self::ServerAhead { offset, available } => {
                let (offset, available) = (offset.to_string(), available.to_string());
                let between = " bytes, but there are only ";
                return write(f, &["The server holds ", &offset, between, &available, "."]);
            }
            Self::ServerLostBytes { offset, released } => {
                let (offset, released) = (offset.to_string(), released.to_string());
                let start = "The server lost bytes: it holds ";
                let end = " are not kept here.";
                return write(f, &[start, &offset, ", but those below ", &released, end]);
            }
            Self::GaveUp { attempts, last } => {
                write(
                    f,
                    &["Given up after ", &attempts.to_string(), " attempts. "],
                )?;
                return last.fmt(f);
            }
        };
        f.write_str(text)
    }
}

fn write(f: &mut fmt::Formatter<'_>, texts: &[&str]) -> fmt::Result {
    texts.iter().try_for_each(|text| f.write_str(text))
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
            "The server turns the upload down (status 405). Check the address it goes to.",
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
            "Given up after 3 attempts. Something other than the upload server answers (status 200).",
        );
    }
}
