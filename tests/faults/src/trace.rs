//! Watches the server's system calls: what a power cut would take must not have been acknowledged.
//!
//! A power cut may take everything that was written and not synced since. So it is enough to know that
//! - an acknowledged offset comes after an `fdatasync` that began when all of its bytes had been written and
//!   ended well before the answer began,
//! - a new object's name is synced (its folder was) before its creation is acknowledged,
//! - finishing keeps its order: index, `fdatasync`, head, `fdatasync`, rename, `fsync` of the folder, answer.
//!
//! The trace is strace's (`-f -yy`), the program is as it is shipped. That the disk keeps what `fdatasync`
//! promised is the kernel's and the drive's business.

mod check;
mod event;
mod run;

pub use check::{Verdict, check};
pub use event::{Event, parse};
pub use run::{available, run};
