//! The recorder inside a server with accounts, pages, catalog and settings.
//!
//! Recorder and server run side by side and do not wait for each other: without a database the recording continues, and
//! its files are imported later.

mod appliance;
mod config;
mod importer;
mod problem_advice;
mod systemd;

use std::future::Future;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use sortie_server::{Server, SystemClock};
use tokio::sync::mpsc;

pub use config::{Config, FILE, VARIABLES, Variable, help};

use crate::clock::monotonic;
use crate::forward::{self, Status};
use crate::recorder::{Handle, Recorder};
use appliance::RecorderAppliance;
use importer::CurrentFile;
use systemd::Notifier;

/// Interval of watchdog notifications to systemd.
const WATCHDOG_INTERVAL: Duration = Duration::from_secs(10);
/// Longest time that the recorder may block, for example in encoder trials.
const PATIENCE: Duration = Duration::from_secs(60);

/// Records and serves until `stop` is ready, then finishes the recording in progress.
///
/// # Errors
///
/// Recorder or server cannot start.
pub async fn serve(
    config: Config,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let notify = Notifier::new(std::env::var_os("NOTIFY_SOCKET").as_deref())
        .context("NOTIFY_SOCKET names no socket")?;
    let folder = config.setup.folder.clone();
    let (send, events) = mpsc::unbounded_channel();
    let recorder = Recorder::start(config.setup, move |event| {
        // The receiver is gone if the agent could not start.
        let _ = send.send(event);
    })
    .context("the recorder cannot be started")?;
    let handle = recorder.handle().clone();
    let status = Status::default();
    let begun = CurrentFile::default();
    let appliance = Arc::new(RecorderAppliance {
        recorder: handle.clone(),
        begun: begun.clone(),
        forwarding: config.forward.is_some().then(|| status.clone()),
    });
    let server = Server::open_with(config.server, Arc::new(SystemClock), Some(appliance)).await?;
    // Runs before retention: recordings that the central server does not have must not be deleted.
    let forwards = config.forward.is_some();
    let pending = server.importer().set_forwarding(forwards).await;
    pending.context("the recordings that wait for the central server cannot be marked")?;
    let forwarding = config.forward.map(|target| {
        tokio::spawn(forward::run(forward::Setup {
            target,
            folder: folder.clone(),
            journal: config.journal,
            recorder: handle.clone(),
            importer: server.importer(),
            status,
        }))
    });
    let keeping = tokio::spawn(importer::run(
        server.importer(),
        folder,
        events,
        begun,
        forwards,
        handle.clone(),
    ));
    greet(&server)?;
    notify.notify("READY=1");
    let alive = tokio::spawn(feed_watchdog(notify, handle));
    let stop = async move {
        stop.await;
        // The recording ends first, while the importer can still receive its file.
        let _ = tokio::task::spawn_blocking(move || drop(recorder)).await;
        let _ = keeping.await;
    };
    let served = server.serve(stop).await;
    alive.abort();
    // Forwarding resumes at the next start.
    forwarding.inspect(tokio::task::JoinHandle::abort);
    Ok(served?)
}

fn greet(server: &Server) -> anyhow::Result<()> {
    let mut greeting = format!(
        "Sortie capture agent {} listens on {}\n",
        env!("CARGO_PKG_VERSION"),
        server.url()
    );
    if let Some(admin) = server.first_admin() {
        greeting += &admin.greeting("SORTIE_CAPTURE_ADMIN_PASSWORD");
    }
    // A single write: a reader of the address finds the password as well.
    let mut out = std::io::stdout().lock();
    out.write_all(greeting.as_bytes())
        .and_then(|()| out.flush())
        .context("the greeting cannot be written")
}

/// Notifies systemd's watchdog while the recorder iterates.
async fn feed_watchdog(notify: Notifier, recorder: Handle) {
    loop {
        tokio::time::sleep(WATCHDOG_INTERVAL).await;
        if monotonic().saturating_sub(recorder.moved_at()) < PATIENCE {
            notify.notify("WATCHDOG=1");
        } else {
            tracing::error!("the recorder does not respond");
        }
    }
}
