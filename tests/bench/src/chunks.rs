//! Acknowledged chunks per second.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use anyhow::{Context, Result};
use sortie_faults::webm;
use tokio::runtime;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::contestant::{Address, Contestant, ProcessUsage, Programs, Running};
use crate::footage::Footage;
use crate::wire::Wire;

/// Number of streams and size of their chunks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) streams: usize,
    pub(crate) chunk: usize,
    /// Number of chunks per stream.
    pub(crate) chunks: usize,
}

/// The three shapes of load that are reported.
pub(crate) const SHAPES: [Shape; 3] = [
    Shape {
        streams: 1,
        chunk: 4 << 20,
        chunks: 128,
    },
    Shape {
        streams: 64,
        chunk: 256 << 10,
        chunks: 48,
    },
    Shape {
        streams: 500,
        chunk: 64 << 10,
        chunks: 24,
    },
];

#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// CPU time of the server per chunk; `None` for the floor.
    pub(crate) processor_us: Option<f64>,
    /// Bytes; `None` for the floor.
    pub(crate) peak_memory: Option<u64>,
}

/// Times of the chunks of all streams.
struct Timed {
    took: Duration,
    /// Latency of each chunk.
    times: Vec<Duration>,
    /// CPU time of the server.
    processor: Option<Duration>,
}

/// Measures one contestant once.
pub(crate) async fn measure(
    contestant: Contestant,
    programs: &Programs,
    shape: Shape,
    folder: &Path,
) -> Result<Figures> {
    let recording = webm::looped(webm::SAMPLE, shape.chunk * shape.chunks)?;
    let place = tempfile::tempdir_in(folder)?;
    warm_up(place.path())?;
    let running = contestant.start(programs, place.path()).await?;
    let server = running
        .as_ref()
        .map(|running| (running.address(), running.process_usage()));
    let folder = place.path().to_owned();
    // Runs outside the runtime's threads: the floor's threads block, and the senders have a separate thread.
    let timing = tokio::task::spawn_blocking(move || match server {
        None => floor(shape, &recording.into(), &folder),
        Some((address, process_usage)) => {
            let footage = Arc::new(Footage::new(&recording)?);
            runtime::Builder::new_current_thread()
                .enable_all()
                .build()?
                .block_on(upload(shape, &footage, &address, process_usage))
        }
    });
    let Timed {
        took,
        mut times,
        processor,
    } = timing.await??;
    let process_usage = running.as_ref().map(Running::process_usage);
    let peak_memory = process_usage
        .map(|process_usage| process_usage.peak_memory())
        .transpose()?;
    if let Some(running) = running {
        running.stop().await?;
    }
    times.sort();
    let at = |percent: usize| {
        let time = times.get(times.len() * percent / 100);
        time.copied().unwrap_or_default().as_secs_f64() * 1000.0
    };
    #[expect(clippy::cast_precision_loss, reason = "thousands of chunks")]
    let chunks = times.len() as f64;
    Ok(Figures {
        per_second: chunks / took.as_secs_f64(),
        p50_ms: at(50),
        p99_ms: at(99),
        processor_us: processor.map(|time| time.as_secs_f64() * 1e6 / chunks),
        peak_memory,
    })
}

/// Touches about 1 GiB of memory: on a virtual machine, the first access pays for the host's allocation.
fn warm_up(folder: &Path) -> Result<()> {
    let path = folder.join("warm");
    let mut file = File::create(&path)?;
    let piece = vec![0x5A; 1 << 20];
    for _ in 0..1024 {
        file.write_all(&piece)?;
    }
    drop(file);
    Ok(std::fs::remove_file(&path)?)
}

/// `write` and `fdatasync` per chunk, with one thread per stream.
fn floor(shape: Shape, recording: &Arc<[u8]>, folder: &Path) -> Result<Timed> {
    let start = Arc::new(Barrier::new(shape.streams + 1));
    let threads: Vec<_> = (0..shape.streams)
        .map(|number| {
            let (start, recording) = (Arc::clone(&start), Arc::clone(recording));
            let path = folder.join(format!("{number}"));
            std::thread::spawn(move || {
                let file = File::create(path);
                start.wait();
                let mut file = file?;
                let mut times = Vec::with_capacity(shape.chunks);
                for chunk in recording.chunks_exact(shape.chunk).take(shape.chunks) {
                    let begun = Instant::now();
                    file.write_all(chunk)?;
                    file.sync_data()?;
                    times.push(begun.elapsed());
                }
                Ok::<_, std::io::Error>(times)
            })
        })
        .collect();
    start.wait();
    let begun = Instant::now();
    let mut times = Vec::new();
    for thread in threads {
        let joined = thread.join().ok().context("a thread has panicked")?;
        times.extend(joined?);
    }
    Ok(Timed {
        took: begun.elapsed(),
        times,
        processor: None,
    })
}

/// Sends all streams from one thread, to leave the processors to the server.
async fn upload(
    shape: Shape,
    footage: &Arc<Footage>,
    server: &Address,
    process_usage: ProcessUsage,
) -> Result<Timed> {
    let mut wires = Vec::new();
    for _ in 0..shape.streams {
        // One byte more than is sent, because the cost of finishing is measured elsewhere.
        wires.push(Wire::create(server, (shape.chunk * shape.chunks) as u64 + 1).await?);
    }
    let before = process_usage.processor_time()?;
    let begun = Instant::now();
    let mut senders = JoinSet::new();
    for mut wire in wires {
        let footage = Arc::clone(footage);
        senders.spawn(async move {
            let mut times = Vec::with_capacity(shape.chunks);
            for number in 0..shape.chunks {
                let begun = Instant::now();
                let offset = (number * shape.chunk) as u64;
                wire.patch(&footage, offset, shape.chunk).await?;
                times.push(begun.elapsed());
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(joined) = senders.join_next().await {
        times.extend(joined??);
    }
    Ok(Timed {
        took: begun.elapsed(),
        times,
        processor: Some(process_usage.processor_time()? - before),
    })
}
