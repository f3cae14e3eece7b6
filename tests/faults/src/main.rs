//! `sortie-faults`: injects faults around the real server and reports violated guarantees.
#![expect(
    clippy::print_stdout,
    reason = "a command line program speaks on its streams"
)]

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use sortie_faults::{full, hostile, kill, network, process, remote, trace};
use tokio::time::Instant;

/// Injects faults around the real server and reports violated guarantees.
///
/// The server is $SORTIE_SERVER or the one built beside this program.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Seed of every decision; the same seed repeats a run.
    #[arg(long, global = true, default_value_t = 1)]
    seed: u64,
}

#[derive(Subcommand)]
enum Command {
    /// All tests, in a few minutes.
    All {
        /// Number of kills.
        #[arg(long, default_value_t = 200)]
        rounds: u64,
        /// Number of kills with an object store.
        #[arg(long, default_value_t = 20)]
        remote_rounds: u64,
    },
    /// `kill -9` at random moments under concurrent uploads.
    Kill {
        /// Number of kills.
        #[arg(long, default_value_t = 100)]
        rounds: u64,
        /// Number of concurrent uploads.
        #[arg(long, default_value_t = 8)]
        senders: u64,
        /// Damage the data after each kill: the run must then fail.
        #[arg(long)]
        sabotage: Option<SabotageArgument>,
    },
    /// `kill -9` with recordings in the object store named by the server's variables, else in SeaweedFS.
    Remote {
        /// Number of kills.
        #[arg(long, default_value_t = 40)]
        rounds: u64,
        /// Number of concurrent uploads.
        #[arg(long, default_value_t = 4)]
        senders: u64,
    },
    /// Check with strace that every acknowledgement follows its `fdatasync`.
    Trace,
    /// Full and read-only file systems. Requires root.
    Full,
    /// Hostile input against a server in a control group of 512 MiB. Exits with 75 without control groups.
    Hostile,
    /// Cut, stalled, slow and duplicated connections.
    Network {
        /// Uploads for each kind of fault.
        #[arg(long, default_value_t = 8)]
        uploads: usize,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum SabotageArgument {
    /// Truncate the last acknowledged byte.
    Cut,
    /// Zero a block.
    Hole,
    /// Flip a bit.
    Flip,
    /// Add an object without a database row.
    Orphan,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments).await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(SKIPPED) => ExitCode::from(75),
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

/// Stands for a skipped run in place of a number of faults.
const SKIPPED: usize = usize::MAX;

async fn run(arguments: Arguments) -> Result<usize> {
    let binary = process::server_binary()?;
    let seed = arguments.seed;
    let folder = tempfile::Builder::new()
        .prefix("sortie-faults-")
        .tempdir()?;
    let at = folder.path();
    let faults = match arguments.command {
        Command::All {
            rounds,
            remote_rounds,
        } => {
            // Smaller uploads than in a soak test: after each kill every byte is compared.
            let plan = kill::Plan {
                largest: 1 << 20,
                longest_ms: 250,
                ..plan(seed, rounds, 8, None)
            };
            let mut faults = kills(&binary, &subfolder(at, "kill")?, &plan).await?;
            let plan = remote_plan(seed, remote_rounds, 4);
            faults += remote_kills(&binary, &subfolder(at, "remote")?, &plan).await?;
            faults += traced(&binary, &subfolder(at, "trace")?, seed).await?;
            faults += bad_network(&binary, &subfolder(at, "network")?, seed, 6).await?;
            faults + full_disks(&binary, &subfolder(at, "full")?).await?
        }
        Command::Kill {
            rounds,
            senders,
            sabotage,
        } => kills(&binary, at, &plan(seed, rounds, senders, sabotage)).await?,
        Command::Remote { rounds, senders } => {
            remote_kills(&binary, at, &remote_plan(seed, rounds, senders)).await?
        }
        Command::Trace => traced(&binary, at, seed).await?,
        Command::Full => full_disks(&binary, at).await?,
        Command::Hostile => hostile_input(&binary, at).await?,
        Command::Network { uploads } => bad_network(&binary, at, seed, uploads).await?,
    };
    if faults > 0 && faults != SKIPPED {
        println!(
            "stored data and logs are kept in {}",
            folder.keep().display()
        );
    }
    Ok(faults)
}

fn subfolder(folder: &Path, name: &str) -> Result<std::path::PathBuf> {
    let path = folder.join(name);
    std::fs::create_dir_all(&path)?;
    Ok(path)
}

fn plan(seed: u64, rounds: u64, senders: u64, sabotage: Option<SabotageArgument>) -> kill::Plan {
    kill::Plan {
        rounds,
        seed,
        senders,
        largest: 16 << 20,
        longest_ms: 600,
        sabotage: sabotage.map(|it| match it {
            SabotageArgument::Cut => kill::Sabotage::Cut,
            SabotageArgument::Hole => kill::Sabotage::Hole,
            SabotageArgument::Flip => kill::Sabotage::Flip,
            SabotageArgument::Orphan => kill::Sabotage::Orphan,
        }),
    }
}

fn remote_plan(seed: u64, rounds: u64, senders: u64) -> remote::Plan {
    remote::Plan {
        rounds,
        seed,
        senders,
        // Several parts of 8 MiB each.
        largest: 40 << 20,
    }
}

async fn kills(binary: &Path, folder: &Path, plan: &kill::Plan) -> Result<usize> {
    println!(
        "kill -9 under {} concurrent uploads, seed {}",
        plan.senders, plan.seed
    );
    let begun = Instant::now();
    let outcome = kill::run(binary, folder, plan).await?;
    let seconds = begun.elapsed().as_secs();
    println!(
        "  kills                        {} in {seconds} s",
        outcome.kills
    );
    println!("  kills during a finish        {}", outcome.while_finishing);
    println!("  uploads resumed              {}", outcome.resumed);
    println!("  uploads finished, compared   {}", outcome.finished);
    println!("  distinct files in players    {}", outcome.players);
    println!("  uploads deleted halfway      {}", outcome.deleted);
    println!("  acknowledged bytes checked   {}", outcome.acknowledged);
    println!("  unacknowledged bytes stored  {}", outcome.beyond);
    println!("  empty objects without a row  {}", outcome.empty_orphans);
    println!(
        "  slowest start to first list  {} ms",
        outcome.slowest_start.as_millis()
    );
    Ok(print_faults(&outcome.faults))
}

async fn remote_kills(binary: &Path, folder: &Path, plan: &remote::Plan) -> Result<usize> {
    println!(
        "kill -9 with an object store under {} concurrent uploads, seed {}",
        plan.senders, plan.seed
    );
    let begun = Instant::now();
    let outcome = remote::run(binary, folder, plan).await?;
    let seconds = begun.elapsed().as_secs();
    println!(
        "  kills                        {} in {seconds} s",
        outcome.kills
    );
    println!("  uploads resumed              {}", outcome.resumed);
    println!("  acknowledged bytes checked   {}", outcome.acknowledged);
    println!("  unacknowledged bytes stored  {}", outcome.beyond);
    println!("  recordings compared          {}", outcome.finished);
    println!("  bytes compared               {}", outcome.bytes);
    Ok(print_faults(&outcome.faults))
}

async fn traced(binary: &Path, folder: &Path, seed: u64) -> Result<usize> {
    println!("system calls of the server, seed {seed}");
    if let Err(error) = trace::available() {
        return Ok(print_faults(&[format!("{error:#}")]));
    }
    let report = trace::run(binary, folder, seed).await?;
    println!("  acknowledged after fdatasync {}", report.acknowledged);
    println!("  created after fsync          {}", report.created);
    println!("  finished in order            {}", report.finished);
    println!("  rows synced before answers   {}", report.rows);
    Ok(print_faults(&report.faults))
}

async fn bad_network(binary: &Path, folder: &Path, seed: u64, uploads: usize) -> Result<usize> {
    println!("bad networks, seed {seed}");
    let mut faults = 0;
    for outcome in network::run(binary, folder, seed, uploads, 6 << 20).await? {
        println!(
            "  {:<12} {} of {uploads} uploads completed, {} requests, {} connections",
            outcome.kind, outcome.arrived, outcome.requests, outcome.connections
        );
        faults += print_faults(&outcome.faults);
    }
    Ok(faults)
}

async fn full_disks(binary: &Path, folder: &Path) -> Result<usize> {
    println!("full and read-only disks");
    let outcomes = match full::run(binary, folder).await {
        Ok(outcomes) => outcomes,
        Err(error) => return Ok(print_faults(&[format!("{error:#}")])),
    };
    let mut faults = 0;
    for outcome in outcomes {
        match outcome.result {
            Ok(()) => println!("  ✓ {}", outcome.case),
            Err(error) => faults += print_faults(&[format!("{}: {error:#}", outcome.case)]),
        }
    }
    Ok(faults)
}

async fn hostile_input(binary: &Path, folder: &Path) -> Result<usize> {
    println!("hostile input, {} in 512 MiB", binary.display());
    let attacks = match hostile::run(binary, folder).await? {
        hostile::Outcome::Skipped(reason) => {
            println!("  – DID NOT RUN: {reason}");
            return Ok(SKIPPED);
        }
        hostile::Outcome::Ran(attacks) => attacks,
    };
    println!("  attack                        peak MiB   files   slowest /healthz");
    let mut faults = 0;
    for attack in attacks {
        println!(
            "  {:<28} {:>9} {:>7} {:>15} ms   {}",
            attack.name,
            attack.peak_mib,
            attack.descriptors,
            attack.slowest.as_millis(),
            attack.seen
        );
        faults += print_faults(&attack.faults);
    }
    Ok(faults)
}

fn print_faults(faults: &[String]) -> usize {
    for fault in faults {
        println!("  ✗ {fault}");
    }
    faults.len()
}
