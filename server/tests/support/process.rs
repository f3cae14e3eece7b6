//! The real program in a separate process that can be killed.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::ADMIN_PASSWORD;

pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) url: String,
    _folder: Option<TempDir>,
}

impl Process {
    /// Starts `command` with recording on and on a free port, and waits until it listens. Keeps `folder` as long as the
    /// process.
    pub(crate) fn start(command: &mut Command, folder: Option<TempDir>) -> Self {
        let mut child = command
            .env("SORTIE_VIDEO_RECORDING_ENABLED", "true")
            .env("SORTIE_HOST", "127.0.0.1")
            .env("SORTIE_PORT", "0")
            .env("SORTIE_ADMIN_PASSWORD", ADMIN_PASSWORD)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let stdout = child.stdout.take().expect("piped");
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let url = lines
            .find_map(|line| Some(line.split_once("listens on ")?.1.to_owned()))
            .expect("it listens");
        // Drains standard error, as a full pipe would block the process.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            url,
            _folder: folder,
        }
    }
}

impl Drop for Process {
    /// Kills the process with SIGKILL.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
