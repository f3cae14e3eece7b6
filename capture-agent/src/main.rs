//! Command line of the capture agent.

use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use tokio::signal::unix::{SignalKind, signal};

use sortie_capture_agent::device::DEV;
use sortie_capture_agent::pipeline::IdleFrames;
use sortie_capture_agent::probe::{self, Report};
use sortie_capture_agent::record::{self, Order};
use sortie_capture_agent::serve;
use sortie_capture_agent::signal::Mode;
use sortie_capture_agent::source::Source;
use sortie_capture_agent::writer::Finished;

mod events;
mod progress;

use events::Events;
use progress::Shown;

/// Name of the program.
const NAME: &str = "sortie-capture-agent";

/// Records an HDMI input; a power cut costs at most the last second.
#[derive(Parser)]
#[command(name = NAME, version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List capture devices, their input signals, and the encoders that work
    ///
    /// Queries every /dev/videoN for its formats and, on an HDMI receiver, for its input signal. Nothing is changed, so
    /// it is safe while another program captures. Then encodes a few frames with each H.264 encoder.
    #[command(after_help = EXIT_CODES)]
    Probe {
        /// Write JSON instead of text
        #[arg(long)]
        json: bool,
        /// Mode of the encoder trials, as WIDTHxHEIGHT@FPS
        #[arg(long, value_name = "MODE", default_value = "1920x1080@60")]
        mode: Mode,
        /// Time limit of each encoder, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
        limit: u16,
    },
    /// Record automatically or from the page, with accounts, list, download and clean-up
    ///
    /// Settings are on the page, in the file, and in variables: `serve --help` lists them.
    #[command(after_long_help = serve::help())]
    Serve {
        /// TOML file with variables, instead of /etc/sortie/capture-agent.toml
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Show the fingerprint of the HTTPS certificate, to compare with the browser's
    ///
    /// With SORTIE_CAPTURE_TLS=self-signed, `serve` creates the certificate when it starts.
    Certificate {
        /// TOML file with variables, instead of /etc/sortie/capture-agent.toml
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Write JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Print the completions of a shell
    Completions {
        /// Shell for which they are printed
        shell: Shell,
    },
    /// Write the manual pages into a folder
    Man {
        /// Existing folder for the pages, one for each command
        folder: PathBuf,
    },
    /// Record into one file, without a server
    ///
    /// Stops after --seconds or at Ctrl-C; the file is an ordinary MP4 either way. Unfinished files of an earlier run
    /// in the same folder are finished first.
    #[command(after_help = RECORD_EXIT_CODES)]
    Record {
        /// Source: test, or v4l2:/dev/video0
        #[arg(long, value_name = "SOURCE", default_value = "v4l2:/dev/video0")]
        source: Source,
        /// Mode of a source that offers several, as WIDTHxHEIGHT@FPS
        #[arg(long, value_name = "MODE")]
        mode: Option<Mode>,
        /// Seconds to record; default: until Ctrl-C
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
        seconds: Option<u32>,
        /// Frames that equal the one before: drop or keep
        #[arg(long, value_name = "drop|keep", default_value = "drop")]
        idle_frames: IdleFrames,
        /// File to create; its name ends in .mp4
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
        /// Write progress to standard output as JSON, one object per line
        #[arg(long)]
        json: bool,
    },
}

/// Longest wait for threads that block when the server has ended.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(1);

const EXIT_CODES: &str = "\
Exit codes:
  0  this machine has what a recording needs
  1  there is no report: it could not be made or written
  2  the command line is wrong
  3  there is a report, and it says what is missing";

const RECORD_EXIT_CODES: &str = "\
Exit codes:
  0  it was recorded as asked for
  1  nothing was recorded
  2  the command line is wrong
  3  the recording is there, but was cut short: the reason is on standard error";

/// The report has problems, or the recording ended early.
const INCOMPLETE: u8 = 3;

fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    match run(command) {
        Ok(code) => code,
        Err(error) => {
            // Standard error is closed: nothing can be reported.
            let _ = writeln!(io::stderr(), "sortie-capture-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Probe { json, mode, limit } => run_probe(json, mode, limit),
        Command::Serve { config } => {
            sortie_server::keep_files_private();
            run_server(config.as_deref())
        }
        Command::Certificate { config, json } => show_certificate(config.as_deref(), json),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), NAME, &mut script);
            io::stdout().write_all(&script)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Man { folder } => {
            clap_mangen::generate_to(Cli::command(), &folder)
                .with_context(|| folder.display().to_string())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Record {
            source,
            mode,
            seconds,
            idle_frames,
            output,
            json,
        } => {
            let order = Order {
                source,
                mode,
                length: seconds.map(|seconds| Duration::from_secs(seconds.into())),
                idle_frames,
                file: output,
            };
            run_record(&order, json)
        }
    }
}

fn read_config(file: Option<&Path>) -> anyhow::Result<serve::Config> {
    let config = serve::Config::read(file, &|name| std::env::var(name).ok());
    config.map_err(|errors| {
        let lines: Vec<_> = errors.iter().map(|error| format!("\n  {error}")).collect();
        anyhow::anyhow!("it cannot start:{}", lines.concat())
    })
}

fn show_certificate(file: Option<&Path>, json: bool) -> anyhow::Result<ExitCode> {
    let config = read_config(file)?;
    let Some(source) = config.certificate else {
        anyhow::bail!("there is no certificate: set SORTIE_CAPTURE_TLS or SORTIE_CAPTURE_TLS_CERT");
    };
    let description = source.describe()?;
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, &description)?;
        writeln!(out)?;
    } else {
        writeln!(out, "SHA-256 fingerprint: {}", description.sha256)?;
        writeln!(out, "File: {}", description.file.display())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn run_server(file: Option<&Path>) -> anyhow::Result<ExitCode> {
    let config = read_config(file)?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(&config.server.log))
        .with_writer(io::stderr);
    if io::stderr().is_terminal() {
        log.init();
    } else {
        log.json().flatten_event(true).init();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let served = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let stop = async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        serve::serve(config, stop).await
    });
    // A command or a read of a disk that hangs must not delay a restart.
    runtime.shutdown_timeout(SHUTDOWN_LIMIT);
    served?;
    Ok(ExitCode::SUCCESS)
}

