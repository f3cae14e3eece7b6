//! Traces the server's system calls: bytes that a power failure would lose must not be acknowledged.
//!
//! A power failure may lose every write that was not synced. Hence it suffices to check that
//! - an acknowledged offset follows an `fdatasync` that began after all of its bytes had been written and succeeded
//!   before the answer began,
//! - the folder of a new object was synced before its creation is acknowledged,
//! - finishing keeps its order: index, `fdatasync`, head, `fdatasync`, rename, `fsync` of the folder, answer.
//!
//! The trace comes from strace (`-f -yy`), and the program is the shipped one. Whether kernel and drive honour
//! `fdatasync` is outside this test.

mod check;
mod event;
mod run;

pub use check::{Report, check};
pub use event::{Event, parse};
pub use run::{available, run};
