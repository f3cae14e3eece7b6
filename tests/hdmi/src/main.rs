//! `sortie-hdmi`: capture agent on an emulated HDMI input, with power cuts.
#![expect(
    clippy::print_stdout,
    reason = "a command line program speaks on its streams"
)]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use sortie_hdmi::agent::Agent;
use sortie_hdmi::guest::Setup;
use sortie_hdmi::{changes, cuts, holder, ustreamer};

/// Runs the capture agent in a virtual machine with an emulated HDMI input, and cuts its power.
///
/// Called by `scripts/hdmi.sh`. The agent is $SORTIE_CAPTURE_AGENT or the build beside this program.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    what: What,
    /// Folder with the guest's kernel and initial file system.
    #[arg(long, global = true, env = "SORTIE_HDMI_GUEST", default_value = ".")]
    system: PathBuf,
    /// The host's GStreamer plugin registry.
    #[arg(long, global = true, env = "GST_REGISTRY", default_value = ".")]
    registry: PathBuf,
}

#[derive(Subcommand)]
enum What {
    /// Runs all tests.
    All(Power),
    /// Cuts the power during recordings.
    Cuts(Power),
    /// Changes the signal during automatic recording.
    Signal,
    /// Records the frames of ustreamer, which owns the input.
    Ustreamer,
    /// Occupies a capture device until it is killed; runs in the guest.
    #[command(hide = true)]
    Occupy {
        /// Device node.
        device: PathBuf,
    },
}

#[derive(Args)]
struct Power {
    /// Number of power cuts.
    #[arg(long, default_value_t = 3)]
    cuts: u64,
    /// Seed of all random decisions.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Longest loss per cut, in ms. The disk answers in the host's time: on a busy host, more than the promised second
    /// is needed.
    #[arg(long, default_value_t = 1000)]
    limit: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(faults) => {
            println!("{faults} faults");
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("the test cannot continue: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<usize> {
    if let What::Occupy { device } = &arguments.what {
        match holder::occupy(device, |line| println!("{line}"))? {}
    }
    let agent = Agent::find()?;
    let folder = tempfile::Builder::new().prefix("sortie-hdmi-").tempdir()?;
    let setup = Setup {
        system: arguments.system,
        work: folder.path().to_owned(),
        registry: arguments.registry,
    };
    let outcome = match arguments.what {
        What::All(options) => match others(&setup, &agent).await {
            Ok(()) => power(&setup, &agent, &options).await,
            Err(error) => Err(error),
        },
        What::Cuts(options) => power(&setup, &agent, &options).await,
        What::Signal => signal(&setup, &agent).await.map(|()| 0),
        What::Ustreamer => of_ustreamer(&setup, &agent).await.map(|()| 0),
        What::Occupy { .. } => Ok(0),
    };
    if !matches!(outcome, Ok(0)) {
        println!("logs and disk are kept in {}", folder.keep().display());
    }
    outcome
}

async fn others(setup: &Setup, agent: &Agent) -> Result<()> {
    signal(setup, agent).await?;
    of_ustreamer(setup, agent).await
}

async fn of_ustreamer(setup: &Setup, agent: &Agent) -> Result<()> {
    for clip in ustreamer::run(setup, agent).await? {
        println!("ustreamer: {clip:?}");
    }
    Ok(())
}

async fn signal(setup: &Setup, agent: &Agent) -> Result<()> {
    let clips = changes::run(setup, agent, |what, took| {
        println!("{what}, after {:.1} s", took.as_secs_f64());
    })
    .await?;
    for clip in clips {
        println!("{clip:?}");
    }
    Ok(())
}

async fn power(setup: &Setup, agent: &Agent, options: &Power) -> Result<usize> {
    let Power { cuts, seed, limit } = *options;
    let lost = cuts::check_that_losses_are_detected(setup, agent).await?;
    println!(
        "never flushed: {} bytes that the agent took for durable are lost, so this test can fail",
        lost.durable_bytes
    );
    let rows = cuts::run(setup, agent, cuts, seed, |row| {
        println!("cut {} of {cuts}, at {} ms", row.number, row.recorded_ms);
    })
    .await?;
    println!("{}", cuts::HEADING);
    for row in &rows {
        println!("{row}");
    }
    let faults: Vec<_> = rows
        .iter()
        .flat_map(|row| cuts::faults(row, limit))
        .collect();
    for fault in &faults {
        println!("{fault}");
    }
    Ok(faults.len())
}
