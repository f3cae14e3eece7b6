//! Software encoding of 1080p60: dropped frames, CPUs in use, memory over time.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::{AGENT, processor};

/// Seconds to record, unless `$SECONDS_RECORDED` is set; 3600 shows an hour.
const SECONDS: u32 = 60;
/// Seconds after which memory must stay constant.
const WARM: u32 = 10;

pub(crate) fn measure(folder: &Path) -> Result<()> {
    let wanted = std::env::var("SECONDS_RECORDED").ok();
    let seconds = wanted.map_or(Ok(SECONDS), |text| text.parse())?;
    let file = folder.join("record.mp4");
    let child = Command::new(AGENT)
        .args(["record", "--source", "test", "--mode", "1920x1080@60"])
        .args(["--seconds", &seconds.to_string(), "-o"])
        .arg(&file)
        .stderr(Stdio::piped())
        .spawn()?;
    let process = child.id();
    let mut memory = Vec::new();
    let mut used = (Duration::ZERO, 0);
    for second in 1..seconds {
        sleep(Duration::from_secs(1));
        if second >= WARM
            && let Ok(resident) = processor::memory(process)
        {
            memory.push(resident);
        }
        if let Ok(time) = processor::time(process, &["test-picture"]) {
            used = (time, second);
        }
    }
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let dropped = said
        .rsplit_once(" frames dropped")
        .and_then(|(before, _)| before.rsplit(' ').next()?.parse::<f64>().ok())
        .with_context(|| said.clone())?;
    let (first, last) = (
        memory.first().copied().unwrap_or_default(),
        memory.last().copied().unwrap_or_default(),
    );
    let most = memory.iter().copied().fold(0.0, f64::max);
    let expected = f64::from(seconds) * 60.0;
    let size = std::fs::metadata(&file)?.len();
    #[expect(clippy::cast_precision_loss, reason = "megabytes")]
    let hourly = size as f64 / f64::from(seconds) * 3600.0 / 1e6;
    println!("| 1080p60, x264, {seconds} s | |\n|---|--:|");
    println!(
        "| frames dropped | {dropped:.0} of {expected:.0} ({:.1} %) |",
        dropped / expected * 100.0
    );
    println!(
        "| processors in use | {:.2} |",
        used.0.as_secs_f64() / f64::from(used.1.max(1))
    );
    println!("| memory after {WARM} s, at the end, most | {first:.0}, {last:.0}, {most:.0} MiB |");
    println!("| what was recorded | {hourly:.0} MB an hour |\n");
    Ok(())
}