fn run_record(order: &Order, json: bool) -> anyhow::Result<ExitCode> {
    let stopped = Arc::new(AtomicBool::new(false));
    record::stop_on_signal(Arc::clone(&stopped)).context("cannot wait for signals")?;
    let (mut shown, mut events) = (Shown::default(), Events::default());
    let recorded = record::record(order, &stopped, |step| {
        if json {
            events.step(&step);
        } else {
            shown.step(&step);
        }
    });
    shown.clear();
    let recorded = recorded?;
    if json {
        Events::finished(&recorded.file);
    }
    let mut out = io::stderr().lock();
    let Finished {
        duration_ms,
        size_bytes,
        ..
    } = recorded.file;
    let _ = writeln!(
        out,
        "{}: {}, {}, {} frames dropped",
        order.file.with_file_name(&recorded.file.name).display(),
        progress::seconds(duration_ms),
        progress::megabytes(size_bytes),
        recorded.dropped,
    );
    Ok(match recorded.broken {
        Some(reason) => {
            let _ = writeln!(
                out,
                "sortie-capture-agent: it ended before its time: {reason}"
            );
            ExitCode::from(INCOMPLETE)
        }
        None => ExitCode::SUCCESS,
    })
}

fn run_probe(json: bool, mode: Mode, limit: u16) -> anyhow::Result<ExitCode> {
    let findings = probe::probe(Path::new(DEV), mode, Duration::from_secs(limit.into()))?;
    let report = Report::new(&findings);
    match write_report(&report, json) {
        // The reader has closed the pipe (`| head`).
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
