//! Fault tests: the server keeps its guarantees under crashes, full disks, bad networks and hostile input.
//!
//! | Module | Fault | Guarantee |
//! |---|---|---|
//! | [`kill`] | `kill -9` at random moments under concurrent uploads | no acknowledged byte is lost, every upload resumes |
//! | [`remote`] | the same with an object store | no acknowledged byte is lost, no part is duplicated |
//! | [`trace`] | losses of a power failure | every acknowledgement follows the `fdatasync` of its bytes |
//! | [`full`] | full and read-only file systems, file size limits, a full staging folder | 507, no damage, automatic resumption |
//! | [`network`] | cut, stalled, slow and duplicated connections | the real upload state machine delivers every byte |
//! | [`hostile`] | crafted files and forms, floods and idle connections, in 512 MiB | `/healthz` answers within a second, an upload succeeds afterwards |
//!
//! The server is the real program, started as by a user and without hooks for these tests. Each checker has tests with
//! damaged data, which show that it can fail.
#![expect(
    missing_docs,
    reason = "not a published interface: comments only where a name does not say it"
)]

pub mod caller;
pub mod expectations;
pub mod full;
pub mod hostile;
pub mod kill;
pub mod machine;
pub mod network;
pub mod players;
pub mod process;
pub mod proxy;
pub mod remote;
pub mod rng;
pub mod source;
pub mod store;
pub mod trace;
pub mod webm;
