//! Similarity of the encoded picture to the source, and bytes per hour.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use sortie_capture_agent::signal::Mode;

use crate::footage;

/// Uses the same elements and settings without a clock: no frame is dropped, so every frame can be compared.
pub(crate) fn measure(folder: &Path) -> Result<()> {
    let mode: Mode = "1920x1080@60".parse()?;
    let (raw, file) = (folder.join("desktop.raw"), folder.join("quality.mp4"));
    footage::raw(&raw, mode)?;
    let (source, elements) = (
        footage::source(&raw, mode),
        footage::elements_after_source(mode, false)?,
    );
    let pipeline = format!(
        "{source} ! {elements} ! mp4mux ! filesink location={}",
        file.display()
    );
    let encoded = Command::new("gst-launch-1.0")
        .arg("-q")
        .args(pipeline.split_whitespace())
        .status()?;
    ensure!(encoded.success(), "gst-launch-1.0 {pipeline}");
    let compared = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostats", "-i"])
        .arg(&file)
        .args([
            "-f",
            "rawvideo",
            "-pix_fmt",
            "yuv420p",
            "-s",
            "1920x1080",
            "-r",
            "60",
            "-i",
        ])
        .arg(&raw)
        .args(["-lavfi", "ssim", "-f", "null", "-"])
        .output()?;
    let said = String::from_utf8_lossy(&compared.stderr).into_owned();
    let ssim = said.lines().rev().find_map(|line| {
        let (_, figures) = line.split_once("SSIM ")?;
        let of = |name| {
            figures
                .split_whitespace()
                .find_map(|it| it.strip_prefix(name))
        };
        Some((of("Y:")?.to_owned(), of("All:")?.to_owned()))
    });
    let (luma, all) = ssim.with_context(|| said.clone())?;
    let size = std::fs::metadata(&file)?.len();
    #[expect(clippy::cast_precision_loss, reason = "megabytes")]
    let hourly = size as f64 / f64::from(footage::FRAMES) * 60.0 * 3600.0 / 1e6;
    println!(
        "| 1080p60, x264, {} frames of the test picture | |\n|---|--:|",
        footage::FRAMES
    );
    println!("| SSIM, all planes | {all} |");
    println!("| SSIM, luma | {luma} |");
    println!("| size | {hourly:.0} MB an hour |\n");
    Ok(())
}
