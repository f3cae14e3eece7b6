//! The one recording that this tab may be making, above all pages: it goes on while its person looks at others.

use gloo_timers::future::TimeoutFuture;
use leptos::ev;
use leptos::prelude::*;
use leptos::task::spawn_local;
use sortie_api::SessionStatus;
use sortie_client::{
    Authorization, Done, Event, EventListener, OpenSource, Options, Progress, Recorder,
    RecorderError, RenewalFailed, ScreenOptions, SessionOrder, SessionWatcher, Source, State,
    StopReason, Target, create_session, screen_capture_supported,
};
use web_sys::{Blob, MediaStream};

use super::address::url;
use super::api::ApiError;
use super::app_context::{AppContext, SignInState};
use super::dom;
use crate::capacity::{self, Level, RateMeter};
use crate::recorder_texts;

/// How often a recording that lost its sign-in looks whether somebody has signed in again.
const SIGN_IN_CHECK_MS: u32 = 500;
/// Where this tab remembers its session, so that a Stop by hand sticks through a reload.
const SESSION_KEPT: &str = "sortie-session";
/// Where this tab remembers why its last recording ended: the recording's ID, a line feed, the sentence.
const END_KEPT: &str = "sortie-end";

/// Code of the warning that a further part of the recording begins.
const CONTINUED: &str = "continued";

/// Where the pictures come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VideoSource {
    /// A screen, window or tab.
    Screen,
    /// A camera.
    Camera,
}

/// What came of the last recording when it did not end well.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RecordingFailure {
    /// What happened and what to do.
    pub(super) sentence: String,
    /// Whether a part of the recording is still here and can be saved by hand.
    pub(super) has_rest: bool,
}

/// The context of the Record page and of everything that shows that a recording is running.
#[derive(Clone, Copy)]
pub(super) struct RecorderStore {
    app: AppContext,
    /// Whether this browser can capture screens at all.
    pub(super) has_screen: bool,
    /// The person's choice of picture.
    pub(super) picture: RwSignal<VideoSource>,
    /// Whether to offer the sound of the tab or system.
    pub(super) with_sound: RwSignal<bool>,
    /// Whether to record the microphone.
    pub(super) with_microphone: RwSignal<bool>,
    /// The browser's picker is open.
    pub(super) is_opening: RwSignal<bool>,
    /// What is seen now, before and during a recording.
    pub(super) stream: RwSignal<Option<MediaStream>, LocalStorage>,
    /// Where the recorder is in its life; `Idle` without one.
    pub(super) state: RwSignal<State>,
    /// How far it is.
    pub(super) progress: RwSignal<Progress>,
    /// What went wrong last.
    pub(super) trouble: RwSignal<Option<RecordingFailure>>,
    /// What is not as it should be while recording goes on.
    pub(super) warning: RwSignal<Option<String>>,
    /// Why recording ended, where that needs saying.
    pub(super) stopped: RwSignal<Option<&'static str>>,
    /// The last recording that arrived whole.
    pub(super) done: RwSignal<Option<Done>>,
    /// Estimated milliseconds until the size limit; `None` while unknown.
    pub(super) left_ms: RwSignal<Option<u64>>,
    meter: StoredValue<RateMeter>,
    /// Bytes of the parts before the present one: the size limit holds for each part.
    earlier_bytes: RwSignal<u64>,
    preview: StoredValue<Option<OpenSource>, LocalStorage>,
    recorder: StoredValue<Option<(Recorder, EventListener)>, LocalStorage>,
    watched: StoredValue<Option<Watched>, LocalStorage>,
}

/// The session that this page records into.
struct Watched {
    session: String,
    user_id: String,
    /// Says when it is to be recorded by itself.
    _watcher: SessionWatcher,
}

