//! The agent as a server: the recorder with accounts, pages, list, download and settings around it.
//!
//! The recorder runs on its own; the server library is mounted beside it and hears of finished files. Neither waits
//! for the other: without a database the recording goes on, and its files are taken in later.

mod advice;
mod config;
mod keeper;
mod notify;
mod onboard;

use std::future::Future;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use sortie_server::{Server, SystemClock};
use tokio::sync::mpsc;

pub use config::{Config, ConfigError, FILE, VARIABLES, Variable, help};

use crate::clock::monotonic;
use crate::forward::{self, Forwarder, Status};
use crate::recorder::{Handle, Recorder};
use keeper::Begun;
use notify::Notify;
use onboard::OnBoard;

/// How often systemd hears that all is well.
const ALIVE_EVERY: Duration = Duration::from_secs(10);
/// For how long the recorder may be busy with one thing, such as trying encoders.
const PATIENCE: Duration = Duration::from_secs(60);

/// Records and answers until `stop` is ready; then finishes what is under way.
///
/// # Errors
///
/// When it cannot start.
pub async fn serve(
    config: Config,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let notify = Notify::new(std::env::var_os("NOTIFY_SOCKET").as_deref())
        .context("NOTIFY_SOCKET names no socket")?;
    let folder = config.setup.folder.clone();
    let (send, events) = mpsc::unbounded_channel();
    let recorder = Recorder::start(config.setup, move |event| {
        // Nobody listens any more when the agent could not start.
        let _ = send.send(event);
    })
    .context("the recorder cannot be started")?;
    let handle = recorder.handle().clone();
    let status = Status::default();
    let begun = Begun::default();
    let on_board = Arc::new(OnBoard {
        recorder: handle.clone(),
        begun: begun.clone(),
        forwarding: config.forward.is_some().then(|| status.clone()),
    });
    let server = Server::open_with(config.server, Arc::new(SystemClock), Some(on_board)).await?;
    // Before anything is deleted: what the central server does not have yet stays.
    let forwards = config.forward.is_some();
    let pending = server.importer().set_forward_pending(forwards).await;
    pending.context("the recordings that wait for the central server cannot be marked")?;
    let forwarding = config.forward.map(|target| {
        tokio::spawn(forward::run(Forwarder {
            target,
            folder: folder.clone(),
            ledger: config.ledger,
            recorder: handle.clone(),
            importer: server.importer(),
            status,
        }))
    });
    let keeping = tokio::spawn(keeper::keep(
        server.importer(),
        folder,
        events,
        begun,
        forwards,
        handle.clone(),
    ));
    greet(&server)?;
    notify.say("READY=1");
    let alive = tokio::spawn(say_alive(notify, handle));
    let stop = async move {
        stop.await;
        // First the recording, while there is somebody to take it in.
        let _ = tokio::task::spawn_blocking(move || drop(recorder)).await;
        let _ = keeping.await;
    };
    let served = server.serve(stop).await;
    alive.abort();
    // It goes on at the next start.
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
    // All of it at once: whoever waits for the address finds the password too.
    let mut out = std::io::stdout().lock();
    out.write_all(greeting.as_bytes())
        .and_then(|()| out.flush())
        .context("the greeting cannot be written")
}

/// Keeps systemd's watchdog quiet as long as the recorder moves.
async fn say_alive(notify: Notify, recorder: Handle) {
    loop {
        tokio::time::sleep(ALIVE_EVERY).await;
        if monotonic().saturating_sub(recorder.moved_at()) < PATIENCE {
            notify.say("WATCHDOG=1");
        } else {
            tracing::error!("the recorder stands still");
        }
    }
}
