//! The sender's half: a state machine that gets a growing run of bytes to a server.
//!
//! [`Upload`] decides, an adapter acts: it sends the requests, keeps the clock and holds the bytes.

mod backoff;
mod command;
mod config;
mod flight;
mod location;
mod notice;
mod response;
mod sizing;
mod upload;

pub use crate::header::UploadLength;
pub use command::{Command, HttpRequest, RequestId};
pub use config::{Config, Start};
pub use notice::{FailureReason, Notice, WaitReason};
pub use response::Response;
pub use upload::{Abandon, RenewalFailure, Upload};

/// Milliseconds on the adapter's clock. Any zero will do; the clock must not run backwards (if it does, the
/// machine takes the latest time it has seen).
pub type Millis = u64;
