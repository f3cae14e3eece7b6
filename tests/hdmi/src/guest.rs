//! Virtual machine: start, commands, power cut.

mod line;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use sortie_faults::rng::SplitMix64;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream, unix::OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::disk::{Fate, Loss};
use crate::nbd::{self, SharedDisk};
use line::GuestLine;

/// Mount point of the disk in the guest.
pub const RECORDINGS: &str = "/run/recordings";
/// Disk in the guest.
pub const DISK: &str = "/dev/vda";
/// HDMI input in the guest.
pub const INPUT: &str = "/dev/video0";

/// Ten seconds of CPU time, of which a busy host may provide only 2 %.
const BOOT: Duration = Duration::from_secs(900);
/// Limit of a command, in the guest's time.
pub(crate) const COMMAND: Duration = Duration::from_secs(120);
/// The guest reports its time 20 times per second of its time, which may run a hundred times slower than the host's.
const SILENCE: Duration = Duration::from_secs(120);

/// Files of a virtual machine.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Folder with `kernel` and `initrd`, from `scripts/hdmi-guest.sh`.
    pub system: PathBuf,
    /// Folder for sockets and for the console output (`console.log`). Its path must be short enough for a socket
    /// address.
    pub work: PathBuf,
    /// The host's GStreamer plugin registry: a plugin scan takes the guest minutes.
    pub registry: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job(u64);

/// Event of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Line on standard output or error.
    Line(String),
    Ended(i32),
}

/// Result of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Exit code; above 128 a signal's number.
    pub code: i32,
    pub lines: Vec<String>,
}

/// Running virtual machine. Dropping it kills it.
pub struct Guest {
    machine: Child,
    say: OwnedWriteHalf,
    heard: mpsc::UnboundedReceiver<GuestLine>,
    /// Events of other commands, received meanwhile.
    kept: VecDeque<(Duration, Job, Event)>,
    now: Duration,
    jobs: u64,
    disk: SharedDisk,
    registry: PathBuf,
}

impl Setup {
    /// Boots a machine with this disk; returns when it accepts commands.
    ///
    /// # Errors
    /// QEMU cannot be started, or the guest does not boot.
    pub async fn boot(&self, disk: &SharedDisk) -> Result<Guest> {
        disk.with(|disk| disk.power_on());
        let disk_socket = listen(&self.work.join("disk"))?;
        let lines_socket = listen(&self.work.join("lines"))?;
        let errors = File::create(self.work.join("qemu.log"))?;
        let machine = Command::new("qemu-system-x86_64")
            .args(self.arguments()?)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .context("qemu-system-x86_64 cannot be started")?;
        let shared = disk.clone();
        tokio::spawn(async move {
            let (client, _) = disk_socket.accept().await?;
            // The connection breaks when the machine is killed; any other failure appears as a disk error in the guest.
            nbd::serve(client, shared).await
        });
        let mut guest = None;
        let ready = async {
            let (lines, _) = lines_socket.accept().await?;
            let guest = guest.insert(Guest::new(machine, lines, disk, &self.registry));
            match (guest.heard.recv().await, guest.heard.recv().await) {
                (Some(GuestLine::Ready), Some(GuestLine::Time(now))) => {
                    guest.now = now;
                    Ok(())
                }
                line => bail!("the guest begins with {line:?}"),
            }
        };
        timeout(BOOT, ready)
            .await
            .context("it took too long")
            .flatten()
            .with_context(|| {
                format!(
                    "the guest does not start; see console.log and qemu.log in {}",
                    self.work.display()
                )
            })?;
        guest.context("no guest")
    }

    fn arguments(&self) -> Result<Vec<OsString>> {
        let work = self
            .work
            .to_str()
            .context("the folder's name is not text")?;
        let system = self
            .system
            .to_str()
            .context("the folder's name is not text")?;
        // A comma separates options in QEMU.
        if work.contains(',') {
            bail!("{work}: there must be no comma in it");
        }
        // Always emulated, so that the guest is the same everywhere: nested KVM may open and not work. Nehalem is the
        // newest CPU that TCG emulates with the instructions that encoders use. `icount` ties the guest's time to its
        // instructions, two nanoseconds each, so it does not depend on the host's load.
        let words = format!(
            "-nodefaults -no-user-config -no-reboot -display none \
             -machine pc,accel=tcg -cpu Nehalem -smp 1 -m 1024 -icount shift=1 \
             -chardev file,id=console,path={work}/console.log,append=on -serial chardev:console \
             -chardev socket,id=lines,path={work}/lines -serial chardev:lines \
             -fsdev local,id=root,path=/,security_model=none,readonly=on,multidevs=remap \
             -device virtio-9p-pci,fsdev=root,mount_tag=root \
             -blockdev nbd,node-name=disk,server.type=unix,server.path={work}/disk \
             -device virtio-blk-pci,drive=disk"
        );
        let mut all: Vec<OsString> = words.split_whitespace().map(OsString::from).collect();
        for (option, value) in [
            ("-kernel", format!("{system}/kernel")),
            ("-initrd", format!("{system}/initrd")),
            // CPU vulnerability mitigations are most of an emulated processor's work.
            (
                "-append",
                "console=ttyS0 quiet panic=-1 mitigations=off".to_owned(),
            ),
        ] {
            all.extend([option.into(), value.into()]);
        }
        Ok(all)
    }
}

