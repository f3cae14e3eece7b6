use futures_util::future::{Either, select};
use gloo_net::http::Method;
use gloo_timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;
use sortie_api::{Appliance, Event, RecorderState, RecordingStatus};

use crate::appliance::{DurationClock, recorder, signal, state_by_schedule};
use crate::connection::Connection;
use crate::format;
use crate::web::api::{Api, ApiError};
use crate::web::app_context::AppContext;
use crate::web::dom;
use crate::web::event_stream::{any_event, subscribe};
use crate::web::pages::recordings::{RecordingsStore, Scope};
use crate::web::poll::poll_while;

const ROUTE: &str = "/api/appliance";
const SECOND_MS: u32 = 1_000;
/// Refresh interval of the running duration; short, so that no second appears late.
const CLOCK_MS: u32 = 200;
/// Interval of reloads that do not depend on events.
const SLOWLY_MS: u32 = 30_000;
/// Timeout of a request: an unplugged device does not even refuse connections.
const PATIENCE_MS: u32 = 5_000;

/// State of the device and actions on it, shared by the parts of the page.
#[derive(Clone, Copy)]
pub(super) struct ApplianceStore {
    app: AppContext,
    /// Last report of the device; `None` while loading.
    pub(super) state: RwSignal<Option<Appliance>>,
    pub(super) connection: RwSignal<Connection>,
    /// Last refused or failed action.
    pub(super) problem: RwSignal<Option<String>>,
    /// Changes when storage and list may have changed.
    pub(super) changes: RwSignal<u32>,
    pub(super) recordings: RecordingsStore,
    /// Duration of the running recording in milliseconds, rounded down to seconds.
    pub(super) duration_ms: Memo<u64>,
    clock: RwSignal<DurationClock>,
    is_loading: StoredValue<bool>,
    /// ID of the growing recording.
    growing_id: Memo<Option<String>>,
}

impl ApplianceStore {
    /// Loads the state and subscribes to events.
    pub(super) fn new() -> Self {
        let clock = RwSignal::new(DurationClock::default());
        let now_ms = RwSignal::new(dom::monotonic_ms());
        let state = RwSignal::new(None::<Appliance>);
        let appliance = Self {
            app: AppContext::expect(),
            state,
            growing_id: Memo::new(move |_| {
                state.with(|now| now.as_ref()?.file.as_ref()?.recording_id.clone())
            }),
            connection: RwSignal::new(Connection::default()),
            problem: RwSignal::new(None),
            changes: RwSignal::new(0),
            recordings: RecordingsStore::at_address(Scope::Appliance),
            duration_ms: Memo::new(move |_| {
                let duration_ms = clock.with(|clock| clock.read(now_ms.get()));
                duration_ms / 1000 * 1000
            }),
            clock,
            is_loading: StoredValue::new(false),
        };
        let has_events = subscribe(Scope::Appliance.events(), any_event, move |event| {
            appliance.apply_event(&event)
        });
        Effect::new(move |had_events: Option<bool>| {
            let has_events = has_events.get();
            // Loads on the first run, and when the stream breaks off: the first sign of a lost connection.
            if had_events != Some(false) && !has_events {
                appliance.load();
            }
            has_events
        });
        Effect::new(move |_| {
            appliance.changes.track();
            // After the end of the file, it is looked up once more by the ID that the list still has.
            let id = appliance.growing_id.get();
            let listed = appliance.recordings.growing;
            let id =
                id.or_else(|| listed.with_untracked(|row| row.as_ref().map(|row| row.id.clone())));
            if let Some(id) = id {
                appliance.load_growing(id);
            }
        });
        poll_while(
            || true,
            SECOND_MS,
            move || {
                let mut is_due = false;
                // Notifies subscribers only if the connection is or was lost, not of each second.
                appliance.connection.try_maybe_update(|connection| {
                    let before = *connection;
                    is_due = connection.tick(has_events.get_untracked());
                    let is_shown = before.is_unreachable() || connection.is_unreachable();
                    (is_shown, ())
                });
                if is_due {
                    appliance.load();
                }
            },
        );
        poll_while(
            move || appliance.is_recording(),
            CLOCK_MS,
            move || {
                now_ms.set(dom::monotonic_ms());
            },
        );
        poll_while(
            move || !appliance.is_unreachable(),
            SLOWLY_MS,
            move || appliance.notify_change(),
        );
        appliance
    }

    fn load(self) {
        if self.is_loading.try_get_value() != Some(false) {
            return;
        }
        self.is_loading.set_value(true);
        let api = self.app.api();
        spawn_local(async move {
            let answer = Box::pin(api.get::<Appliance>(ROUTE));
            let answer = match select(answer, TimeoutFuture::new(PATIENCE_MS)).await {
                Either::Left((answer, _)) => answer,
                Either::Right(_) => Err(ApiError::Unreachable),
            };
            // The page may have been closed.
            if self.is_loading.try_set_value(false).is_some() {
                return;
            }
            match answer {
                Ok(now) => {
                    self.on_answer();
                    self.set_state(now);
                }
                Err(ApiError::Unreachable | ApiError::Unreadable(_)) => self.on_failure(),
                Err(error) => {
                    self.on_answer();
                    self.problem.set(Some(self.app.explain(&error)));
                }
            }
        });
    }

