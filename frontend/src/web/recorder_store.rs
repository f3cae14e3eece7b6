//! The recorder of this tab, loaded with the page Record. It outlives the page, so that a recording continues during
//! navigation.

use gloo_timers::future::TimeoutFuture;
use leptos::ev;
use leptos::prelude::*;
use leptos::task::spawn_local;
use sortie_api::SessionStatus;
use sortie_client::{
    Authorization, Done, Event, EventListener, MarkKind, OpenSource, Options, Progress, Recorder,
    RecorderError, RenewalFailed, ScreenOptions, SessionOrder, SessionWatcher, Source, State,
    StopReason, Target, Warning, create_session, screen_capture_supported,
};
use web_sys::{Blob, MediaStream};

use super::address::url;
use super::api::ApiError;
use super::app_context::{AppContext, SignInState};
use super::dom;
use super::recorder_status::RecorderStatus;
use crate::capacity::{self, Level, RateMeter};
use crate::format;
use crate::recorder_texts;

/// Polling interval while a recording waits for the sign-in page.
const SIGN_IN_CHECK_MS: u32 = 500;
/// Key of the tab's session: after a reload, a recording that the user stopped must not start again.
const SESSION_KEY: &str = "sortie-session";
/// Key of the reason for the end of the last recording: recording ID, line feed, message.
const END_KEY: &str = "sortie-end";

/// Source of the video track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VideoSource {
    Screen,
    Camera,
}

/// Failure of the last recording.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RecordingFailure {
    pub(super) message: String,
    /// Whether unsent bytes are still on this device and can be saved as a file.
    pub(super) has_unsent_bytes: bool,
}

/// Context of the Record page.
#[derive(Clone, Copy)]
pub(super) struct RecorderStore {
    app: AppContext,
    /// Whether this browser supports screen capture.
    pub(super) has_screen: bool,
    pub(super) video_source: RwSignal<VideoSource>,
    /// Whether to record the audio of the tab or system.
    pub(super) with_audio: RwSignal<bool>,
    pub(super) with_microphone: RwSignal<bool>,
    /// Whether the browser's picker is open.
    pub(super) is_opening: RwSignal<bool>,
    /// Preview stream, before and during a recording.
    pub(super) stream: RwSignal<Option<MediaStream>, LocalStorage>,
    pub(super) state: RwSignal<State>,
    pub(super) progress: RwSignal<Progress>,
    status: RecorderStatus,
    pub(super) failure: RwSignal<Option<RecordingFailure>>,
    /// Problem that does not end the recording.
    pub(super) warning: RwSignal<Option<String>>,
    /// Outcome of the latest request for a marker.
    pub(super) marked: RwSignal<Option<String>>,
    /// Reason for the end of the recording, unless the user stopped it.
    pub(super) stopped: RwSignal<Option<&'static str>>,
    /// Result of the last recording that was uploaded completely.
    pub(super) done: RwSignal<Option<Done>>,
    /// Estimated time until the size limit; `None` while unknown.
    pub(super) left_ms: RwSignal<Option<u64>>,
    meter: StoredValue<RateMeter>,
    /// Bytes of finished parts: the size limit applies to each part.
    earlier_bytes: RwSignal<u64>,
    preview: StoredValue<Option<OpenSource>, LocalStorage>,
    recorder: StoredValue<Option<(Recorder, EventListener)>, LocalStorage>,
    watched: StoredValue<Option<WatchedSession>, LocalStorage>,
}

/// Session of this page.
struct WatchedSession {
    session: String,
    user_id: String,
    /// Watcher of the session, whose orders start and stop the recording.
    _watcher: SessionWatcher,
}

impl RecorderStore {
    /// Returns the recorder of this tab. The first call creates it.
    pub(super) fn obtain() -> Self {
        use_context().unwrap_or_else(|| RecorderStatus::expect().in_app(Self::provide))
    }

