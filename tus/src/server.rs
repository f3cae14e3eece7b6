//! Server side: parsing requests and deciding on them.
//!
//! There are two steps, because the first needs no upload: [`Protocol`] parses headers; [`admit`], or [`join`] for a
//! final upload, decides once the state of the upload is known. Routes, bodies, storage and the acknowledgement are up
//! to the server.

mod admission;
mod concatenation;
mod extension;
mod protocol;
mod refusal;

pub use crate::header::UploadLength;
pub use admission::{Admission, admit};
pub use concatenation::{Part, join, part_id};
pub use extension::{Extension, Extensions};
pub use protocol::{Append, Creation, Protocol, effective_method};
pub use refusal::Refusal;
