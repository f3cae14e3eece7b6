//! CPU time and bytes of an idle, a typed-on, a scrolling and a moving screen, with and without identical frames.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::{AGENT, processor};

/// Seconds to record, unless `$SECONDS_RECORDED` is set.
const SECONDS: u32 = 60;

/// Sources, and how many of ten minutes each takes in a mix that stands for a day at a desk.
const MIX: [(&str, f64); 4] = [
    ("test-idle", 5.0),
    ("test-typing", 3.0),
    ("test", 1.0),
    ("test-video", 1.0),
];

/// The thread that draws the test picture is excluded.
pub(crate) fn measure(folder: &Path) -> Result<()> {
    let wanted = std::env::var("SECONDS_RECORDED").ok();
    let seconds = wanted.map_or(Ok(SECONDS), |text| text.parse())?;
    println!("| 1080p30, x264, {seconds} s | MB an hour | CPU seconds a minute |\n|---|--:|--:|");
    let mut mix = [0.0, 0.0];
    for (source, minutes) in MIX {
        for (frames, mixed) in ["drop", "keep"].into_iter().zip(&mut mix) {
            let file = folder.join(format!("{source}-{frames}.mp4"));
            let mut child = Command::new(AGENT)
                .args(["record", "--source", source, "--mode", "1920x1080@30"])
                .args(["--idle-frames", frames])
                .args(["--seconds", &seconds.to_string(), "-o"])
                .arg(&file)
                .stderr(Stdio::null())
                .spawn()?;
            let mut used = Duration::ZERO;
            while child.try_wait()?.is_none() {
                if let Ok(time) = processor::time(child.id(), &["test-picture"]) {
                    used = used.max(time);
                }
                sleep(Duration::from_millis(250));
            }
            ensure!(child.wait()?.success(), "{source}: no recording");
            let size = std::fs::metadata(&file)?.len();
            let seconds = f64::from(seconds);
            #[expect(clippy::cast_precision_loss, reason = "megabytes")]
            let hourly = size as f64 / seconds * 3600.0 / 1e6;
            let cpu = used.as_secs_f64() / seconds * 60.0;
            println!("| {source}, {frames} | {hourly:.1} | {cpu:.1} |");
            *mixed += hourly * minutes / 10.0;
            std::fs::remove_file(&file)?;
        }
    }
    let [drop, keep] = mix;
    println!("| 5 min idle, 3 typing, 1 scrolling, 1 film: drop | {drop:.1} | |");
    println!("| the same, keep | {keep:.1} | |\n");
    Ok(())
}
