//! MP4 (ISO/IEC 14496-12), fragmented while it grows.
//!
//! A finished file is `ftyp`, one `mdat` that holds everything received, and a `moov` with full sample tables
//! behind it: an ordinary MP4. Not a byte of the stream is changed; the sender's own `ftyp`, `moov` and `moof`
//! boxes lie unseen in our `mdat`. Where the last fragment is torn, its complete samples count, and its data is
//! filled up: otherwise a later scan could take the appended `moov` for the rest of it.
//!
//! Sample tables name every frame, so memory and the appended `moov` grow by some 4 bytes with each: 3.3 MB for
//! three hours with sound. They are worth it. The same recording with a duration, a thinned `sidx`, an `mfra` or
//! both, instead of the tables, is downloaded as a whole (208 MB) by Chromium before it shows anything and by
//! Firefox when it seeks, and ffmpeg seeks beside the mark. So that is what only recordings get that exceed the
//! tables' limit: they stay fragmented, with their duration in our head.
//!
//! A file that was no stream but ordinary from the beginning is treated the same: its `moov` is appended again,
//! with every chunk moved by the head room.

mod boxes;
mod filler;
mod finish;
mod fragment;
mod fragmenter;
mod long;
mod movie;
mod ordinary;
mod samples;
mod scanner;

pub use fragmenter::{Colour, EncodedFrame, Fragmenter, VideoTrack};
pub(crate) use scanner::Scanner;
