//! Client side: a sans-IO state machine that sends a growing sequence of bytes to a server.
//!
//! [`Upload`] makes the decisions. An adapter sends the requests, keeps the time and holds the bytes.

mod access_token;
mod backoff;
mod body_limit;
mod command;
mod config;
mod in_flight;
mod location;
mod notice;
mod notice_queue;
mod offsets;
mod reaction;
mod response;
mod upload;

pub use crate::header::UploadLength;
pub use command::{Command, HttpRequest, RequestId};
pub use config::{Config, Start};
pub use notice::{FailureReason, Notice, WaitReason};
pub use response::Response;
pub use upload::{Abandon, RenewalFailure, Upload};

/// Milliseconds on the adapter's clock, with an arbitrary epoch. The clock should be monotonic; if it runs backwards,
/// the machine uses the latest time it has seen.
pub type Millis = u64;
