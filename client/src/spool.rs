//! The spool's decisions: what is written where, and what a crash leaves of it. Pure; `browser::spool` carries it
//! out.
//!
//! A recording is a folder. Its bytes lie in segments (`s` and the first byte's offset), each deleted as soon as the
//! server has acknowledged all of it. A small journal (`j` and a number) says what the recording is and up to where
//! its bytes are whole; every new segment begins a new journal, so neither grows with the length of the recording.
//! `head` keeps the first bytes for good: with them the rest can still be played after its beginning was released.
//!
//! Bytes are flushed before the journal's line about them, so what the journal does not vouch for does not count:
//! a torn tail costs the chunk that was being written.

mod facts;
mod layout;
mod recovery;
mod spool_journal;

pub(crate) use spool_journal::{Change, StoreFailure};
#[cfg(target_arch = "wasm32")]
pub(crate) use {
    facts::Fact,
    layout::{Data, Put, Step},
    recovery::{HEAD_FILE, RecoveredSpool},
    spool_journal::SpoolJournal,
};