    /// Loads the growing recording, which no list of the server contains.
    fn load_growing(self, id: String) {
        let api = self.app.api();
        spawn_local(async move {
            let answer = api.recording(&id).await;
            let growing = self.recordings.growing;
            // The page may have been closed.
            if growing.is_disposed() {
                return;
            }
            match answer {
                Ok(row) if row.completed_at.is_none() => growing.set(Some(row)),
                Ok(_) => {
                    // The list has it, or gets it now.
                    self.recordings.page.poll();
                    growing.set(None);
                }
                Err(error) if error.is_not_found() => growing.set(None),
                // The next change tries again.
                Err(_) => {}
            }
        });
    }

    /// Retries immediately at the user's request.
    pub(super) fn retry_now(self) {
        let is_due = self.connection.try_update(Connection::retry_now);
        if is_due == Some(true) {
            self.load();
        }
    }

    fn on_answer(self) {
        let mut was_unreachable = false;
        self.connection.try_maybe_update(|connection| {
            was_unreachable = connection.on_answer();
            (was_unreachable, ())
        });
        if was_unreachable {
            self.recordings.page.poll();
            self.notify_change();
        }
    }

    fn on_failure(self) {
        self.connection.update(Connection::on_failure);
        self.clock.update(|clock| clock.hold(dom::monotonic_ms()));
    }

    fn apply_event(self, event: &Event) {
        self.on_answer();
        match event {
            Event::Hello(_) => self.load(),
            Event::Appliance(now) => self.set_state((**now).clone()),
            Event::Recording(recording) if recording.status == RecordingStatus::Ready => {
                self.notify_change();
            }
            Event::RecordingDeleted(_) => self.notify_change(),
            _ => {}
        }
        self.recordings.apply_event(event);
    }

    fn set_state(self, now: Appliance) {
        let duration_ms = format::seconds_to_ms(now.duration_seconds);
        let runs = now.recorder == RecorderState::Recording;
        self.clock
            .update(|clock| clock.update(duration_ms, runs, dom::monotonic_ms()));
        if let Some(file) = &now.file {
            let growing = self.recordings.growing;
            let is_row = growing.with_untracked(|row| {
                row.as_ref()
                    .is_some_and(|row| Some(&row.id) == file.recording_id.as_ref())
            });
            if is_row {
                growing.update(|row| {
                    if let Some(row) = row {
                        row.duration_seconds = file.duration_seconds;
                        row.size_bytes = file.size_bytes;
                    }
                });
            }
        }
        // An equal value must not cause a render.
        if self.state.with_untracked(|old| old.as_ref() != Some(&now)) {
            self.state.set(Some(now));
        }
    }

    /// Reloads storage and list.
    pub(super) fn notify_change(self) {
        self.changes
            .try_update(|changes| *changes = changes.wrapping_add(1));
    }

    /// Starts or stops the recording; passes success to `done`.
    pub(super) fn control_recording(self, action: &'static str, done: impl FnOnce(bool) + 'static) {
        self.problem.set(None);
        let api = self.app.api();
        spawn_local(async move {
            let address = format!("{ROUTE}/recording/{action}");
            let outcome = api.request::<Appliance>(Method::POST, &address, &()).await;
            // The page may have been closed.
            if self.is_loading.is_disposed() {
                return;
            }
            done(outcome.is_ok());
            match outcome {
                Ok(now) => self.set_state(now),
                Err(error) => self.problem.set(Some(self.app.explain(&error))),
            }
        });
    }

    pub(super) fn api(self) -> Api {
        self.app.api()
    }

    /// Message for an error.
    pub(super) fn explain(self, error: &ApiError) -> String {
        self.app.explain(error)
    }

    /// Reads the state; tracked, as all getters below.
    pub(super) fn with<O>(self, read: impl FnOnce(&Appliance) -> O) -> Option<O> {
        self.state.with(|now| now.as_ref().map(read))
    }

    pub(super) fn is_unreachable(self) -> bool {
        self.connection
            .with(|connection| connection.is_unreachable())
    }

    pub(super) fn is_recording(self) -> bool {
        self.with(|now| now.recorder == RecorderState::Recording)
            .unwrap_or(false)
    }

    /// Announcement for screen readers; contains no durations or sizes, which change every second.
    pub(super) fn announcement(self) -> String {
        self.with(|now| {
            let state = format!("{}. {}.", signal(&now.signal), recorder(now));
            match state_by_schedule(now) {
                Some(schedule) => format!("{state} {schedule}"),
                None => state,
            }
        })
        .unwrap_or_default()
    }
}
