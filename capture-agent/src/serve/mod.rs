//! The recorder inside a server with accounts, pages, catalog and settings.
//!
//! Recorder and server run side by side and do not wait for each other: without a database the recording continues, and
//! its files are imported later.

mod appliance;
mod config;
mod history;
mod importer;
mod monitor;
mod mqtt;
mod other_files;
mod problem_advice;
mod schedule;
mod systemd;
mod tls;

use std::future::Future;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use sortie_server::{Server, SystemClock, Tls};
use tokio::sync::mpsc;

pub use config::{Config, FILE, VARIABLES, Variable, help};
pub use mqtt::{Address as MqttAddress, Broker as MqttBroker};
pub use tls::{CertificateSource, Description};

use crate::alarm::HookRunner;
use crate::clock::monotonic;
use crate::forward::{self, Status};
use crate::recorder::{Handle, Recorder};
use appliance::RecorderAppliance;
use history::SharedHistory;
use importer::BegunFiles;
use monitor::Monitored;
use schedule::AutoRecord;
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
    let certificate = config.certificate.map(|source| {
        let loaded = source.load().context("HTTPS is not possible")?;
        tracing::info!(sha256 = loaded.description.sha256, "certificate");
        anyhow::Ok((source, loaded.stamp, Tls::new(loaded.config)))
    });
    let certificate = certificate.transpose()?;
    let reserve_bytes = config.setup.reserve_bytes;
    let instance = config.journal.display().to_string();
    let (send, events) = mpsc::unbounded_channel();
    let recorder = Recorder::start(config.setup, move |event| {
        // The receiver is gone if the agent could not start.
        let _ = send.send(event);
    })
    .context("the recorder cannot be started")?;
    let handle = recorder.handle().clone();
    let status = Status::default();
    let begun = BegunFiles::default();
    let history = SharedHistory::default();
    let monitored = Monitored::default();
    let auto_record = AutoRecord::new(handle.clone());
    let appliance = Arc::new(RecorderAppliance {
        auto_record: auto_record.clone(),
        recorder: handle.clone(),
        history: history.clone(),
        host: host_name(),
        folder: folder.clone(),
        reserve_bytes,
        begun: begun.clone(),
        forwarding: config.forward.is_some().then(|| status.clone()),
        monitored: monitored.clone(),
    });
    let server = Server::open_with(config.server, Arc::new(SystemClock), Some(appliance)).await?;
    let server = server.with_tls(certificate.as_ref().map(|(_, _, tls)| tls.clone()));
    // Runs before retention: recordings that the central server does not have must not be deleted.
    let forwards = config.forward.is_some();
    let pending = server.importer().set_forwarding(forwards).await;
    pending.context("the recordings that wait for the central server cannot be marked")?;
    let monitoring = tokio::spawn(monitor::run(monitor::Setup {
        limits: config.alarms,
        hook: config.alarm_hook.map(HookRunner::start),
        recorder: handle.clone(),
        history: history.clone(),
        importer: server.importer(),
        folder: folder.clone(),
        reserve_bytes,
        forwarding: forwards.then(|| status.clone()),
        monitored,
    }));
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
    let control = server.appliance_control(mqtt::INTERFACE);
    let publishing = config.mqtt.zip(control).map(|(broker, control)| {
        tokio::spawn(mqtt::run(mqtt::Setup {
            broker,
            control,
            recorder: handle.clone(),
            host: host_name(),
            instance,
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
    let watching = certificate.map(|(source, stamp, tls)| tokio::spawn(source.watch(stamp, tls)));
    greet(&server)?;
    notify.notify("READY=1");
    let sampling = tokio::spawn(history::run(history, handle.clone()));
    let scheduling = tokio::spawn(schedule::run(auto_record));
    let alive = tokio::spawn(feed_watchdog(notify, handle));
    let stop = async move {
        stop.await;
        // The recording ends first, while the importer can still receive its file.
        let _ = tokio::task::spawn_blocking(move || drop(recorder)).await;
        let _ = keeping.await;
    };
    let served = server.serve(stop).await;
    alive.abort();
    watching.inspect(tokio::task::JoinHandle::abort);
    sampling.abort();
    scheduling.abort();
    monitoring.abort();
    publishing.inspect(tokio::task::JoinHandle::abort);
    // Forwarding resumes at the next start.
    forwarding.inspect(tokio::task::JoinHandle::abort);
    Ok(served?)
}

/// Host name as the kernel has it; `None` if there is none.
fn host_name() -> Option<String> {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    Some(name).filter(|name| !name.is_empty() && name != "(none)")
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
