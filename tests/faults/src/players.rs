//! Finished recordings checked by independent programs: `ffprobe` reads every packet, `mkvinfo` the structure.
//!
//! Other checks compare each finished file byte by byte with its expected content. Hence each distinct content is
//! checked once here, however many files have it.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};

/// Tolerance of a player's duration, which is rounded to its own time unit.
const ABOUT_MS: u64 = 100;

/// Contents checked so far.
#[derive(Debug, Default)]
pub struct Players(HashSet<u64>);

impl Players {
    /// Number of distinct recordings checked.
    pub fn checked(&self) -> usize {
        self.0.len()
    }

    /// Checks a WebM file unless the same bytes were checked before. It must play for `duration_ms`.
    pub fn check(&mut self, file: &Path, duration_ms: u64) -> Result<()> {
        let bytes =
            std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        if !self.0.insert(hasher.finish()) {
            return Ok(());
        }
        ffprobe(file, duration_ms)?;
        // `mkvinfo` prints a line for every frame.
        let everything = bytes.len() < 4 << 20;
        mkvinfo(file, if everything { &["--all"] } else { &[] })
    }
}

fn run(program: &str, package: &str, arguments: &[&str], file: &Path) -> Result<Output> {
    Command::new(program)
        .args(arguments)
        .arg(file)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .with_context(|| format!("{program} does not run; Debian has it in the package {package}"))
}

fn ffprobe(file: &Path, duration_ms: u64) -> Result<()> {
    let arguments = [
        "-v",
        "warning",
        "-count_packets",
        "-show_entries",
        "format=duration:stream=nb_read_packets",
        "-of",
        "default=nw=1:nk=1",
    ];
    let output = run("ffprobe", "ffmpeg", &arguments, file)?;
    let complaints = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && complaints.is_empty(),
        "ffprobe says: {complaints}"
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.lines();
    let packets = numbers.next().unwrap_or_default();
    ensure!(
        packets.parse().is_ok_and(|packets: u64| packets > 0),
        "ffprobe finds no packets: {text}"
    );
    let seconds: f64 = numbers.next().unwrap_or_default().parse()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few minutes"
    )]
    let found_ms = (seconds * 1000.0) as u64;
    ensure!(
        found_ms.abs_diff(duration_ms) <= ABOUT_MS,
        "it lasts {duration_ms} ms, and ffprobe says {found_ms}"
    );
    Ok(())
}

fn mkvinfo(file: &Path, arguments: &[&str]) -> Result<()> {
    let output = run("mkvinfo", "mkvtoolnix", arguments, file)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let complaint = text.lines().find(|line| {
        // `mkvinfo` does not know Chromium's elements about alpha.
        !line.contains("VideoAlphaMode")
            && ["Error", "Warning", "damaged", "Unknown"]
                .iter()
                .any(|word| line.contains(word))
    });
    ensure!(
        output.status.success() && complaint.is_none(),
        "mkvinfo says: {}",
        complaint.unwrap_or(&text)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;

    fn check_file(bytes: &[u8], duration_ms: u64) -> Result<()> {
        let file = tempfile::NamedTempFile::with_suffix(".webm")?;
        std::fs::write(file.path(), bytes)?;
        Players::default().check(file.path(), duration_ms)
    }

    #[test]
    fn damaged_recording_fails_the_players() {
        let source = Source::webm(100_000).expect("the sample");
        let (finished, duration_ms) = (source.finished(), source.duration_ms());
        check_file(finished, duration_ms).expect("it plays");
        check_file(finished, duration_ms + 1000).expect_err("it is shorter than that");
        let cut = &finished[..finished.len() / 2];
        check_file(cut, duration_ms).expect_err("half of it is gone");
        let mut hole = finished.to_vec();
        hole[50_000..54_000].fill(0);
        check_file(&hole, duration_ms).expect_err("there is a hole in it");
    }
}
