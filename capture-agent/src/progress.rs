//! Progress of a recording on standard error.

use std::io::{self, IsTerminal as _, Write as _};

use sortie_capture_agent::record::Step;
use sortie_capture_agent::writer::RecoveredFile;

/// Progress line on a terminal.
pub(crate) struct Shown {
    terminal: bool,
    /// Whether the line with the cursor must be overwritten.
    dirty: bool,
}

impl Default for Shown {
    fn default() -> Self {
        Self {
            terminal: io::stderr().is_terminal(),
            dirty: false,
        }
    }
}

impl Shown {
    pub(crate) fn step(&mut self, step: &Step) {
        match step {
            Step::RecoveredFile(recovered) => self.line(&describe_recovered(recovered)),
            Step::Begun { mode, encoder } => {
                let how = encoder.unwrap_or("as it comes");
                self.line(&format!("recording {mode}, {how}; Ctrl-C stops"));
            }
            Step::Next(finished) => self.line(&format!(
                "the picture's format changed; {} is finished",
                finished.name
            )),
            Step::Going { written, dropped } if self.terminal => {
                let line = format!(
                    "\r{}  {}  {} frames dropped \x1b[K",
                    seconds(written.duration_ms),
                    megabytes(written.size_bytes),
                    dropped + written.dropped_frames
                );
                self.dirty = true;
                write(&line);
            }
            Step::Going { .. } => {}
        }
    }

    /// Erases the progress line.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.dirty) {
            write("\r\x1b[K");
        }
    }

    fn line(&mut self, line: &str) {
        self.clear();
        write(&format!("{line}\n"));
    }
}

fn write(text: &str) {
    let mut out = io::stderr().lock();
    // A closed terminal does not stop the recording.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn describe_recovered(recovered: &RecoveredFile) -> String {
    match recovered {
        RecoveredFile::Finished(finished) => format!(
            "finished the recording of an earlier run: {} ({})",
            finished.name,
            seconds(finished.duration_ms)
        ),
        RecoveredFile::Empty(name) => format!("removed {name}: nothing was recorded into it"),
        RecoveredFile::Damaged(name, reason) => format!("{name} cannot be played: {reason}"),
        RecoveredFile::InUse(name) => format!("{name} is being written by another program"),
        RecoveredFile::Stays(name, error) => format!("{name} stays unfinished: {error}"),
    }
}

/// Formats a duration: `1:02:03`.
pub(crate) fn seconds(ms: u64) -> String {
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!("{hours}:{minutes:02}:{seconds:02}")
}

/// Formats a size: `12.3 MB`.
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
}
