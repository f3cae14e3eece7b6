//! ustreamer owns the HDMI input, as on a PiKVM, and the agent records its frames.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::agent::Agent;
use crate::clip::Clip;
use crate::disk::Disk;
use crate::guest::{DISK, Guest, INPUT, Job, RECORDINGS, Setup};
use crate::image::{self, Health};
use crate::nbd::SharedDisk;
use crate::signal::VGA;

const SIZE: u64 = 256 << 20;
/// Name of the shared memory, and port of the stream.
const SINK: &str = "sortie";
const PORT: u16 = 8090;
/// Recordings and their sources.
const RECORDED: [(&str, &str); 2] = [
    ("memory.mp4", "ustreamer:sortie"),
    ("stream.mp4", "ustreamer:http://127.0.0.1:8090/stream"),
];

/// Records both interfaces of ustreamer, and again after it was restarted.
///
/// # Errors
/// The agent fails, or a recording is wrong.
pub async fn run(setup: &Setup, agent: &Agent) -> Result<Vec<Clip>> {
    let disk = SharedDisk::new(Disk::new(image::fresh(SIZE, &setup.work)?));
    let mut guest = setup.boot(&disk).await?;
    guest.must(&format!("mount {DISK} {RECORDINGS}")).await?;
    guest
        .must("mkdir -p /dev/shm && mount -t tmpfs shm /dev/shm")
        .await?;
    guest.must(&VGA.command()).await?;
    let mut server = start(&mut guest).await?;
    for (name, source) in RECORDED {
        let file = format!("{RECORDINGS}/{name}");
        let command = agent.record_source(source, &file, "--seconds 3");
        let output = guest.run(&command).await?;
        if output.code != 0 {
            let said = output.lines.join("\n");
            bail!("recording {source} ends with {}: {said}", output.code);
        }
        stop(&mut guest, server).await?;
        server = start(&mut guest).await?;
    }
    stop(&mut guest, server).await?;
    let missing = agent.record_source(RECORDED[1].1, "/run/missing.mp4", "--seconds 1");
    let output = guest.run(&missing).await?;
    let said = output.lines.join("\n");
    if output.code == 0 || !said.contains("Connection refused") {
        bail!(
            "without ustreamer the agent ends with {}: {said}",
            output.code
        );
    }
    guest.shut_down().await?;
    let to = setup.work.join("ustreamer");
    if disk.with(|disk| image::unpack(disk.medium(), &to))? != Health::Clean {
        bail!("the file system was unmounted and is not clean");
    }
    let clips = RECORDED.map(|(name, _)| Clip::read(&to.join(name)));
    let clips: Vec<_> = clips.into_iter().collect::<Result<_>>()?;
    for clip in &clips {
        let is_right = (clip.width, clip.height) == (640, 480) && clip.frames > 1;
        if !is_right || clip.duration_ms < 2000 {
            bail!("{clip:?} is no recording of three seconds");
        }
    }
    Ok(clips)
}

/// Starts ustreamer; returns when it serves its stream.
async fn start(guest: &mut Guest) -> Result<Job> {
    let command = format!(
        "ustreamer --device={INPUT} --dv-timings --desired-fps=5 --workers=1 --quality=60 --host=127.0.0.1 \
         --port={PORT} --sink={SINK} --sink-mode=660 --sink-rm"
    );
    let job = guest.start(&command).await?;
    let until = guest.now() + Duration::from_secs(60);
    let is_there = format!("curl -sf http://127.0.0.1:{PORT}/state");
    while guest.run(&is_there).await?.code != 0 {
        if guest.now() > until {
            bail!("ustreamer does not start");
        }
    }
    Ok(job)
}

async fn stop(guest: &mut Guest, server: Job) -> Result<()> {
    // Its main thread is called `main`.
    guest.must("pkill -TERM -f '^ustreamer '").await?;
    guest.wait(server).await?;
    Ok(())
}
