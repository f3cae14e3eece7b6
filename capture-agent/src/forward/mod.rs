//! Sends recordings on to a central server, while they are made and afterwards.
//!
//! What is sent is the *stream*: the fragments as they were written, without the head and the index that finishing
//! puts around them (`content`). Those bytes never change, so a recording can be sent while it grows, and the other
//! end, which finishes it by the same code, has the same file in the end. That it has, it shows by its hash.
//!
//! One recording at a time, the oldest first. [`tus::client`](sortie_tus::client) decides what to send and when to try
//! again; how far each recording is, is in one small file (`ledger`), so that a restart goes on where it was.
//!
//! What it deliberately does not: wait for anything the recorder does, or make it wait.

mod central;
mod content;
mod ledger;
mod pace;
mod round;
mod send;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use sortie_api::Forwarding;
use sortie_server::{Importer, Secret};

pub use ledger::Ledger;
pub use round::run;

use crate::recorder::Handle;

/// Where recordings are sent on to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The server's address, without a slash at its end.
    pub url: String,
    /// An API token with the scopes `record` and `read`.
    pub token: Secret,
    /// Certificates of authorities that are trusted besides the system's, in PEM.
    pub authorities: Option<Vec<u8>>,
    /// Bytes a second that may be used; `None`: all that there are.
    pub bytes_per_second: Option<u64>,
    /// Whether a recording is deleted here once the server has shown that it has all of it.
    pub delete_after: bool,
}

/// What [`run`] works with.
pub struct Forwarder {
    /// Where to.
    pub target: Target,
    /// Where recordings are.
    pub folder: PathBuf,
    /// The file in which it is kept how far each is.
    pub ledger: PathBuf,
    /// What is being recorded now.
    pub recorder: Handle,
    /// Where recordings are deleted.
    pub importer: Importer,
    /// What it is doing, for whoever wants to know.
    pub status: Status,
}

/// What a forwarder is doing. Clones are one and the same.
#[derive(Debug, Clone, Default)]
pub struct Status(Arc<Mutex<Forwarding>>);

impl Status {
    /// A moment's view.
    #[must_use]
    pub fn shown(&self) -> Forwarding {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn change(&self, change: impl FnOnce(&mut Forwarding)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Says what is wrong, once: in the log too.
    fn problem(&self, problem: String) {
        self.change(|shown| {
            if shown.problem.as_ref() != Some(&problem) {
                tracing::error!("forwarding: {problem}");
                shown.problem = Some(problem);
            }
        });
    }

    fn well(&self) {
        self.change(|shown| {
            if shown.problem.take().is_some() {
                tracing::info!("forwarding goes on");
            }
        });
    }
}
