//! Repair time of a truncated recording, compared with programs that only read or copy it.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, ensure};
use sortie_faults::webm::{Looper, SAMPLE};
use tokio::time::Instant;

/// Name for the table, program and arguments. `{cut}` is the file, `{copy}` the path of a new file.
const CONTESTANTS: [(&str, &[&str]); 4] = [
    ("`cat` to /dev/null", &["cat", "{cut}"]),
    ("`inspect`: a scan", &["{sortie}", "inspect", "{cut}"]),
    (
        "`dd` of a durable copy",
        &["dd", "if={cut}", "of={copy}", "bs=1M", "conv=fdatasync"],
    ),
    (
        "`repair` into a new file",
        &["{sortie}", "repair", "{cut}", "--output", "{copy}"],
    ),
];

pub(crate) struct Figures {
    pub(crate) name: &'static str,
    pub(crate) took: Duration,
}

/// Creates a recording of about `size` bytes that ends within a frame, and runs every program on it.
pub(crate) fn measure(
    sortie: &Path,
    folder: &Path,
    size: u64,
    rounds: usize,
) -> Result<Vec<Figures>> {
    let place = tempfile::tempdir_in(folder)?;
    let (cut, copy) = (
        place.path().join("cut.webm"),
        place.path().join("copy.webm"),
    );
    write_cut(&cut, size)?;
    let mut all = vec![Vec::new(); CONTESTANTS.len()];
    for _ in 0..rounds {
        for ((name, words), times) in CONTESTANTS.iter().zip(&mut all) {
            let mut words = words.iter().map(|word| {
                word.replace("{sortie}", &sortie.to_string_lossy())
                    .replace("{cut}", &cut.to_string_lossy())
                    .replace("{copy}", &copy.to_string_lossy())
            });
            let mut command = Command::new(words.next().unwrap_or_default());
            command.args(words).stdin(Stdio::null());
            command.stdout(Stdio::null()).stderr(Stdio::null());
            let begun = Instant::now();
            let status = command.status()?;
            times.push(begun.elapsed());
            ensure!(status.success(), "{name} fails: {status}");
            if copy.exists() {
                std::fs::remove_file(&copy)?;
            }
        }
    }
    let figures = CONTESTANTS.iter().zip(all).map(|((name, _), mut times)| {
        times.sort();
        let took = times.get(times.len() / 2).copied().unwrap_or_default();
        Figures { name, took }
    });
    Ok(figures.collect())
}

fn write_cut(path: &Path, size: u64) -> Result<()> {
    let looper = Looper::new(SAMPLE)?;
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    file.write_all(looper.head())?;
    let (mut written, mut round) = (looper.head().len() as u64, 0);
    while written < size {
        let bytes = looper.round(round);
        file.write_all(&bytes)?;
        written += bytes.len() as u64;
        round += 1;
    }
    let file = file.into_inner()?;
    // Within the last frame.
    file.set_len(written - 100)?;
    Ok(file.sync_all()?)
}