    fn provide() -> Self {
        let status = RecorderStatus::expect();
        let has_screen = screen_capture_supported();
        let recorder = Self {
            app: AppContext::expect(),
            has_screen,
            video_source: RwSignal::new(if has_screen {
                VideoSource::Screen
            } else {
                VideoSource::Camera
            }),
            with_audio: RwSignal::new(true),
            with_microphone: RwSignal::new(false),
            is_opening: RwSignal::new(false),
            stream: RwSignal::new_local(None),
            state: status.state,
            progress: status.progress,
            status,
            failure: RwSignal::new(None),
            warning: RwSignal::new(None),
            marked: RwSignal::new(None),
            stopped: RwSignal::new(None),
            done: RwSignal::new(None),
            left_ms: RwSignal::new(None),
            meter: StoredValue::new(RateMeter::default()),
            earlier_bytes: RwSignal::new(0),
            preview: StoredValue::new_local(None),
            recorder: StoredValue::new_local(None),
            watched: StoredValue::new_local(None),
        };
        provide_context(recorder);
        let leaving = window_event_listener(ev::beforeunload, move |event| {
            let has_unsent = recorder.recorder.with_value(|recorder| {
                recorder
                    .as_ref()
                    .is_some_and(|(recorder, _)| recorder.has_unsent())
            });
            if has_unsent {
                event.prevent_default();
                // Older browsers require a return value.
                event.set_return_value("A recording is not completely on the server yet.");
            }
        });
        on_cleanup(move || leaving.remove());
        recorder
    }

    pub(super) fn expect() -> Self {
        expect_context()
    }

    /// Whether a recording is running or being uploaded; tracked.
    pub(super) fn has_unsent(self) -> bool {
        self.status.has_unsent()
    }

    fn has_unsent_untracked(self) -> bool {
        self.status.has_unsent_untracked()
    }

    /// Whether the recorder captures frames now; tracked.
    pub(super) fn is_live(self) -> bool {
        self.state.get() == State::Recording
    }

    /// Tracked by Leptos.
    pub(super) fn recorded_ms(self) -> u64 {
        self.progress.with(|progress| progress.recorded_ms)
    }

    /// Opens the selected source for a preview. Browsers require a click.
    pub(super) fn open_preview(self) {
        self.open_source(|_| {});
    }

    /// Starts recording; opens the selected source first if there is no preview.
    pub(super) fn start(self) {
        let preview = self.preview.try_update_value(Option::take).flatten();
        match preview {
            Some(source) => self.record(source),
            None => self.open_source(move |recorder| {
                if let Some(source) = recorder.preview.try_update_value(Option::take).flatten() {
                    recorder.record(source);
                }
            }),
        }
    }

    /// Closes the preview, which turns the camera's light off.
    pub(super) fn close_preview(self) {
        if self
            .preview
            .try_update_value(Option::take)
            .flatten()
            .is_some()
        {
            self.stream.set(None);
        }
    }

    /// Pauses or resumes; paused time does not count.
    pub(super) fn pause_or_resume(self) {
        self.with_recorder(|recorder| match recorder.state() {
            State::Paused => recorder.resume(),
            _ => recorder.pause(),
        });
    }

    /// Marks the current moment of the recording.
    pub(super) fn mark(self) {
        self.with_recorder(|recorder| {
            let message = match recorder.mark("", MarkKind::Note) {
                Ok(ms) => format!("Marker added at {}", format::clock(ms)),
                Err(error) => error.to_string(),
            };
            self.marked.set(Some(message));
            Ok(())
        });
    }

    /// Stops the recording; the remaining bytes are uploaded.
    pub(super) fn stop(self) {
        self.with_recorder(|recorder| recorder.stop(StopReason::User));
    }

    /// Unsent bytes of a failed recording.
    pub(super) async fn unsent_bytes(self) -> Option<Blob> {
        let bytes = self
            .recorder
            .with_value(|recorder| Some(recorder.as_ref()?.0.unsent()));
        bytes?.await
    }

    /// Resets the result of the last recording.
    pub(super) fn clear(self) {
        self.recorder.set_value(None);
        self.stream.set(None);
        self.state.set(State::Idle);
        self.progress.set(Progress::default());
        self.failure.set(None);
        self.warning.set(None);
        self.marked.set(None);
        self.stopped.set(None);
        self.done.set(None);
        self.left_ms.set(None);
        self.meter.set_value(RateMeter::default());
        self.earlier_bytes.set(0);
    }

