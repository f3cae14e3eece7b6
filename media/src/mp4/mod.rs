//! MP4 (ISO/IEC 14496-12), fragmented while it grows.
//!
//! A finished file is `ftyp`, one `mdat` that holds everything received, and a `moov` with full sample tables
//! behind it: an ordinary MP4. Not a byte of the stream is changed; the sender's own `ftyp`, `moov` and `moof`
//! boxes lie unseen in our `mdat`. Of a fragment only a whole one counts: otherwise a later scan could take the
//! appended `moov` for the rest of its data.
//!
//! A file that was no stream but ordinary from the beginning is treated the same: its `moov` is appended again,
//! with every chunk moved by the head room.

mod boxes;
mod finish;
mod fragment;
mod movie;
mod samples;
mod scanner;

pub(crate) use scanner::Scanner;
