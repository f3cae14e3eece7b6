//! Commands of the user that the agent runs.

use std::ffi::OsStr;
use std::io;
use std::process::{Child, Command};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};

const FOLDER: &str = "SORTIE_CAPTURE_PATH";

/// Excludes the agent's variables, of which some contain passwords, and the socket to systemd from a command's
/// environment. The folder for recordings stays.
pub(crate) fn hide_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if is_private(&name) {
            command.env_remove(name);
        }
    }
}

fn is_private(name: &OsStr) -> bool {
    let is_own = name.as_encoded_bytes().starts_with(b"SORTIE_");
    is_own && name != FOLDER || name == "NOTIFY_SOCKET"
}

/// Kills a process that leads its group, with its child processes, and waits for its end.
pub(crate) fn kill(mut child: Child) -> io::Result<()> {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    match group.map(|group| kill_process_group(group, Signal::KILL)) {
        None | Some(Ok(()) | Err(Errno::SRCH)) => child.wait().map(drop),
        Some(Err(error)) => {
            // It runs as another user: the caller must not wait for its end, but it must not stay as a zombie.
            std::thread::spawn(move || child.wait());
            Err(error.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;

    use super::*;

    #[test]
    fn own_variables_but_the_folder_are_private() {
        for name in ["SORTIE_CAPTURE_ADMIN_PASSWORD", "SORTIE_X", "NOTIFY_SOCKET"] {
            assert!(is_private(OsStr::new(name)), "{name}");
        }
        for name in ["PATH", FOLDER] {
            assert!(!is_private(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn ended_process_is_no_error() {
        let mut child = Command::new("true").process_group(0).spawn().unwrap();
        child.wait().unwrap();
        kill(child).unwrap();
    }
}
