//! Raw frames of the agent's test picture, and the agent's pipeline for other programs.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use sortie_capture_agent::pipeline::{IdleFrames, Plan, describe};
use sortie_capture_agent::signal::Mode;
use sortie_capture_agent::source::{Capture, Desktop, Scene, TestInput};

/// Frames in the file: 930 MB at 1080p.
pub(crate) const FRAMES: u32 = 300;

/// Writes frames of a scene as I420, unless the file exists.
pub(crate) fn raw(path: &Path, mode: Mode, scene: Scene) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    let (width, height) = (usize::try_from(mode.width)?, usize::try_from(mode.height)?);
    let mut desktop = Desktop::with_scene(width, height, scene);
    let mut out = BufWriter::new(File::create(path)?);
    for _ in 0..FRAMES {
        out.write_all(desktop.advance())?;
    }
    Ok(out.flush()?)
}

/// Elements between source and sink of the agent's pipeline, with or without its queue.
pub(crate) fn elements_after_source(mode: Mode, with_queue: bool) -> Result<String> {
    let plan = Plan {
        capture: Capture::Test(TestInput::new(mode)),
        mode,
        encoder: Some(crate::x264()?),
        no_signal_after: None,
        stills: Vec::new(),
        idle_frames: IdleFrames::Drop,
    };
    let whole = describe(&plan);
    let mark = " ! queue name=queue";
    let (_, behind) = whole.split_once(mark).context("no queue in it")?;
    let (options, rest) = behind.split_once(" ! ").context("nothing behind it")?;
    let (rest, _) = rest.rsplit_once(" ! appsink").context("no end")?;
    Ok(match with_queue {
        true => format!("queue name=queue{options} ! {rest}"),
        false => rest.to_owned(),
    })
}

/// Source elements that read the raw frames, for `gst-launch-1.0`.
pub(crate) fn source(path: &Path, mode: Mode) -> String {
    let (width, height, fps) = (mode.width, mode.height, mode.fps.millihertz());
    format!(
        "filesrc name=source location={} blocksize={} ! rawvideoparse width={width} height={height} format=i420 \
         framerate={fps}/1000 colorimetry=bt709",
        path.display(),
        width * height * 3 / 2
    )
}
