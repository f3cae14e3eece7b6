//! Spool: durable queue of the bytes that the server has not acknowledged. This module decides; `browser::spool`
//! carries it out.
//!
//! A recording is a folder. Its bytes are in segments (`s` and the offset of the first byte), each deleted when the
//! server has acknowledged all of it. A small journal (`j` and a number) describes the recording and the bytes that are
//! whole; each new segment begins a new journal, so neither grows with the length of the recording. `head` keeps the
//! first bytes permanently: with them the remaining bytes can be played after the beginning was released.
//!
//! Bytes are flushed before the journal line about them, so bytes without a line do not count: a torn end costs the
//! chunk that was being written.

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