    /// Reason for the end of a recording of this tab, unless the user stopped it.
    pub(super) fn end_reason(id: &str) -> Option<String> {
        let value = dom::tab_value(END_KEY)?;
        let (of, message) = value.split_once('\n')?;
        (of == id).then(|| message.to_owned())
    }

    /// Level relative to the size limit, and the limit in bytes; tracked.
    pub(super) fn level(self) -> (Level, u64) {
        let max_bytes = self.app.max_size_bytes().unwrap_or(u64::MAX);
        let size_bytes = self.progress.with(|progress| progress.size_bytes);
        let part_bytes = size_bytes.saturating_sub(self.earlier_bytes.get());
        (capacity::level(part_bytes, max_bytes), max_bytes)
    }

    fn measure(self, progress: &Progress) {
        let max_bytes = untrack(|| self.app.max_size_bytes());
        let left_ms = self.meter.try_update_value(|meter| {
            meter.push(progress.recorded_ms, progress.size_bytes);
            meter.left_ms(max_bytes?.saturating_add(self.earlier_bytes.get_untracked()))
        });
        let left_ms = left_ms.flatten();
        if self.left_ms.get_untracked() != left_ms {
            self.left_ms.set(left_ms);
        }
    }

    /// Authorization by cookies that are renewed on demand.
    pub(super) fn authorization(self) -> Authorization {
        Authorization::cookies_renewed_by(move || self.renew())
    }

    fn with_recorder(self, order: impl FnOnce(&Recorder) -> Result<(), RecorderError>) {
        // A state change may coincide with the click; the recorder then rejects the order.
        let _ = self
            .recorder
            .with_value(|recorder| recorder.as_ref().map(|(recorder, _)| order(recorder)));
    }

    fn open_source(self, then: impl FnOnce(Self) + 'static) {
        if self.is_opening.get_untracked() {
            return;
        }
        self.clear();
        self.close_preview();
        self.is_opening.set(true);
        let source = match self.video_source.get_untracked() {
            VideoSource::Screen => Source::screen(ScreenOptions {
                audio: self.with_audio.get_untracked(),
                ..ScreenOptions::default()
            }),
            VideoSource::Camera => Source::camera(),
        };
        let source = source.with_microphone(self.with_microphone.get_untracked());
        spawn_local(async move {
            let outcome = source.open().await;
            self.is_opening.set(false);
            match outcome {
                Ok(source) => {
                    self.show(source);
                    self.watch_session().await;
                    then(self);
                }
                Err(error) => self.fail(&error),
            }
        });
    }

    fn show(self, source: OpenSource) {
        self.stream.set(Some(source.stream()));
        self.warning
            .set(source.warnings().first().map(ToString::to_string));
        // During a recording, the recorder handles the end of the track. The preview is closed in a separate task,
        // because this callback belongs to the source that is dropped.
        source.on_ended(move |_| spawn_local(async move { self.close_preview() }));
        self.preview.set_value(Some(source));
    }

    fn record(self, source: OpenSource) {
        let warning = self.warning.get_untracked();
        let stream = source.stream();
        self.clear();
        self.warning.set(warning);
        self.stream.set(Some(stream));

        let target = self.watched.with_value(|watched| match watched {
            Some(watched) => Target::session(url(""), &watched.session),
            None => Target::server(url("")),
        });
        let mut options = Options::new(target);
        options.authorization = self.authorization();
        if let SignInState::SignedIn(user) = self.app.sign_in_untracked() {
            options.owner = Some(user.id.clone());
        }
        let recorder = Recorder::new(options);
        let listener = recorder.on_event(move |event| self.apply_event(event));
        let started = recorder.start(source);
        self.recorder.set_value(Some((recorder, listener)));
        if let Err(error) = started {
            self.fail(&error);
        }
    }

