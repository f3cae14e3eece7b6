//! Time to finish a long recording: at its end, and after a power cut.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Result, bail};
use sortie_capture_agent::clock::monotonic;
use sortie_capture_agent::writer::{
    Event, Folder, GROWING, Limits, RecoveredFile, Writer, recover_files,
};
use sortie_media::{EncodedFrame, VideoTrack};

/// 1 GB: two hours at 30 frames per second.
const FRAMES: u32 = 216_000;
const FRAME_BYTES: usize = 4_630;
const LONG: Duration = Duration::from_secs(600);

pub(crate) fn measure(folder: &Path) -> Result<()> {
    let (made, left) = (folder.join("made"), folder.join("left"));
    std::fs::create_dir(&made)?;
    std::fs::create_dir(&left)?;
    let (send, events) = mpsc::channel();
    // Longer fragments than usual: writing is not measured and would take minutes.
    let limits = Limits {
        fragment: Duration::from_secs(10),
        queue_bytes: 64 << 20,
    };
    let writer = Writer::start(Folder::new(&made), limits, move |event| {
        let _ = send.send((monotonic(), event));
    })?;
    let handle = writer.handle();
    let track = VideoTrack {
        width: 1920,
        height: 1080,
        avc_config: vec![1, 66, 0, 40, 255, 224, 0],
        colour: None,
    };
    handle.begin("long.mp4", track);
    for number in 0..FRAMES {
        while handle.progress().queued_bytes > 32 << 20 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let pts_ns = i64::from(number) * 1_000_000_000 / 30;
        // A single slice that is never decoded.
        let mut data = u32::try_from(FRAME_BYTES - 4)?.to_be_bytes().to_vec();
        data.resize(FRAME_BYTES, 0x41);
        handle.frame(EncodedFrame {
            pts_ns,
            dts_ns: pts_ns,
            duration_ns: None,
            keyframe: number % 300 == 0,
            data,
        });
    }
    while handle.progress().queued_bytes > 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let growing = format!("long.mp4{GROWING}");
    std::fs::copy(made.join(&growing), left.join(&growing))?;
    // The copy must be durable before the measurement starts.
    std::fs::File::open(left.join(&growing))?.sync_all()?;
    let asked = monotonic();
    handle.end();
    let (finished, size) = loop {
        match events.recv_timeout(LONG)? {
            (at, Event::Finished(file)) => break (at - asked, file.size_bytes),
            (_, Event::Failed { error, .. }) => return Err(error.into()),
            _ => {}
        }
    };
    let asked = monotonic();
    let recovered = recover_files(&Folder::new(&left))?;
    let taken_up = monotonic() - asked;
    let [RecoveredFile::Finished(_)] = recovered.as_slice() else {
        bail!("{recovered:?}");
    };
    println!(
        "| a recording of {} MB, {FRAMES} frames | |\n|---|--:|",
        size / 1_000_000
    );
    println!(
        "| from its end to an ordinary file | {:.0} ms |",
        finished.as_secs_f64() * 1000.0
    );
    println!(
        "| the same at the next start, after a power cut | {:.0} ms |\n",
        taken_up.as_secs_f64() * 1000.0
    );
    Ok(())
}
