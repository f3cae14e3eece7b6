//! Control of the appliance's recorder: the routes below `/api/appliance` and other interfaces in this process use the
//! same functions.

use bytes::Bytes;
use sortie_api::{Appliance as State, RECORDING_AUTO_RECORD, Schedule, Settings, Space};

use crate::app::AppState;
use crate::appliance::{Appliance, Measurements};
use crate::db::{Action, Actor, AuditEvent, DatabaseError};
use crate::live_picture::NoPicture;
use crate::run_to_completion::run_to_completion;

/// Subject in the audit log.
pub(crate) const SUBJECT: &str = "appliance";

/// Reason why a command of the recorder failed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The recorder refuses it; a sentence for the user.
    #[error("{0}")]
    Refused(String),
    /// The database could not be read or written.
    #[error("the database cannot be used")]
    Database(#[source] anyhow::Error),
}

impl From<DatabaseError> for ControlError {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error.into())
    }
}

/// State of the recorder with the server's settings and the last measured disk space; `None` without an appliance. Waits for
/// no disk.
pub(crate) fn view(state: &AppState) -> Option<State> {
    let appliance = state.appliance.as_ref()?;
    let mut shown = appliance.state();
    shown.threshold_percent = state.retention.rule().high_percent;
    #[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
    let hours = |bytes: u64| bytes as f64 / appliance.bytes_per_second().max(1) as f64 / 3600.0;
    let threshold_percent = shown.threshold_percent;
    shown.space = state.disk.last().map(|disk| Space {
        used_bytes: disk.used_bytes,
        free_bytes: disk.free_bytes,
        hours_left: hours(disk.free_bytes.saturating_sub(appliance.reserve_bytes())),
        hours_to_threshold: threshold_percent.map(|percent| {
            let total_bytes = disk.used_bytes.saturating_add(disk.free_bytes);
            let threshold_bytes = total_bytes / 100 * u64::from(percent);
            hours(threshold_bytes.saturating_sub(disk.used_bytes))
        }),
    });
    Some(shown)
}

/// Starts a recording by hand; `detail` is for the audit log.
pub(crate) async fn start(
    state: &AppState,
    actor: Actor,
    detail: String,
) -> Result<(), ControlError> {
    execute(state, actor, Action::Start, detail, |it| it.start()).await
}

/// Stops the recording; `detail` is for the audit log.
pub(crate) async fn stop(
    state: &AppState,
    actor: Actor,
    detail: String,
) -> Result<(), ControlError> {
    let stop = |it: &dyn Appliance| {
        it.stop();
        Ok(())
    };
    execute(state, actor, Action::Stop, detail, stop).await
}

/// Executes a command of the recorder and writes its audit row, also if the caller is gone meanwhile.
async fn execute(
    state: &AppState,
    actor: Actor,
    action: Action,
    detail: String,
    command: impl FnOnce(&dyn Appliance) -> Result<(), String> + Send + 'static,
) -> Result<(), ControlError> {
    let state = state.clone();
    run_to_completion(async move {
        command(recorder(&state)?).map_err(ControlError::Refused)?;
        let event = AuditEvent::done(&actor, action, SUBJECT).detail(&detail);
        let now_ms = state.clock.now_ms();
        Ok(state.database.audit().append(now_ms, &event).await?)
    })
    .await
}

fn recorder(state: &AppState) -> Result<&dyn Appliance, ControlError> {
    let missing = || ControlError::Refused("This server has no recorder.".to_owned());
    state.appliance.as_deref().ok_or_else(missing)
}

/// Stores checked settings and applies them.
pub(crate) async fn change_settings(
    state: &AppState,
    changes: Settings,
    actor: Actor,
) -> Result<(), DatabaseError> {
    let state = state.clone();
    run_to_completion(async move {
        let now_ms = state.clock.now_ms();
        let settings = state.database.settings();
        settings.change(&changes, &actor, now_ms).await?;
        state.apply_settings().await
    })
    .await
}

/// Stores a checked schedule, which `description` describes in the audit log, and applies it.
pub(crate) async fn change_schedule(
    state: &AppState,
    schedule: Schedule,
    description: String,
    actor: Actor,
) -> Result<(), DatabaseError> {
    let state = state.clone();
    run_to_completion(async move {
        let now_ms = state.clock.now_ms();
        let settings = state.database.settings();
        settings
            .set_schedule(&schedule, &description, &actor, now_ms)
            .await?;
        state.apply_settings().await
    })
    .await
}

/// Recorder of this server's appliance, for an interface in this process that is not HTTP. Cheap to clone.
#[derive(Clone)]
pub struct ApplianceControl {
    state: AppState,
    /// Name of the interface in the audit log.
    interface: &'static str,
}

impl ApplianceControl {
    pub(crate) fn new(state: AppState, interface: &'static str) -> Option<Self> {
        state
            .appliance
            .is_some()
            .then_some(Self { state, interface })
    }

    fn actor(&self) -> Actor {
        Actor {
            name: self.interface.to_owned(),
            ..Actor::system()
        }
    }

    fn detail(&self) -> String {
        format!("by {}", self.interface)
    }

    /// Returns the state, as `GET /api/appliance` does.
    #[must_use]
    pub fn state(&self) -> Option<State> {
        view(&self.state)
    }

    /// Returns the measurements of `/metrics`.
    #[must_use]
    pub fn measurements(&self) -> Measurements {
        let appliance = self.state.appliance.as_ref();
        appliance.map_or_else(Measurements::default, |it| it.measurements())
    }

    /// Starts a recording, as the route does.
    ///
    /// # Errors
    /// There is no signal, or the audit log cannot be written.
    pub async fn start(&self) -> Result<(), ControlError> {
        start(&self.state, self.actor(), self.detail()).await
    }

    /// Stops the recording, as the route does.
    ///
    /// # Errors
    /// The audit log cannot be written.
    pub async fn stop(&self) -> Result<(), ControlError> {
        stop(&self.state, self.actor(), self.detail()).await
    }

    /// Turns auto-record on or off.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn set_auto_record(&self, on: bool) -> Result<(), ControlError> {
        let changes = Settings::from([(RECORDING_AUTO_RECORD.to_owned(), on.to_string())]);
        Ok(change_settings(&self.state, changes, self.actor()).await?)
    }

    /// Returns a frame of the live picture, a JPEG file; waits for it if necessary.
    ///
    /// # Errors
    /// There is no picture, or there are too many viewers.
    pub async fn picture(&self) -> Result<Bytes, NoPicture> {
        let appliance = recorder(&self.state);
        let appliance = appliance.map_err(|error| NoPicture::Unavailable(error.to_string()))?;
        appliance.picture().watch()?.next().await
    }
}
