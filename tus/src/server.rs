//! The server's half: what a request asks for, and whether it may.
//!
//! Two steps, because the first needs no upload: [`Protocol`] reads headers, [`admit`] decides once the
//! upload's state is known ([`join`] for a final upload). Routes, bodies, storage and the moment of acknowledging belong to the server.

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