fn listen(path: &Path) -> Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))
}

impl Guest {
    fn new(machine: Child, lines: UnixStream, disk: &SharedDisk, registry: &Path) -> Self {
        let (read, say) = lines.into_split();
        let (send, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut lines = BufReader::new(read).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if send.send(GuestLine::from(line.as_str())).is_err() {
                    break;
                }
            }
        });
        Self {
            machine,
            say,
            heard,
            kept: VecDeque::new(),
            now: Duration::ZERO,
            jobs: 0,
            disk: disk.clone(),
            registry: registry.to_owned(),
        }
    }

    /// Starts a shell command, one line, without waiting for it.
    ///
    /// # Errors
    /// The guest has ended.
    pub async fn start(&mut self, command: &str) -> Result<Job> {
        self.jobs += 1;
        let registry = self.registry.display();
        let line = format!(
            "{} export GST_REGISTRY='{registry}' GST_REGISTRY_UPDATE=no; {command}\n",
            self.jobs
        );
        self.say
            .write_all(line.as_bytes())
            .await
            .context("the guest is gone")?;
        Ok(Job(self.jobs))
    }

    /// Runs a shell command and waits for its end.
    ///
    /// # Errors
    /// It takes too long, or the guest has ended.
    pub async fn run(&mut self, command: &str) -> Result<Output> {
        let job = self.start(command).await?;
        self.wait(job)
            .await
            .with_context(|| format!("in the guest: {command}"))
    }

    /// Runs a shell command that must succeed, and returns its output.
    ///
    /// # Errors
    /// As for [`Guest::run`], and when it fails.
    pub async fn must(&mut self, command: &str) -> Result<Vec<String>> {
        match self.run(command).await? {
            Output { code: 0, lines } => Ok(lines),
            Output { code, lines } => {
                bail!(
                    "in the guest: {command}: exit code {code}: {}",
                    lines.join(" / ")
                )
            }
        }
    }

    /// Waits for the end of a command.
    ///
    /// # Errors
    /// It takes too long, or the guest has ended.
    pub async fn wait(&mut self, job: Job) -> Result<Output> {
        let mut lines = Vec::new();
        let until = self.now + COMMAND;
        loop {
            match self.next(job, until).await? {
                Some((_, Event::Line(line))) => lines.push(line),
                Some((_, Event::Ended(code))) => return Ok(Output { code, lines }),
                None => bail!("it has not ended after {} s", COMMAND.as_secs()),
            }
        }
    }

    /// Returns the time in the guest, at most a twentieth of a second old.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Returns the next event of a command with its time; `None` if none comes until this time in the guest.
    ///
    /// # Errors
    /// The guest has ended.
    pub async fn next(&mut self, job: Job, until: Duration) -> Result<Option<(Duration, Event)>> {
        if let Some(at) = self.kept.iter().position(|(_, of, _)| *of == job) {
            return Ok(self.kept.remove(at).map(|(at, _, event)| (at, event)));
        }
        while self.now < until {
            let heard = timeout(SILENCE, self.heard.recv()).await;
            match heard
                .context("the guest says nothing")?
                .context("the guest is gone")?
            {
                GuestLine::Time(now) => self.now = self.now.max(now),
                GuestLine::Of(at, of, event) => {
                    self.now = self.now.max(at);
                    if Job(of) == job {
                        return Ok(Some((at, event)));
                    }
                    self.kept.push_back((at, Job(of), event));
                }
                GuestLine::Ready => bail!("the guest has started again"),
                GuestLine::Noise(line) => bail!("the guest says {line:?}"),
            }
        }
        Ok(None)
    }

    /// Cuts the power. Returns the loss of the disk's cache, and the command's last events.
    ///
    /// # Errors
    /// The machine had ended before.
    pub async fn cut(
        mut self,
        fate: Fate,
        rng: &mut SplitMix64,
        job: Job,
    ) -> Result<(Loss, Vec<Event>)> {
        if let Some(status) = self.machine.try_wait()? {
            bail!("the machine has already ended: {status}");
        }
        let loss = self.disk.with(|disk| disk.cut(fate, rng));
        self.machine.kill().await?;
        let mut last: Vec<_> = self
            .kept
            .drain(..)
            .filter(|(_, of, _)| *of == job)
            .map(|(_, _, event)| event)
            .collect();
        // These events were written before the cut and read after it; partial lines are ignored.
        while let Some(line) = self.heard.recv().await {
            match line {
                GuestLine::Of(_, of, event) if Job(of) == job => last.push(event),
                _ => {}
            }
        }
        Ok((loss, last))
    }

    /// Switches the machine off after unmounting its disk.
    ///
    /// # Errors
    /// The disk cannot be unmounted.
    pub async fn shut_down(mut self) -> Result<()> {
        self.must(&format!("umount {RECORDINGS}")).await?;
        self.machine.kill().await?;
        // After a clean shutdown the drive writes its cache.
        self.disk.with(|disk| disk.flush());
        Ok(())
    }
}
