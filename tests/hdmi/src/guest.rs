//! The virtual machine: started, talked to, and cut off.

mod said;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use sortie_faults::dice::Dice;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream, unix::OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::disk::{Fate, Loss};
use crate::nbd::{self, SharedDisk};
use said::Said;

/// Where the guest mounts what a command is told to mount.
pub const RECORDINGS: &str = "/run/recordings";
/// The guest's disk.
pub const DISK: &str = "/dev/vda";
/// The guest's HDMI input.
pub const INPUT: &str = "/dev/video0";

/// Ten seconds of a processor, of which a machine with other things to do may give one in fifty.
const BOOT: Duration = Duration::from_secs(900);
/// How long a command may take, in the guest's time.
pub(crate) const COMMAND: Duration = Duration::from_secs(120);
/// The guest says how late it is twenty times a second of its time, which may pass a hundred times slower than ours.
const SILENCE: Duration = Duration::from_secs(120);

/// What a virtual machine is made of.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The folder with `kernel` and `initrd`, as `scripts/hdmi-guest.sh` makes it.
    pub system: PathBuf,
    /// A folder for sockets and for what the machine says (`console.log`). Its path must be short: sockets are in it.
    pub work: PathBuf,
    /// The host's list of GStreamer's plugins: looking through them takes the guest minutes.
    pub registry: PathBuf,
}

/// A command that runs in the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job(u64);

/// Something a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It wrote a line, to standard output or error.
    Line(String),
    /// It ended, with this exit code.
    Ended(i32),
}

/// What a command that has ended did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its exit code; beyond 128 a signal's number.
    pub code: i32,
    /// What it wrote.
    pub lines: Vec<String>,
}

/// A running virtual machine. Dropping it kills it.
pub struct Guest {
    machine: Child,
    say: OwnedWriteHalf,
    heard: mpsc::UnboundedReceiver<Said>,
    /// Heard while something else was waited for.
    kept: VecDeque<(Duration, Job, Event)>,
    now: Duration,
    jobs: u64,
    disk: SharedDisk,
    registry: PathBuf,
}

impl Setup {
    /// Starts a machine with this disk; ready when it takes commands.
    ///
    /// # Errors
    /// When QEMU cannot be started, or the guest does not come up.
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
            // It breaks off when the machine is killed; another reason shows as a disk that does not answer.
            nbd::serve(client, shared).await
        });
        let mut guest = None;
        let ready = async {
            let (lines, _) = lines_socket.accept().await?;
            let guest = guest.insert(Guest::new(machine, lines, disk, &self.registry));
            match (guest.heard.recv().await, guest.heard.recv().await) {
                (Some(Said::Ready), Some(Said::Time(now))) => {
                    guest.now = now;
                    Ok(())
                }
                said => bail!("the guest begins with {said:?}"),
            }
        };
        timeout(BOOT, ready)
            .await
            .context("it took too long")
            .flatten()
            .with_context(|| {
                let (said, complaints) = ("console.log", "qemu.log");
                format!(
                    "the guest does not start; see {said} and {complaints} in {}",
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
        // What is said with a comma means something to QEMU.
        if work.contains(',') {
            bail!("{work}: there must be no comma in it");
        }
        // Always emulated, for the same guest everywhere: a virtual machine's own /dev/kvm may open and not work.
        // Nehalem is the newest that emulation covers and encoders make use of. `icount` lets the guest's time pass
        // by what it has computed, two nanoseconds an instruction: it does not notice that others use the host.
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
            // Its defences against other guests' code are most of what an emulated processor does.
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
                if send.send(Said::from(line.as_str())).is_err() {
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

    /// Starts a shell command and does not wait for it. It must be one line.
    ///
    /// # Errors
    /// When the guest is gone.
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

    /// Runs a shell command to its end.
    ///
    /// # Errors
    /// When it takes too long, or the guest is gone.
    pub async fn run(&mut self, command: &str) -> Result<Output> {
        let job = self.start(command).await?;
        self.wait(job)
            .await
            .with_context(|| format!("in the guest: {command}"))
    }

    /// Runs a shell command that must succeed, and returns what it wrote.
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

    /// Waits until a command has ended.
    ///
    /// # Errors
    /// When it takes too long, or the guest is gone.
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

    /// How late it is in the guest, as far as is known: at most a twentieth of a second ago.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now
    }

    /// The next that a command does, and when it did; `None` when nothing comes until it is so late in the guest.
    ///
    /// # Errors
    /// When the guest is gone.
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
                Said::Time(now) => self.now = self.now.max(now),
                Said::Of(at, of, event) => {
                    self.now = self.now.max(at);
                    if Job(of) == job {
                        return Ok(Some((at, event)));
                    }
                    self.kept.push_back((at, Job(of), event));
                }
                Said::Ready => bail!("the guest has started again"),
                Said::Noise(line) => bail!("the guest says {line:?}"),
            }
        }
        Ok(None)
    }

    /// Cuts its power: what a command had said until then, and what became of the disk's cache.
    ///
    /// # Errors
    /// When it had ended by itself.
    pub async fn cut(
        mut self,
        fate: Fate,
        dice: &mut Dice,
        job: Job,
    ) -> Result<(Loss, Vec<Event>)> {
        if let Some(status) = self.machine.try_wait()? {
            bail!("the machine has ended by itself: {status}");
        }
        let loss = self.disk.with(|disk| disk.cut(fate, dice));
        self.machine.kill().await?;
        let mut last: Vec<_> = self
            .kept
            .drain(..)
            .filter(|(_, of, _)| *of == job)
            .map(|(_, _, event)| event)
            .collect();
        // The disk was off when they were read, but not when they were written; half a line is no line.
        while let Some(said) = self.heard.recv().await {
            match said {
                Said::Of(_, of, event) if Job(of) == job => last.push(event),
                _ => {}
            }
        }
        Ok((loss, last))
    }

    /// Switches it off after its disk was unmounted.
    ///
    /// # Errors
    /// When the disk cannot be unmounted.
    pub async fn shut_down(mut self) -> Result<()> {
        self.must(&format!("umount {RECORDINGS}")).await?;
        self.machine.kill().await?;
        // What a clean end leaves in the cache, a drive writes in its own time.
        self.disk.with(|disk| disk.flush());
        Ok(())
    }
}
