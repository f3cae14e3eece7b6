//! `sortie-server sweep`: removes orphans from the storage and marks recordings without a file.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use sortie_server::{
    Config, Settings, Sweep, SweepError, SweepFinding, SweepKind, SweepOptions, SweepOutcome,
    SweepReport, SystemClock,
};

use super::{print_error, terminal, wrong_values};

/// Number of orphans listed individually; the others are only counted.
const NAMED: usize = 20;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Only report what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Keep objects changed within this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u64).range(60..))]
    min_age: u64,
    /// List every orphan, not only the first twenty.
    #[arg(long)]
    all: bool,
    /// Continue although the database or the storage is empty, which may mean that it is the wrong one.
    #[arg(long)]
    force: bool,
}

/// Exit codes: 0 nothing to do or all done; 1 some of it could not be done; 2 invalid configuration; 3 a dry run has
/// findings.
pub(super) fn run(file: Option<PathBuf>, arguments: &Arguments) -> ExitCode {
    let config = match Settings::from_env(file).config() {
        Ok(config) => config,
        Err(errors) => return wrong_values("Nothing is swept", &errors),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let swept = match runtime {
        Ok(runtime) => runtime.block_on(sweep(&config, arguments)),
        Err(error) => {
            print_error(&format!("sortie-server: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match swept {
        Ok(report) => {
            print!("{}", table(&report, arguments.dry_run));
            if report.failed > 0 {
                ExitCode::FAILURE
            } else if arguments.dry_run && report.found().count > 0 {
                ExitCode::from(3)
            } else {
                ExitCode::SUCCESS
            }
        }
        Err(error) => {
            print_error(&format!("sortie-server: {:#}", anyhow::Error::from(error)));
            ExitCode::FAILURE
        }
    }
}

async fn sweep(config: &Config, arguments: &Arguments) -> Result<SweepReport, SweepError> {
    let sweep = Sweep::open(config, Arc::new(SystemClock)).await?;
    let options = SweepOptions {
        dry_run: arguments.dry_run,
        min_age: Duration::from_secs(arguments.min_age),
        force: arguments.force,
    };
    let mut named = 0;
    let mut tell = |finding: &SweepFinding| {
        if let SweepOutcome::Failed(error) = &finding.outcome {
            print_error(&format!(
                "cannot remove {}: {error}",
                terminal::one_line(&finding.name)
            ));
        } else if arguments.all || named < NAMED {
            println!("{}", line(finding));
        } else if named == NAMED {
            println!("… (--all names every one)");
        }
        named += 1;
    };
    sweep.run(options, &mut tell).await
}

fn line(finding: &SweepFinding) -> String {
    let done = match (finding.kind, &finding.outcome) {
        (SweepKind::Row, SweepOutcome::WouldChange) => "would fail",
        (SweepKind::Row, _) => "failed",
        (_, SweepOutcome::WouldChange) => "would remove",
        _ => "removed",
    };
    format!(
        "{done:<12} {:>10}  {}",
        bytes(finding.size_bytes),
        terminal::one_line(&finding.name)
    )
}

fn table(report: &SweepReport, dry_run: bool) -> String {
    let mut text = String::new();
    let mut row = |what: &str, count: u64, size: u64| {
        let _ = writeln!(text, "{what:<36} {count:>9} {:>12}", bytes(size));
    };
    for kind in SweepKind::ALL {
        let tally = report.of(kind);
        row(kind.words(), tally.count, tally.size_bytes);
    }
    let all = report.found();
    let total = if dry_run { "would be swept" } else { "swept" };
    row(total, all.count, all.size_bytes);
    for (what, tally) in [
        ("too young, left alone", report.young),
        ("not ours, left alone", report.foreign),
    ] {
        if tally.count > 0 {
            row(what, tally.count, tally.size_bytes);
        }
    }
    if report.failed > 0 {
        row("could not be removed", report.failed, 0);
    }
    text
}

fn bytes(size: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if size < 1000 {
        return format!("{size} B");
    }
    let (mut tenths, mut unit) = (size / 100, 0);
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn size_uses_the_largest_fitting_unit() {
        for (size, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_999, "999.9 kB"),
            (1_000_000, "1.0 MB"),
            (7_654_321_000, "7.6 GB"),
            (u64::MAX, "18446744.0 TB"),
        ] {
            assert_eq!(bytes(size), expected);
        }
    }
}
