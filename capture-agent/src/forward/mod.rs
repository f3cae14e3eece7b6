//! Forwarding of recordings to a central server, while they grow and afterwards.
//!
//! Only the *stream* is sent: the fragments as they were written, without the head and the index that finishing adds
//! (`content`). Those bytes never change, so a recording can be sent while it grows. The server finishes it with the
//! same code and gets the same file, which its hash confirms.
//!
//! Recordings are sent one at a time, oldest first. [`tus::client`](sortie_tus::client) decides what to send and when
//! to retry. A small file (`journal`) holds the state of each recording, so that a restart resumes.
//!
//! Forwarding and recording never wait for each other.

mod central;
mod content;
mod forwarder;
mod journal;
mod rate_limiter;
mod send;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use sortie_api::Forwarding;
use sortie_server::{Importer, Secret};

pub use forwarder::run;
pub use journal::Journal;

use crate::recorder::Handle;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Address without a trailing slash.
    pub url: String,
    /// API token with the scopes `record` and `read`.
    pub token: Secret,
    /// Additional trusted certificate authorities in PEM format.
    pub authorities: Option<Vec<u8>>,
    /// Limit in bytes per second; `None`: unlimited.
    pub bytes_per_second: Option<u64>,
    /// Whether a confirmed recording is deleted here.
    pub delete_after: bool,
}

/// Environment of [`run`].
pub struct Setup {
    pub target: Target,
    pub folder: PathBuf,
    /// File of the journal.
    pub journal: PathBuf,
    /// Recorder, to find the recording in progress.
    pub recorder: Handle,
    /// Confirms and deletes recordings in this device's catalog.
    pub importer: Importer,
    /// State for the appliance page.
    pub status: Status,
}

/// State of the forwarder. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Status(Arc<Mutex<Forwarding>>);

impl Status {
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

    /// Sets the problem; logs it once.
    fn problem(&self, problem: String) {
        self.change(|shown| {
            if shown.problem.as_ref() != Some(&problem) {
                tracing::error!("forwarding: {problem}");
                shown.problem = Some(problem);
            }
        });
    }

    /// Records whether finished recordings wait.
    pub(crate) fn set_behind(&self, is_behind: bool, now: Timestamp) {
        self.change(|shown| match is_behind {
            true if shown.behind_since.is_none() => {
                // Without a fraction of a second.
                let now = Timestamp::from_second(now.as_second());
                shown.behind_since = now.ok().map(|now| now.to_string());
            }
            true => {}
            false => shown.behind_since = None,
        });
    }

    fn well(&self) {
        self.change(|shown| {
            shown.unreachable = false;
            if shown.problem.take().is_some() {
                tracing::info!("forwarding resumes");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backlog_keeps_its_first_time_until_it_is_gone() {
        let status = Status::default();
        let at = |second| Timestamp::from_second(second).expect("a time");
        status.set_behind(true, at(60));
        status.set_behind(true, at(120));
        let since = status.shown().behind_since;
        assert_eq!(since.as_deref(), Some("1970-01-01T00:01:00Z"));
        status.set_behind(false, at(180));
        assert_eq!(status.shown().behind_since, None);
    }
}
