//! MP4 (ISO/IEC 14496-12), fragmented while it grows.
//!
//! A finished file is `ftyp`, one `mdat` that holds everything received, and a `moov` with full sample tables
//! behind it: an ordinary MP4. The sender's own `ftyp`, `moov` and `moof` boxes lie unseen in our `mdat`, and so does
//! a mark in front of our `moov`, by which a later scan knows where the sender's stream ends. Where the last fragment
//! is torn, its complete samples count, and its data is filled up: otherwise a later scan could take the appended
//! `moov` for the rest of it.
//!
//! Two numbers of the stream are changed in place. A fragment whose offsets count from the beginning of the file is told
//! its new place, so that the growing file plays; a scan takes both forms for the same. And a torn `mdat` of an ordinary
//! file is told its real size.
//!
//! Sample tables name every frame, so memory and the appended `moov` grow by some 4 bytes with each: 3.3 MB for
//! three hours with sound. They are worth it. The same recording with a duration, a thinned `sidx`, an `mfra` or
//! both, instead of the tables, is downloaded as a whole (208 MB) by Chromium before it shows anything and by
//! Firefox when it seeks, and ffmpeg seeks beside the mark. So only recordings that exceed the limit of the tables, or
//! the memory their caller has, get that: they stay fragmented, with their duration in our head.
//!
//! Samples that `moov` itself describes come before those of fragments (ISO/IEC 14496-12, section 8.8). A file without
//! fragments is treated the same: its `moov` is appended again, with every chunk moved by the head room. If some of
//! its samples are not where media data can be, new tables hold the others.

mod boxes;
mod filler;
mod finish;
mod fragment;
mod fragmenter;
mod head;
mod moov;
mod movie;
mod runs;
mod samples;
mod scanner;
mod tables;

pub use fragmenter::{Colour, EncodedFrame, Fragmenter, VideoTrack};
pub(crate) use head::StoredHead;
pub(crate) use scanner::Scanner;
