//! Cost of the agent relative to a bare `gst-launch-1.0` with the same pipeline. Prints the tables of
//! docs/benchmarks.md.
//!
//! `make bench PART=agent`, or `cargo bench -p sortie-capture-agent --bench agent -- cpu` for one of `cpu`, `record`,
//! `quality`, `start`, `finish`, `idle`. Needs 2.5 GB under `$BENCH_DIR` (default: the temporary folder).
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line program speaks on its streams"
)]

mod cpu;
mod finish;
mod footage;
mod idle;
mod processor;
mod quality;
mod record;
mod start;

use std::path::PathBuf;

use anyhow::Result;
use sortie_capture_agent::encoder::{CANDIDATES, Candidate};

const AGENT: &str = env!("CARGO_BIN_EXE_sortie-capture-agent");

fn main() -> Result<()> {
    // `cargo bench` adds an option of its own.
    let parts: Vec<_> = std::env::args()
        .skip(1)
        .filter(|it| !it.starts_with('-'))
        .collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|it| it == part);
    sortie_capture_agent::encoder::init()?;
    let base = std::env::var_os("BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::Builder::new()
        .prefix("sortie-agent-")
        .tempdir_in(base)?;
    if wanted("cpu") {
        cpu::measure(folder.path())?;
    }
    if wanted("record") {
        record::measure(folder.path())?;
    }
    if wanted("quality") {
        quality::measure(folder.path())?;
    }
    if wanted("start") {
        start::measure(folder.path())?;
    }
    if wanted("finish") {
        finish::measure(folder.path())?;
    }
    if wanted("idle") {
        idle::measure(folder.path())?;
    }
    Ok(())
}

/// The encoder that is available on every machine, so that figures are comparable.
fn x264() -> Result<Candidate> {
    let found = CANDIDATES.into_iter().find(|it| it.element == "x264enc");
    found.ok_or_else(|| anyhow::anyhow!("x264enc is no candidate"))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
