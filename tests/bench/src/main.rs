//! `sortie-bench`: measures this server, other servers and a plain floor, and prints tables.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line program speaks on its streams"
)]

mod chunks;
mod contestant;
mod footage;
mod http_floor;
mod lists;
#[path = "../../../server/tests/support/ports.rs"]
mod ports;
#[path = "../../../server/tests/support/postgres.rs"]
mod postgres;
mod ready;
mod repair;
mod wire;

use std::path::{Path, PathBuf};

use anyhow::Result;
use chunks::{Figures, SHAPES, Shape};
use clap::{Parser, ValueEnum};
use contestant::{Contestant, Programs};
use sortie_faults::process::server_binary;
use sortie_faults::store;

/// A measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Durable chunks per second, compared with other servers and a plain floor.
    Chunks,
    /// Time from the end of a recording to ready, and repair of a truncated one.
    Ready,
    /// Pages of lists, on SQLite and PostgreSQL.
    Lists,
}

/// Measures this server, other servers and a plain floor, and prints tables in Markdown.
///
/// The server is $SORTIE_SERVER or the one built beside this program.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Measurements to run; all by default.
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Rounds of chunks; each round measures every contestant once, and the tables show medians.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The rustus program.
    #[arg(long)]
    rustus: Option<PathBuf>,
    /// Folder of tus-server.mjs with its packages.
    #[arg(long)]
    peers: Option<PathBuf>,
    /// Folder for the data, which selects the measured file system.
    #[arg(long, default_value = ".")]
    folder: PathBuf,
    /// Sizes in MB for the time from the end to ready.
    #[arg(long, value_delimiter = ',', default_value = "1,1000,10000")]
    ready: Vec<u64>,
    /// Size in MB of the repaired recording.
    #[arg(long, default_value_t = 1000)]
    repair: u64,
    /// Measure the time to ready with the object store named by the server's variables, else with SeaweedFS.
    #[arg(long)]
    object_store: bool,
    /// Number of recordings in the lists.
    #[arg(long, default_value_t = 1_000_000)]
    rows: i64,
    /// Measure only the shapes with these numbers of streams.
    #[arg(long, value_delimiter = ',')]
    streams: Vec<usize>,
    /// Measure the floor and this server only.
    #[arg(long)]
    alone: bool,
    /// Serve the HTTP floor on this port instead of measuring.
    #[arg(long, hide = true)]
    serve_http_floor: Option<u16>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(port) = arguments.serve_http_floor {
        return http_floor::serve(port, &arguments.folder);
    }
    let programs = Programs {
        sortie: server_binary()?,
        rustus: arguments.rustus.clone().filter(|_| !arguments.alone),
        peers: arguments.peers.clone().filter(|_| !arguments.alone),
    };
    let measured = |part| arguments.parts.is_empty() || arguments.parts.contains(&part);
    if measured(Part::Chunks) {
        println!(
            "| streams × chunk | server | chunks/s | of floor | of HTTP floor | p50 / p99 ms | CPU µs/chunk | peak RSS MiB |"
        );
        println!("|---|---|--:|--:|--:|---|--:|--:|");
        let wanted = |shape: &Shape| {
            arguments.streams.is_empty() || arguments.streams.contains(&shape.streams)
        };
        for shape in SHAPES.into_iter().filter(wanted) {
            compare(shape, &programs, &arguments).await?;
        }
        println!();
    }
    if measured(Part::Ready) {
        println!("| recording | stop → ready | resumed after kill -9 |");
        println!("|--:|--:|--:|");
        let store = if arguments.object_store {
            store::environment("bench").await?
        } else {
            Vec::new()
        };
        for size in &arguments.ready {
            let size = size * 1_000_000;
            let figures = ready::measure(&programs.sortie, &arguments.folder, size, &store).await?;
            println!(
                "| {} MB | {:.1} ms | {:.1} ms |",
                figures.size / 1_000_000,
                figures.ready.as_secs_f64() * 1000.0,
                figures.taken_up.as_secs_f64() * 1000.0
            );
        }
        println!();
        repair(&programs.sortie, &arguments)?;
    }
    if measured(Part::Lists) {
        println!("| database | list | page | p50 ms | p99 ms | RSS MiB |");
        println!("|---|---|--:|--:|--:|--:|");
        let print = |line| println!("{line}");
        lists::measure(&programs.sortie, &arguments.folder, arguments.rows, print).await?;
    }
    Ok(())
}

fn repair(sortie: &Path, arguments: &Arguments) -> Result<()> {
    let megabytes = arguments.repair;
    println!("| {megabytes} MB, cut off | seconds | MB/s |");
    println!("|---|--:|--:|");
    let (size, rounds) = (megabytes * 1_000_000, arguments.rounds);
    for figures in repair::measure(sortie, &arguments.folder, size, rounds)? {
        let seconds = figures.took.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "megabytes")]
        let speed = megabytes as f64 / seconds;
        println!("| {} | {seconds:.2} | {speed:.0} |", figures.name);
    }
    println!();
    Ok(())
}

/// Interleaves the contestants in rounds, so that a busy moment affects all.
async fn compare(shape: Shape, programs: &Programs, arguments: &Arguments) -> Result<()> {
    let contestants = Contestant::all(programs);
    let mut rounds: Vec<Vec<Figures>> = vec![Vec::new(); contestants.len()];
    for round in 1..=arguments.rounds {
        for (contestant, figures) in contestants.iter().zip(&mut rounds) {
            let measured = chunks::measure(*contestant, programs, shape, &arguments.folder).await?;
            eprintln!(
                "round {round}, {} × {} KiB, {}: {:.0} chunks/s",
                shape.streams,
                shape.chunk >> 10,
                contestant.name(),
                measured.per_second
            );
            figures.push(measured);
        }
    }
    let mut floor = None;
    let mut http_floor = None;
    for (contestant, figures) in contestants.iter().zip(&rounds) {
        let of = |value: fn(&Figures) -> f64| median(figures.iter().map(value).collect());
        let per_second = of(|figures| figures.per_second);
        let floor = *floor.get_or_insert(per_second);
        if *contestant == Contestant::HttpFloor {
            http_floor = Some(per_second);
        }
        let of_http =
            http_floor.map_or_else(String::new, |http| format!("{:.2}", per_second / http));
        #[expect(clippy::cast_precision_loss, reason = "megabytes")]
        let memory = of(|figures| figures.peak_memory.unwrap_or_default() as f64) / 1_048_576.0;
        // The floor runs in this program.
        let said = |text: String| match contestant {
            Contestant::Floor => String::new(),
            _ => text,
        };
        println!(
            "| {} × {} KiB | {} | {per_second:.0} | {:.2} | {of_http} | {:.1} / {:.1} | {} | {} |",
            shape.streams,
            shape.chunk >> 10,
            contestant.name(),
            per_second / floor,
            of(|figures| figures.p50_ms),
            of(|figures| figures.p99_ms),
            said(format!(
                "{:.0}",
                of(|figures| figures.processor_us.unwrap_or_default())
            )),
            said(format!("{memory:.0}")),
        );
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
