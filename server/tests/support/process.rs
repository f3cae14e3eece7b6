//! The real program in a process of its own, which can be killed.

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
    /// Starts it as `command` says, with recording on and on a port of its own, and waits until it listens. `folder` goes
    /// with it.
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
        // It must not be stopped by a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            url,
            _folder: folder,
        }
    }
}

impl Drop for Process {
    /// Without a warning: SIGKILL.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
