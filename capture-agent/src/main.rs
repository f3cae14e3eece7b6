//! The command line of the capture agent.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use sortie_capture_agent::device::DEV;
use sortie_capture_agent::probe::{self, Report};
use sortie_capture_agent::signal::Mode;

/// Tells what this machine can record an HDMI input with.
///
/// So far there is `probe`; recording is not part of this version.
#[derive(Parser)]
#[command(name = "sortie-capture-agent", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the capture devices, what arrives at them, and the encoders that work
    ///
    /// Asks every /dev/videoN what it is, what it delivers and, where it is an HDMI receiver, what
    /// it measures at its input; nothing is changed, and it is safe while another program
    /// captures. Then gives each H.264 encoder a few frames to encode.
    #[command(after_help = EXIT_CODES)]
    Probe {
        /// Write JSON instead of text
        #[arg(long)]
        json: bool,
        /// What the encoders are tried with, as WIDTHxHEIGHT@FPS
        #[arg(long, value_name = "MODE", default_value = "1920x1080@60")]
        mode: Mode,
        /// Seconds each encoder is given
        #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
        limit: u16,
    },
}

const EXIT_CODES: &str = "\
Exit codes:
  0  this machine has what a recording needs
  1  there is no report: it could not be made or written
  2  the command line is wrong
  3  there is a report, and it says what is missing";

/// The report names what is missing.
const INCOMPLETE: u8 = 3;

fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    match run(command) {
        Ok(code) => code,
        Err(error) => {
            // Nothing is left to be done where even this cannot be written.
            let _ = writeln!(io::stderr(), "sortie-capture-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    let Command::Probe { json, mode, limit } = command;
    let findings = probe::probe(Path::new(DEV), mode, Duration::from_secs(limit.into()))?;
    let report = Report::new(&findings);
    match write_report(&report, json) {
        // Whoever reads it has seen enough (`| head`).
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written.context("the report could not be written")?,
    }
    Ok(if report.can_record {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(INCOMPLETE)
    })
}

fn write_report(report: &Report, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, report)?;
        writeln!(out)?;
    } else {
        probe::write_text(report, &mut out)?;
    }
    out.flush()
}
