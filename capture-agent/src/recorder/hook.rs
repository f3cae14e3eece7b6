//! Command that makes the folder writable.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::child;
use crate::clock::monotonic;

/// Polling interval for the end of the command.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Runs a command with `sh`. After `limit` it is killed together with its child processes.
///
/// Errors: reason for the user why the folder may not be writable.
pub(super) fn run(command: &str, limit: Duration) -> Result<(), String> {
    let mut shell = Command::new("sh");
    child::hide_settings(&mut shell);
    let child = shell
        .args(["-c", command])
        .stdin(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("the hook cannot be started: {error}"))?;
    match wait(child, limit) {
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) => Err(format!("the hook failed: {status}: {command}")),
        Ok(None) => Err(format!(
            "the hook was killed, for it took longer than {} s: {command}",
            limit.as_secs()
        )),
        Err(error) => Err(format!("the hook: {error}")),
    }
}

/// Exit status; `None` if it was killed after the limit.
fn wait(mut child: Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let until = monotonic() + limit;
    while monotonic() < until {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    child::kill(child)?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn successful_hook_returns_ok() {
        assert_eq!(run("true", LONG), Ok(()));
    }

    #[test]
    fn failing_hook_is_named() {
        let error = run("exit 3", LONG).unwrap_err();
        assert_eq!(error, "the hook failed: exit status: 3: exit 3");
    }

    #[test]
    fn hanging_hook_is_killed_with_children() {
        let began = monotonic();
        // The shell waits for a child process.
        let error = run("sleep 1000; true", Duration::from_millis(100)).unwrap_err();
        assert!(error.starts_with("the hook was killed"), "{error}");
        assert!(monotonic() - began < LONG);
    }
}