impl RecorderStore {
    /// Provides the context; needs the [`AppContext`].
    pub(super) fn provide() {
        let has_screen = screen_capture_supported();
        let recorder = Self {
            app: AppContext::expect(),
            has_screen,
            picture: RwSignal::new(if has_screen {
                VideoSource::Screen
            } else {
                VideoSource::Camera
            }),
            with_sound: RwSignal::new(true),
            with_microphone: RwSignal::new(false),
            is_opening: RwSignal::new(false),
            stream: RwSignal::new_local(None),
            state: RwSignal::new(State::Idle),
            progress: RwSignal::new(Progress::default()),
            trouble: RwSignal::new(None),
            warning: RwSignal::new(None),
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
                // What older browsers want instead.
                event.set_return_value("A recording is not completely on the server yet.");
            }
        });
        on_cleanup(move || leaving.remove());
    }

    /// The context.
    pub(super) fn expect() -> Self {
        expect_context()
    }

    /// Whether a recording runs or is still being sent; tracked.
    pub(super) fn has_unsent(self) -> bool {
        !matches!(self.state.get(), State::Idle | State::Done | State::Failed)
    }

    fn has_unsent_untracked(self) -> bool {
        !matches!(
            self.state.get_untracked(),
            State::Idle | State::Done | State::Failed
        )
    }

    /// Whether pictures are being taken right now; tracked.
    pub(super) fn is_live(self) -> bool {
        self.state.get() == State::Recording
    }

    /// How long the recording is, in milliseconds; tracked.
    pub(super) fn recorded_ms(self) -> u64 {
        self.progress.with(|progress| progress.recorded_ms)
    }

    /// Opens the chosen source to be looked at before recording. Called from a click, as browsers demand.
    pub(super) fn open_preview(self) {
        self.open(|_| {});
    }

    /// Starts recording, and first opens the chosen source unless that has been done.
    pub(super) fn start(self) {
        let preview = self.preview.try_update_value(Option::take).flatten();
        match preview {
            Some(source) => self.record(source),
            None => self.open(move |recorder| {
                if let Some(source) = recorder.preview.try_update_value(Option::take).flatten() {
                    recorder.record(source);
                }
            }),
        }
    }

    /// Lets go of a source that is only being looked at; switches the camera's light off.
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

    /// Makes recorded time stand still, or go on.
    pub(super) fn pause_or_resume(self) {
        self.tell(|recorder| match recorder.state() {
            State::Paused => recorder.resume(),
            _ => recorder.pause(),
        });
    }

    /// Ends the recording; the rest is sent.
    pub(super) fn stop(self) {
        self.tell(|recorder| recorder.stop(StopReason::User));
    }

    /// The part of a failed recording that never reached the server.
    pub(super) fn rest(self) -> Option<Blob> {
        self.recorder
            .with_value(|recorder| recorder.as_ref()?.0.unsent())
    }

    /// Forgets how the last recording ended.
    pub(super) fn clear(self) {
        self.recorder.set_value(None);
        self.stream.set(None);
        self.state.set(State::Idle);
        self.progress.set(Progress::default());
        self.trouble.set(None);
        self.warning.set(None);
        self.stopped.set(None);
        self.done.set(None);
        self.left_ms.set(None);
        self.meter.set_value(RateMeter::default());
        self.earlier_bytes.set(0);
    }

    /// Why the recording with this ID ended, if it was made in this tab and not ended by hand.
    pub(super) fn end_reason(id: &str) -> Option<String> {
        let kept = dom::kept(END_KEPT)?;
        let (of, sentence) = kept.split_once('\n')?;
        (of == id).then(|| sentence.to_owned())
    }

    /// How close the recording is to the size limit, and the limit in bytes; tracked.
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

    /// How its requests show who asks.
    pub(super) fn authorization(self) -> Authorization {
        Authorization::cookies_renewed_by(move || self.renew())
    }

    fn tell(self, order: impl FnOnce(&Recorder) -> Result<(), RecorderError>) {
        // An order that does not fit the state any more is no mishap: a click crossed an event on its way.
        let _ = self
            .recorder
            .with_value(|recorder| recorder.as_ref().map(|(recorder, _)| order(recorder)));
    }

    fn open(self, then: impl FnOnce(Self) + 'static) {
        if self.is_opening.get_untracked() {
            return;
        }
        self.clear();
        self.close_preview();
        self.is_opening.set(true);
        let source = match self.picture.get_untracked() {
            VideoSource::Screen => Source::screen(ScreenOptions {
                audio: self.with_sound.get_untracked(),
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
                    self.watch().await;
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
        // While it is recorded, the recorder itself sees that the picture has ended.
        // Let go of in a task of its own: the news comes from within what goes.
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
            Some(watched) => Target::session(&url(""), &watched.session),
            None => Target::server(&url("")),
        });
        let mut options = Options::new(target);
        options.authorization = self.authorization();
        if let SignInState::SignedIn(user) = self.app.sign_in_untracked() {
            options.owner = Some(user.id.clone());
        }
        let recorder = Recorder::new(options);
        let listener = recorder.on_event(move |event| self.take(event));
        let started = recorder.start(source);
        self.recorder.set_value(Some((recorder, listener)));
        if let Err(error) = started {
            self.fail(&error);
        }
    }

    /// From the first picture on, this page has a session of its own that may be recorded by itself: browsers let
    /// nobody open a screen or a camera without a click, so there is nothing to record before.
    async fn watch(self) {
        let SignInState::SignedIn(user) = self.app.sign_in_untracked() else {
            return;
        };
        // Somebody else may have signed in since.
        let is_theirs = |watched: &Watched| watched.user_id == user.id;
        if self
            .watched
            .with_value(|watched| watched.as_ref().is_some_and(is_theirs))
        {
            return;
        }
        let authorization = self.authorization();
        let session = match self.session_from_before(&user.id).await {
            Some(session) => session,
            None => match create_session(&url(""), authorization.clone()).await {
                Ok(session) => session,
                // Without one, what is recorded makes its own, as ever.
                Err(_) => {
                    self.watched.set_value(None);
                    return;
                }
            },
        };
        dom::keep(SESSION_KEPT, Some(&session));
        let watcher = SessionWatcher::new(&url(""), &session, authorization, move |order| {
            self.follow(order);
        });
        self.watched.set_value(Some(Watched {
            session,
            user_id: user.id,
            _watcher: watcher,
        }));
    }

    /// The session that this tab had before it was reloaded, if it still runs and is this person's.
    async fn session_from_before(self, user_id: &str) -> Option<String> {
        let id = dom::kept(SESSION_KEPT)?;
        let session = self.app.api().session(&id).await.ok()?;
        let is_usable = session.status == SessionStatus::Running && session.user_id == user_id;
        is_usable.then_some(session.id)
    }

    fn follow(self, order: SessionOrder) {
        match order {
            SessionOrder::Start => {
                let has_picture = self.preview.with_value(Option::is_some);
                if has_picture && !self.has_unsent_untracked() {
                    self.start();
                }
            }
            SessionOrder::End => {
                self.tell(|recorder| recorder.stop(StopReason::SessionEnded));
                dom::keep(SESSION_KEPT, None);
                // In a task of its own: the news comes from within what goes.
                spawn_local(async move { self.watched.set_value(None) });
            }
        }
    }

    fn take(self, event: Event) {
        match event {
            Event::State(state) => self.state.set(state),
            Event::Progress(progress) => {
                self.measure(&progress);
                self.progress.set(progress);
            }
            Event::Warning(warning) => {
                if warning.code() == CONTINUED {
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
                // The player, which comes next, says why.
                let reason = self.stopped.get_untracked();
                if let (Some(id), Some(reason)) = (&done.recording_id, reason) {
                    dom::keep(END_KEPT, Some(&format!("{id}\n{reason}")));
                }
                self.done.set(Some(done));
            }
            Event::Failed(error) => self.fail(&error),
        }
    }

    fn fail(self, error: &RecorderError) {
        self.stream.set(None);
        self.state.set(State::Failed);
        self.trouble.set(Some(RecordingFailure {
            sentence: error.to_string(),
            has_rest: self.rest().is_some(),
        }));
    }

    /// Renews the sign-in for the recorder, together with the pages' own calls.
    ///
    /// Where that takes a password, the sign-in page comes up and the recording waits for it: what is not sent yet
    /// is kept meanwhile.
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
