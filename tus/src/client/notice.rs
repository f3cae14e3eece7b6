//! What the adapter may want to know or show.

use std::error::Error;
use std::fmt;

use super::Millis;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The upload exists. Keep the URL: with it the upload can be resumed after a crash. Comes again when
    /// an upload that vanished before it held anything was created anew.
    Created {
        /// The upload.
        url: String,
    },
    /// The server holds everything below `offset` durably; those bytes may be dropped. Rises, except after
    /// [`Notice::ServerLostBytes`].
    Acknowledged {
        /// In bytes from the start.
        offset: u64,
    },
    /// The server holds less than it acknowledged, but the missing bytes are still here and go again.
    ServerLostBytes {
        /// What it had acknowledged, in bytes.
        acknowledged: u64,
        /// What it holds now, in bytes.
        offset: u64,
    },
    /// Nothing can be sent for now.
    Waiting {
        /// When it is tried again; nothing when that depends on something from outside.
        until: Option<Millis>,
        /// Why.
        reason: WaitReason,
    },
    /// For some seconds nobody has answered as a tus server may, not once since the beginning: the address may be wrong.
    /// It is tried again like after every failure. Given once, and not when an upload is begun with
    /// [`Start::Fresh`](super::Start::Fresh).
    NeverAnswered,
    /// The server wants no more bytes than there are: the recording was stopped there, or its session has ended. Comes
    /// once. What is available may still be sent; call [`handle_end`](super::Upload::handle_end).
    StoppedByServer,
    /// The server answers properly again after one or more [`Notice::Waiting`].
    Resumed,
    /// The server holds all bytes and knows that they are all. The machine is finished.
    Done,
    /// Abandoned as asked. The machine is finished.
    Abandoned {
        /// Whether the server is known to have nothing left of it.
        deleted: bool,
    },
    /// It cannot go on. The machine is finished; what is not acknowledged is still with the caller.
    Failed {
        /// Why.
        reason: FailureReason,
    },
}

/// Why nothing can be sent for now. The text is a sentence for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// The adapter said so.
    Offline,
    /// A request failed without an answer.
    Network,
    /// A request took too long.
    Timeout,
    /// 5xx, 408, 423, 425 or 429.
    Server {
        /// The HTTP status.
        status: u16,
    },
    /// An answer that a tus server does not give, such as a hotel's login page.
    NotTus {
        /// The HTTP status.
        status: u16,
    },
    /// The offset was wrong more than once (409): another sender is at work.
    Conflict,
    /// The bytes were damaged on their way (460).
    Checksum,
    /// Something between here and the server turns bodies of this size away.
    PieceTooLarge,
    /// The upload vanished before it held anything, and is created anew.
    Gone,
    /// The server lost bytes it had acknowledged; they are sent again.
    LostBytes,
    /// Waiting for an access token.
    Token,
}

/// Why an upload cannot go on. The text is a sentence for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureReason {
    /// 401, even with a new token, or no new token to be had.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 404 or 410.
    Gone {
        /// The HTTP status.
        status: u16,
    },
    /// 413: what is acknowledged stays with the server.
    TooLarge,
    /// 412.
    Version,
    /// Another 4xx.
    Rejected {
        /// The HTTP status.
        status: u16,
    },
    /// The upload was created, but the answer does not say where. Across origins this is also what it looks
    /// like when `Access-Control-Expose-Headers` lacks `Location`.
    NoLocation,
    /// The upload has a length that is not ours: it belongs to other bytes.
    LengthMismatch {
        /// What the server expects, in bytes.
        server: u64,
        /// What there is, in bytes.
        ours: u64,
    },
    /// The server holds more than there is: it belongs to other bytes.
    ServerAhead {
        /// What the server holds, in bytes.
        offset: u64,
        /// What there is, in bytes.
        available: u64,
    },
    /// The server holds less than it acknowledged, and the missing bytes were dropped since.
    ServerLostBytes {
        /// What the server holds, in bytes.
        offset: u64,
        /// Where the bytes that are still here begin.
        released: u64,
    },
    /// The number of failures in [`Config::give_up_after`](super::Config::give_up_after).
    GaveUp {
        /// Failures in a row.
        attempts: u32,
        /// The last of them.
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
    fn a_reason_is_a_sentence() {
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
