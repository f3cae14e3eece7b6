//! Background tasks of a running server.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::AppState;
use crate::gc::Sweep;
use crate::required_recordings::RequiredRecordings;
use crate::uploads::TICK;

/// Time that requests in flight have to complete once the server is told to stop.
pub(crate) const GRACE: Duration = Duration::from_secs(10);
/// Delay of the first garbage collection, in which interrupted senders reconnect.
const SWEEP_FIRST: Duration = Duration::from_secs(15 * 60);
const SWEEP_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// Supervisor of the background tasks. They end when the token that they were started with is cancelled.
pub(crate) struct Tasks {
    tracker: TaskTracker,
    upload_cut: AbortHandle,
}

impl Tasks {
    /// Starts all tasks. `feed` follows the audit log for event streams and ends with
    /// [`crate::change_feed::Events::shut_down`].
    pub(crate) fn start(
        state: &AppState,
        feed: impl Future<Output = ()> + Send + 'static,
        stopping: &CancellationToken,
    ) -> Self {
        let tracker = TaskTracker::new();
        tracker.spawn(feed);
        tracker.spawn(keep_retention(state.clone(), stopping.clone()));
        tracker.spawn(index_texts(state.clone(), stopping.clone()));
        tracker.spawn(reap_uploads(state.clone(), stopping.clone()));
        if state.config.recording_enabled {
            tracker.spawn(watch_required_recordings(state.clone(), stopping.clone()));
        }
        let erasing = state.eraser.clone().run();
        tracker.spawn(stopping.clone().run_until_cancelled_owned(erasing));
        let sweeping = collect_garbage(state.clone());
        tracker.spawn(stopping.clone().run_until_cancelled_owned(sweeping));
        let disk = Arc::clone(&state.disk);
        let measuring = async move { disk.run().await };
        tracker.spawn(stopping.clone().run_until_cancelled_owned(measuring));
        let upload_cut = tokio::spawn(cut_uploads(state.clone(), stopping.clone())).abort_handle();
        tracker.close();
        Self {
            tracker,
            upload_cut,
        }
    }

    /// Adds a task that ends when the server stops.
    #[cfg(feature = "webhooks")]
    pub(crate) fn add(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(task);
    }

    /// Waits for the tasks to end. Their token must be cancelled.
    pub(crate) async fn join(self) {
        self.upload_cut.abort();
        self.tracker.wait().await;
    }
}

/// Runs retention, and deletes expired sign-ins and login states.
async fn keep_retention(state: AppState, stopping: CancellationToken) {
    let watch = Arc::clone(state.retention.clock_watch());
    while tick(&stopping).await {
        watch.tick().await;
        // The schedule depends on the trusted time.
        if state.appliance.is_some()
            && let Err(error) = state.apply_settings().await
        {
            tracing::error!(%error, "the settings cannot be read: the recorder keeps the earlier ones");
        }
        state.accounts.sign_ins.clean_up(watch.is_trusted()).await;
        if state.config.recording_enabled {
            state.retention.tick().await;
        }
    }
}

/// Updates the search index.
async fn index_texts(state: AppState, stopping: CancellationToken) {
    while tick(&stopping).await {
        loop {
            match state.database.search_index().update().await {
                Ok(true) if !stopping.is_cancelled() => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(%error, "the search index was not updated");
                    break;
                }
            }
        }
    }
}

/// Reports required recordings that are missing. A task of its own: a slow storage must not delay it.
async fn watch_required_recordings(state: AppState, stopping: CancellationToken) {
    let mut required = RequiredRecordings::new(
        state.database.clone(),
        state.uploads.clone(),
        Arc::clone(&state.clock),
        Arc::clone(&state.metrics),
        &state.config,
    );
    while tick(&stopping).await {
        required.tick().await;
    }
}

/// Finishes recordings whose sender is silent.
async fn reap_uploads(state: AppState, stopping: CancellationToken) {
    let watch = Arc::clone(state.retention.clock_watch());
    state.uploads.start_silence();
    state.uploads.finish_pending().await;
    while tick(&stopping).await {
        state.uploads.reap(watch.is_trusted()).await;
    }
}

/// Deletes orphaned objects once a day, unless the clock is in doubt.
async fn collect_garbage(state: AppState) {
    let sweep = Sweep::new(
        state.database.clone(),
        Arc::clone(&state.storage),
        state.uploads.clone(),
        Arc::clone(&state.clock),
    );
    let watch = Arc::clone(state.retention.clock_watch());
    tokio::time::sleep(SWEEP_FIRST).await;
    loop {
        while !watch.is_trusted() {
            tokio::time::sleep(TICK).await;
        }
        sweep.daily().await;
        tokio::time::sleep(SWEEP_EVERY).await;
    }
}

/// Ends appends that outlast the grace period: a PATCH lasts as long as its sender sends. Received bytes are kept, and
/// the sender resumes after the restart.
async fn cut_uploads(state: AppState, stopping: CancellationToken) {
    stopping.cancelled().await;
    tokio::time::sleep(GRACE).await;
    state.uploads.shut_down();
}

/// Waits for the next tick; returns `false` if the server is stopping.
async fn tick(stopping: &CancellationToken) -> bool {
    let tick = stopping.run_until_cancelled(tokio::time::sleep(TICK));
    tick.await.is_some()
}
