//! CPU time of the agent relative to a bare pipeline.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, bail};
use sortie_capture_agent::signal::Mode;
use sortie_capture_agent::source::Scene;

use crate::{AGENT, footage, median, processor};

const ROUNDS: usize = 5;
/// Warm-up, not measured.
const WARM: Duration = Duration::from_millis(2000);
const MEASURED: Duration = Duration::from_millis(6000);

/// Both encode the same frames at 30 frames per second. The source is excluded on both sides: the agent draws the
/// frames, `gst-launch-1.0` reads them from a file.
pub(crate) fn measure(folder: &Path) -> Result<()> {
    let mode: Mode = "1920x1080@30".parse()?;
    let raw = folder.join("desktop.raw");
    footage::raw(&raw, mode, Scene::default())?;
    let (mut agent, mut bare) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let (source, elements) = (
            footage::source(&raw, mode),
            footage::elements_after_source(mode, true)?,
        );
        let pipeline = format!("{source} ! identity sync=true ! {elements} ! fakesink sync=false");
        let mut command = Command::new("gst-launch-1.0");
        command.arg("-q").args(pipeline.split_whitespace());
        bare.push(run(command, &["source:src"])?);
        let file = folder.join(format!("{round}.mp4"));
        let mut command = Command::new(AGENT);
        command.args(["record", "--source", "test", "--mode", "1920x1080@30", "-o"]);
        agent.push(run(command.arg_and(&file), &["test-picture"])?);
        eprintln!(
            "round {round}: bare {:.3}, agent {:.3}",
            bare[round - 1],
            agent[round - 1]
        );
    }
    let (bare, agent) = (median(bare), median(agent));
    println!("| 1080p30, x264 | processors in use |\n|---|--:|");
    println!("| gst-launch-1.0, the same pipeline into fakesink | {bare:.3} |");
    println!(
        "| the agent, recording | {agent:.3} ({:.2} ×) |\n",
        agent / bare
    );
    Ok(())
}

trait ArgAnd {
    fn arg_and(self, file: &Path) -> Self;
}

impl ArgAnd for Command {
    fn arg_and(mut self, file: &Path) -> Self {
        self.arg(file);
        self
    }
}

/// Returns the average number of CPUs in use.
fn run(mut command: Command, without: &[&str]) -> Result<f64> {
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut child = Running(child);
    sleep(WARM);
    let before = processor::time(child.0.id(), without)?;
    sleep(MEASURED);
    if let Some(status) = child.0.try_wait()? {
        bail!("{command:?} has ended: {status}");
    }
    let used = processor::time(child.0.id(), without)?.saturating_sub(before);
    Ok(used.as_secs_f64() / MEASURED.as_secs_f64())
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // The process may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
