//! Shows that the server keeps its promises when things go wrong.
//!
//! | Module | Fault | What must hold |
//! |---|---|---|
//! | [`kill`] | `kill -9` at random moments under concurrent uploads | no acknowledged byte is lost, everything goes on |
//! | [`remote`] | the same with an object store | no acknowledged byte is lost, no part is there twice |
//! | [`trace`] | what a power cut would take | every acknowledgement comes after the `fdatasync` of its bytes |
//! | [`full`] | full and read-only file systems, file size limits, a full staging folder | 507, nothing harmed, goes on by itself |
//! | [`network`] | cut, stalled, slow and doubled connections | the real upload machine gets every byte through |
//! | [`hostile`] | crafted files and forms, floods and idle connections, in 512 MiB | `/healthz` answers within a second, an upload is served afterwards |
//!
//! The server is the real program, started as a user would. It has no hooks for these tests. Each checker is
//! tested on doctored data: it must be able to fail.

pub mod caller;
pub mod dice;
pub mod full;
pub mod hostile;
pub mod kill;
pub mod ledger;
pub mod machine;
pub mod network;
pub mod players;
pub mod process;
pub mod proxy;
pub mod remote;
pub mod source;
pub mod store;
pub mod trace;
pub mod webm;
