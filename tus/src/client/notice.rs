//! What the adapter may want to know or show.

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaitReason {
    /// The adapter said so.
    #[error("There is no network connection.")]
    Offline,
    /// A request failed without an answer.
    #[error("The server cannot be reached.")]
    Network,
    /// A request took too long.
    #[error("The server does not answer in time.")]
    Timeout,
    /// 5xx, 408, 423, 425 or 429.
    #[error("The server is busy or has a fault (status {status}).")]
    Server {
        /// The HTTP status.
        status: u16,
    },
    /// An answer that a tus server does not give, such as a hotel's login page.
    #[error("Something other than the upload server answers (status {status}).")]
    NotTus {
        /// The HTTP status.
        status: u16,
    },
    /// The offset was wrong more than once (409): another sender is at work.
    #[error("Another sender is writing to the same upload.")]
    Conflict,
    /// The bytes were damaged on their way (460).
    #[error("The bytes were damaged on their way.")]
    Checksum,
    /// Something between here and the server turns bodies of this size away.
    #[error("The network does not let a piece of this size through.")]
    PieceTooLarge,
    /// The upload vanished before it held anything, and is created anew.
    #[error("The upload is gone and is created anew.")]
    Gone,
    /// The server lost bytes it had acknowledged; they are sent again.
    #[error("The server lost bytes; they are sent again.")]
    LostBytes,
    /// Waiting for an access token.
    #[error("The sign-in has to be renewed.")]
    Token,
}

/// Why an upload cannot go on. The text is a sentence for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FailureReason {
    /// 401, even with a new token, or no new token to be had.
    #[error("The sign-in has expired and could not be renewed.")]
    Unauthorized,
    /// 403.
    #[error("Writing to this upload is not allowed.")]
    Forbidden,
    /// 404 or 410.
    #[error("The server no longer has this upload (status {status}).")]
    Gone {
        /// The HTTP status.
        status: u16,
    },
    /// 413: what is acknowledged stays with the server.
    #[error("The recording has become larger than the server takes.")]
    TooLarge,
    /// 412.
    #[error("The server does not speak tus 1.0.0.")]
    Version,
    /// Another 4xx.
    #[error("The server turns the upload down (status {status}). Check the address it goes to.")]
    Rejected {
        /// The HTTP status.
        status: u16,
    },
    /// The upload was created, but the answer does not say where. Across origins this is also what it looks
    /// like when `Access-Control-Expose-Headers` lacks `Location`.
    #[error("The server created the upload without saying where.")]
    NoLocation,
    /// The upload has a length that is not ours: it belongs to other bytes.
    #[error("The server expects {server} bytes in all, there are {ours}.")]
    LengthMismatch {
        /// What the server expects, in bytes.
        server: u64,
        /// What there is, in bytes.
        ours: u64,
    },
    /// The server holds more than there is: it belongs to other bytes.
    #[error("The server holds {offset} bytes, but there are only {available}.")]
    ServerAhead {
        /// What the server holds, in bytes.
        offset: u64,
        /// What there is, in bytes.
        available: u64,
    },
    /// The server holds less than it acknowledged, and the missing bytes were dropped since.
    #[error(
        "The server lost bytes: it holds {offset}, but those below {released} are not kept here."
    )]
    ServerLostBytes {
        /// What the server holds, in bytes.
        offset: u64,
        /// Where the bytes that are still here begin.
        released: u64,
    },
    /// The number of failures in [`Config::give_up_after`](super::Config::give_up_after).
    #[error("Given up after {attempts} attempts. {last}")]
    GaveUp {
        /// Failures in a row.
        attempts: u32,
        /// The last of them.
        last: WaitReason,
    },
}
