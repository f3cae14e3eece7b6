//! Similarity of the encoded picture to the source.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use sortie_capture_agent::signal::Mode;
use sortie_capture_agent::source::Scene;

use crate::footage;

const SCENES: [(&str, Scene); 4] = [
    ("Idle, a quarter of the screen is text", Scene::Idle),
    ("Typing, five letters a second", Scene::Typing),
    ("Scrolling text", Scene::Scrolling),
    ("Film over half of the screen", Scene::Video),
];

pub(crate) fn measure(folder: &Path) -> Result<()> {
    let mode: Mode = "1920x1080@30".parse()?;
    println!(
        "| 1080p30, x264, {} frames of each scene | SSIM, all planes | SSIM, luma |\n|---|--:|--:|",
        footage::FRAMES
    );
    for (title, scene) in SCENES {
        let (luma, all) = similarity(folder, mode, scene)?;
        println!("| {title} | {all} | {luma} |");
    }
    println!();
    Ok(())
}

/// Returns the SSIM of luma and of all planes. Uses the agent's elements and settings without a clock: no frame is
/// dropped, so every frame can be compared.
fn similarity(folder: &Path, mode: Mode, scene: Scene) -> Result<(String, String)> {
    let (raw, file) = (folder.join("scene.raw"), folder.join("quality.mp4"));
    footage::raw(&raw, mode, scene)?;
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
            "30",
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
    std::fs::remove_file(&raw)?;
    Ok((luma, all))
}
