//! Command that is run for each alarm.

use std::io::{self, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_setfl};
use tokio::sync::mpsc;

use super::{CommandLine, Transition};
use crate::child;
use crate::clock::monotonic;

/// Polling interval for output and end of the command.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Bytes of output that are logged; the rest is discarded.
const OUTPUT_MAX: usize = 4096;
/// Alarms that wait for the command. Further ones are logged only.
const QUEUE: usize = 16;

/// Command for alarms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    pub command: CommandLine,
    /// Time limit; then it is killed with its child processes.
    pub limit: Duration,
}

/// Runs a [`Hook`] for one alarm at a time, in the order of the alarms. The caller never waits.
#[derive(Debug, Clone)]
pub struct HookRunner(mpsc::Sender<Transition>);

impl HookRunner {
    /// Starts a task that ends with the runtime or when the runner is dropped.
    #[must_use]
    pub fn start(hook: Hook) -> Self {
        let (send, mut receive) = mpsc::channel::<Transition>(QUEUE);
        tokio::spawn(async move {
            while let Some(transition) = receive.recv().await {
                let hook = hook.clone();
                let run = tokio::task::spawn_blocking(move || hook.run(&transition));
                // Fails only when the runtime stops.
                let _ = run.await;
            }
        });
        Self(send)
    }

    pub fn report(&self, transition: &Transition) {
        if self.0.try_send(transition.clone()).is_err() {
            let alarm = transition.alarm.alarm.name();
            tracing::error!(
                alarm,
                "the alarm hook is too slow: it is not run for this alarm"
            );
        }
    }
}

impl Hook {
    /// Runs the command and logs its output and its failure.
    fn run(&self, transition: &Transition) {
        let alarm = transition.alarm.alarm.name();
        match self.execute(transition) {
            Ok((status, output)) => {
                for line in String::from_utf8_lossy(&output).lines() {
                    tracing::info!(alarm, "alarm hook: {line}");
                }
                match status {
                    Some(status) if status.success() => {}
                    Some(status) => tracing::error!(alarm, "the alarm hook failed: {status}"),
                    None => tracing::error!(
                        alarm,
                        "the alarm hook was killed: it took longer than {} s",
                        self.limit.as_secs()
                    ),
                }
            }
            Err(error) => {
                let program = &self.command.program;
                tracing::error!(alarm, "the alarm hook {program} cannot be run: {error}");
            }
        }
    }

    /// Returns the exit status, `None` if it was killed, and the beginning of the output.
    fn execute(&self, transition: &Transition) -> io::Result<(Option<ExitStatus>, Vec<u8>)> {
        let name = transition.alarm.alarm.name();
        let state = if transition.is_raised {
            "raised"
        } else {
            "cleared"
        };
        let message = &transition.alarm.message;
        let (reader, writer) = io::pipe()?;
        // A background process may keep the pipe open: a read must not wait.
        fcntl_setfl(&reader, OFlags::NONBLOCK)?;
        let mut command = Command::new(&self.command.program);
        child::hide_settings(&mut command);
        command
            .args(&self.command.arguments)
            .args([name, state, message])
            .env("SORTIE_ALARM", name)
            .env("SORTIE_ALARM_STATE", state)
            .env("SORTIE_ALARM_MESSAGE", message)
            .env("SORTIE_ALARM_ADVICE", &transition.alarm.advice)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0);
        let mut child = command.spawn()?;
        // It holds copies of the pipe's other end.
        drop(command);
        let until = monotonic() + self.limit;
        let mut output = Output {
            reader,
            kept: Vec::new(),
        };
        while monotonic() < until {
            output.read()?;
            if let Some(status) = child.try_wait()? {
                output.read()?;
                return Ok((Some(status), output.kept));
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        child::kill(child)?;
        output.read()?;
        Ok((None, output.kept))
    }
}

/// Output of a process, of which the beginning is kept.
struct Output {
    reader: io::PipeReader,
    kept: Vec<u8>,
}

impl Output {
    /// Reads what is there, without waiting, and at most 1 MiB, so that the caller checks its time limit.
    fn read(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        for _ in 0..256 {
            match self.reader.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => {
                    let free = OUTPUT_MAX.saturating_sub(self.kept.len());
                    let new = buffer.get(..count.min(free)).unwrap_or_default();
                    self.kept.extend_from_slice(new);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sortie_api::{ApplianceAlarm, RaisedAlarm};

    use super::*;

    fn execute(command: &str, limit: Duration) -> (Option<ExitStatus>, String) {
        let hook = Hook {
            command: command.parse().unwrap(),
            limit,
        };
        let transition = Transition {
            alarm: RaisedAlarm {
                alarm: ApplianceAlarm::ClockJump,
                message: "The clock; rm -rf $HOME.".to_owned(),
                advice: "Check it.".to_owned(),
            },
            is_raised: true,
        };
        let (status, output) = hook.execute(&transition).unwrap();
        (status, String::from_utf8(output).unwrap())
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn alarm_is_passed_in_arguments_and_environment() {
        let script =
            "sh -c 'echo \"$1|$2|$3|$SORTIE_ALARM|$SORTIE_ALARM_ADVICE\"; echo bad >&2' sh";
        let (status, output) = execute(script, LONG);
        assert!(status.unwrap().success());
        let expected = "clock_jump|raised|The clock; rm -rf $HOME.|clock_jump|Check it.\nbad\n";
        assert_eq!(output, expected);
    }

    #[test]
    fn hanging_hook_is_killed_and_output_is_bounded() {
        let limit = Duration::from_millis(300);
        let (status, output) = execute("sh -c 'yes; true'", limit);
        assert!(status.is_none());
        assert_eq!(output.len(), OUTPUT_MAX);
    }

    #[test]
    fn background_process_that_keeps_output_open_does_not_delay() {
        let (status, output) = execute("sh -c 'echo a; sleep 3 & true'", LONG);
        assert!(status.unwrap().success());
        assert_eq!(output, "a\n");
    }
}