    /// Creates the session of this page once it has a preview, so that auto-record can start it: browsers open no
    /// screen or camera without a click.
    async fn watch_session(self) {
        let SignInState::SignedIn(user) = self.app.sign_in_untracked() else {
            return;
        };
        // Another user may have signed in.
        let is_same_user = |watched: &WatchedSession| watched.user_id == user.id;
        if self
            .watched
            .with_value(|watched| watched.as_ref().is_some_and(is_same_user))
        {
            return;
        }
        let authorization = self.authorization();
        let session = match self.session_from_before(&user.id).await {
            Some(session) => session,
            None => match create_session(url(""), authorization.clone()).await {
                Ok(session) => session,
                // Without a session here, the recorder creates one.
                Err(_) => {
                    self.watched.set_value(None);
                    return;
                }
            },
        };
        dom::set_tab_value(SESSION_KEY, Some(&session));
        let watcher = SessionWatcher::new(url(""), &session, authorization, move |order| {
            self.apply_order(order);
        });
        self.watched.set_value(Some(WatchedSession {
            session,
            user_id: user.id,
            _watcher: watcher,
        }));
    }

    /// Session of this tab before a reload, if it is still running and belongs to this user.
    async fn session_from_before(self, user_id: &str) -> Option<String> {
        let id = dom::tab_value(SESSION_KEY)?;
        let session = self.app.api().session(&id).await.ok()?;
        let is_usable = session.status == SessionStatus::Running && session.user_id == user_id;
        is_usable.then_some(session.id)
    }

    fn apply_order(self, order: SessionOrder) {
        match order {
            SessionOrder::Start => {
                let has_picture = self.preview.with_value(Option::is_some);
                if has_picture && !self.has_unsent_untracked() {
                    self.start();
                }
            }
            SessionOrder::End => {
                self.with_recorder(|recorder| recorder.stop(StopReason::SessionEnded));
                dom::set_tab_value(SESSION_KEY, None);
                // In a separate task: this callback belongs to the watcher that is dropped.
                spawn_local(async move { self.watched.set_value(None) });
            }
        }
    }

    fn apply_event(self, event: Event) {
        match event {
            Event::State(state) => self.state.set(state),
            Event::Progress(progress) => {
                self.measure(&progress);
                self.progress.set(progress);
            }
            Event::Warning(warning) => {
                if warning == Warning::Continued {
                    let size_bytes = self.progress.with_untracked(|progress| progress.size_bytes);
                    self.earlier_bytes.set(size_bytes);
                }
                self.warning.set(Some(warning.to_string()));
            }
            Event::Stopped(reason) => {
                self.stopped.set(recorder_texts::stopped(reason));
                self.stream.set(None);
            }
            Event::Done(done) => {
                // The player shows the reason.
                let reason = self.stopped.get_untracked();
                if let (Some(id), Some(reason)) = (&done.recording_id, reason) {
                    dom::set_tab_value(END_KEY, Some(&format!("{id}\n{reason}")));
                }
                self.done.set(Some(done));
            }
            Event::Failed(error) => self.fail(&error),
        }
    }

    fn fail(self, error: &RecorderError) {
        self.stream.set(None);
        self.state.set(State::Failed);
        self.failure.set(Some(RecordingFailure {
            message: error.to_string(),
            has_unsent_bytes: self
                .recorder
                .with_value(|recorder| recorder.as_ref().is_some_and(|it| it.0.has_unsent())),
        }));
    }

    /// Renews the sign-in for the recorder; shared with the API client's renewal.
    ///
    /// If a password is needed, the sign-in page opens and the recording waits; unsent bytes stay on this device.
    async fn renew(self) -> Result<(), RenewalFailed> {
        match self.app.api().renew().await {
            Ok(()) => return Ok(()),
            Err(ApiError::SignedOut) => self.app.signed_out(),
            Err(_) => return Err(RenewalFailed::Unreachable),
        }
        while !matches!(self.app.sign_in_untracked(), SignInState::SignedIn(_)) {
            TimeoutFuture::new(SIGN_IN_CHECK_MS).await;
        }
        Ok(())
    }
}
