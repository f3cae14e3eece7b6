//! Assignment of files to sessions.

use std::collections::HashMap;
use std::time::Duration;

use super::Event;
use super::controller::Cause;
use crate::writer::Finished;

/// Current session, and the session of each unfinished file.
pub(super) struct Sessions {
    number: u64,
    cause: Cause,
    of_file: HashMap<String, u64>,
    /// Duration of the finished files of the current session, in ms.
    finished_ms: u64,
    /// Whether a failure ended the file that is finished next.
    is_abandoned: bool,
}

impl Sessions {
    pub(super) fn new() -> Self {
        Self {
            number: 0,
            cause: Cause::Signal,
            of_file: HashMap::new(),
            finished_ms: 0,
            is_abandoned: false,
        }
    }

    /// Starts a recording: the first one of a new session, or a further one of the current session.
    pub(super) fn start(&mut self, cause: Cause, is_new: bool) {
        if is_new {
            self.number += 1;
            self.finished_ms = 0;
        }
        self.cause = cause;
    }

    /// Marks the file in progress as interrupted.
    pub(super) fn abandon(&mut self) {
        self.is_abandoned = true;
    }

    pub(super) fn file_begun(&mut self, name: String, age: Duration) -> Event {
        self.is_abandoned = false;
        self.of_file.insert(name.clone(), self.number);
        Event::Begun {
            session: self.number,
            cause: self.cause,
            name,
            age,
        }
    }

    pub(super) fn file_finished(&mut self, file: Finished) -> Event {
        let session = self.of_file.remove(&file.name).unwrap_or(self.number);
        if session == self.number {
            self.finished_ms += file.duration_ms;
        }
        Event::Finished {
            session,
            file,
            interrupted: std::mem::take(&mut self.is_abandoned),
        }
    }

    /// Removes a file that was deleted because it held no frame.
    pub(super) fn file_empty(&mut self, name: &str) {
        self.of_file.remove(name);
    }

    pub(super) fn finished_ms(&self) -> u64 {
        self.finished_ms
    }
}
