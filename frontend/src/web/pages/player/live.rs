//! Live view of a recording that is still running.

use gloo_timers::callback::Interval;
use gloo_timers::future::TimeoutFuture;
use js_sys::Uint8Array;
use leptos::ev;
use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos::wasm_bindgen::JsCast;
use sortie_api::{ProblemCode, Recording};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, HtmlVideoElement};

use super::controls::{FullscreenButton, PlayButtons};
use super::fullscreen::Fullscreen;
use super::playback::{Playback, buffered, to_seconds};
use super::shortcuts::{focus, has_modifier};
use super::stage::StageFrame;
use crate::format;
use crate::parts;
use crate::player::key_map::{self, Action};
use crate::player::live::{self, Newest, View};
use crate::web::api::{ApiError, LiveBytes};
use crate::web::app_context::AppContext;
use crate::web::dom;
use crate::web::media_buffer::{AppendError, MediaBuffer};

/// Interval at which position and rate are decided.
const TICK_MS: u32 = 250;
/// Pause before a new request.
const RETRY_MS: u32 = 1_000;
/// … after a refusal because of a limit.
const LIMIT_RETRY_MS: u32 = 5_000;

const CONNECTING: &str = "Connecting…";
const RECONNECTING: &str = "Reconnecting…";
const NOTHING_YET: &str = "Waiting for the first picture…";
const FINISHING: &str = "The recording has ended and is being finished…";

/// How a stream ended.
enum StreamEnd {
    Complete,
    Broken,
    /// The user has chosen another position.
    Replaced,
}

/// State that no view shows.
#[derive(Default)]
struct Internals {
    newest: Newest,
    /// Position chosen by the user that the buffer does not have yet.
    wanted_ms: Option<u64>,
    /// Ends the current request.
    abort: Option<AbortController>,
    is_replaced: bool,
    /// Whether the current stream has delivered bytes.
    has_arrived: bool,
    ticks: Option<Interval>,
}

/// Live playback of one recording.
#[derive(Clone, Copy)]
struct Live {
    app: AppContext,
    id: StoredValue<String>,
    playback: Playback,
    video: NodeRef<html::Video>,
    /// Text over the video; empty while it plays.
    status: RwSignal<&'static str>,
    /// Why the recording cannot be watched live.
    problem: RwSignal<Option<String>>,
    /// Whether the newest picture is wanted.
    is_live: RwSignal<bool>,
    is_playing: RwSignal<bool>,
    is_muted: RwSignal<bool>,
    position_ms: RwSignal<u64>,
    newest_ms: RwSignal<u64>,
    internals: StoredValue<Internals, LocalStorage>,
}

impl Live {
    fn new(id: String, row: Memo<Recording>, playback: Playback) -> Self {
        let live = Self {
            app: AppContext::expect(),
            id: StoredValue::new(id),
            playback,
            video: NodeRef::new(),
            status: RwSignal::new(CONNECTING),
            problem: RwSignal::new(None),
            is_live: RwSignal::new(true),
            is_playing: RwSignal::new(false),
            is_muted: RwSignal::new(false),
            position_ms: RwSignal::new(0),
            newest_ms: RwSignal::new(0),
            internals: StoredValue::new_local(Internals::default()),
        };
        let start_ms = playback.position_ms.get_untracked();
        if start_ms > 0 {
            live.is_live.set(false);
            live.update(|internals| internals.wanted_ms = Some(start_ms));
        }
        Effect::new(move |_| {
            let end_ms = row.with(parts::duration_ms);
            live.update(|internals| internals.newest.observe(end_ms, dom::monotonic_ms()));
        });
        Effect::new(move |_| {
            if let Some(video) = live.video.get() {
                video.set_volume(f64::from(playback.preferences.volume()) / 100.0);
                video.set_muted(live.is_muted.get());
            }
        });
        Effect::new(move |has_begun: Option<bool>| {
            let video = live.video.get();
            if let (Some(video), false) = (&video, has_begun == Some(true)) {
                live.begin(video.clone());
            }
            video.is_some() || has_begun == Some(true)
        });
        // Ends the request and the timer.
        on_cleanup(move || {
            live.update(|internals| {
                if let Some(abort) = &internals.abort {
                    abort.abort();
                }
                *internals = Internals::default();
            });
        });
        live
    }

    fn begin(self, video: HtmlVideoElement) {
        let ticks = Some(Interval::new(TICK_MS, move || self.tick()));
        self.update(|internals| internals.ticks = ticks);
        spawn_local(async move { self.run(video).await });
    }

    fn update(self, change: impl FnOnce(&mut Internals)) {
        self.internals.try_update_value(change);
    }

    fn is_alive(self) -> bool {
        self.problem.try_with_untracked(Option::is_none) == Some(true)
    }

    /// Requests the stream again and again until the component is disposed.
    async fn run(self, video: HtmlVideoElement) {
        let mut buffer = None;
        while self.is_alive() {
            let pause_ms = self.watch(&video, &mut buffer).await;
            if pause_ms > 0 {
                TimeoutFuture::new(pause_ms).await;
            }
        }
    }

    /// Plays one stream; returns the time to wait before the next one.
    async fn watch(self, video: &HtmlVideoElement, buffer: &mut Option<MediaBuffer>) -> u32 {
        let abort = AbortController::new().ok();
        let signal = abort.as_ref().map(AbortController::signal);
        self.update(|internals| {
            internals.abort = abort;
            internals.is_replaced = false;
            internals.has_arrived = false;
        });
        let from_ms = self.next_start_ms(video);
        let answer = self.app.api();
        let answer = answer
            .live(&self.id.get_value(), from_ms, signal.as_ref())
            .await;
        if !self.is_alive() {
            return 0;
        }
        let stream = match answer {
            Ok(stream) => stream,
            Err(error) => return self.refused(&error),
        };
        if !MediaBuffer::supports(&stream.media_type) {
            self.fail(
                "This browser cannot play the recording while it is running. It can be watched and downloaded here when \
                 it is complete.",
            );
            return 0;
        }
        let end = self.play(video, buffer, stream).await;
        if !self.is_alive() {
            return 0;
        }
        match end {
            StreamEnd::Replaced => {
                self.status.set(CONNECTING);
                0
            }
            StreamEnd::Complete => {
                self.status.set(FINISHING);
                RETRY_MS
            }
            StreamEnd::Broken => {
                self.status.set(RECONNECTING);
                RETRY_MS
            }
        }
    }

    /// Start of the next stream: the chosen position, or the end of the buffer; `None` for the newest picture.
    fn next_start_ms(self, video: &HtmlVideoElement) -> Option<u64> {
        let wanted_ms = self.internals.with_value(|internals| internals.wanted_ms);
        if self.is_live.get_untracked() {
            return None;
        }
        let buffered = buffered(video);
        let position_ms = wanted_ms.unwrap_or_else(|| position_of(video));
        let view = View {
            position_ms,
            buffered: &buffered,
            is_paused: true,
            is_live: false,
        };
        match view.has(position_ms) {
            true => buffered.last().map(|span| span.end_ms),
            false => Some(position_ms),
        }
    }

    fn fail(self, message: &str) {
        self.status.set("");
        self.problem.set(Some(message.to_owned()));
    }

    /// Shows why the server refused a request; returns the time to wait before the next one.
    fn refused(self, error: &ApiError) -> u32 {
        let code = match error {
            ApiError::Problem(problem) => problem.code,
            _ => ProblemCode::Unknown,
        };
        match code {
            ProblemCode::NotReady => {
                // The page replaces this view once it knows the new status.
                if self.status.get_untracked() != FINISHING {
                    self.status.set(NOTHING_YET);
                }
                RETRY_MS
            }
            ProblemCode::TooManyRequests => {
                self.status
                    .set("Too many viewers. Trying again in a moment…");
                LIMIT_RETRY_MS
            }
            ProblemCode::Conflict | ProblemCode::Forbidden => {
                self.fail(&error.message());
                0
            }
            ProblemCode::Unavailable if matches!(error, ApiError::Problem(_)) => {
                self.status
                    .set("Another server receives this recording. It can be watched when it is complete.");
                LIMIT_RETRY_MS
            }
            _ => {
                self.status.set(RECONNECTING);
                RETRY_MS
            }
        }
    }

    /// Plays a stream to its end.
    async fn play(
        self,
        video: &HtmlVideoElement,
        buffer: &mut Option<MediaBuffer>,
        stream: LiveBytes,
    ) -> StreamEnd {
        let known = buffer.take().filter(|known| {
            known.media_type() == stream.media_type && known.begin_stream().is_ok()
        });
        let known = match known {
            Some(known) => known,
            None => match MediaBuffer::open(video, &stream.media_type).await {
                Some(opened) => {
                    self.start(video);
                    opened
                }
                None => return StreamEnd::Broken,
            },
        };
        let media = buffer.insert(known);
        loop {
            // The server keeps older bytes; newer ones wait in the network.
            while self.is_alive()
                && !self.is_replaced()
                && !self.with_view(video, |view| view.wants_more())
            {
                TimeoutFuture::new(TICK_MS).await;
            }
            let read = JsFuture::from(stream.reader.read()).await;
            if !self.is_alive() || self.is_replaced() {
                return StreamEnd::Replaced;
            }
            let Ok(read) = read else {
                return StreamEnd::Broken;
            };
            // `{ done, value }` (WHATWG Streams, section 4.4); `value` is absent at the end.
            let value = js_sys::Reflect::get(&read, &"value".into()).unwrap_or_default();
            let Ok(bytes) = value.dyn_into::<Uint8Array>() else {
                return StreamEnd::Complete;
            };
            if let Err(end) = self.append(video, media, &bytes).await {
                *buffer = None;
                return end;
            }
            self.update(|internals| internals.has_arrived = true);
            self.tick();
        }
    }

    async fn append(
        self,
        video: &HtmlVideoElement,
        media: &MediaBuffer,
        bytes: &Uint8Array,
    ) -> Result<(), StreamEnd> {
        loop {
            let appended = media.append(bytes).await;
            if !self.is_alive() || self.is_replaced() {
                // The next stream begins with an empty parser; what is buffered stays.
                return Ok(());
            }
            let is_full = appended == Err(AppendError::Full);
            if let Some(end_ms) = self.with_view(video, |view| view.evict_ms(is_full)) {
                media.remove_before(to_seconds(end_ms)).await;
            } else if is_full {
                // Room comes with playback.
                TimeoutFuture::new(TICK_MS).await;
            }
            match appended {
                Ok(()) => return Ok(()),
                Err(AppendError::Full) if self.is_alive() && !self.is_replaced() => {}
                Err(_) => return Err(StreamEnd::Broken),
            }
        }
    }

    fn is_replaced(self) -> bool {
        let is_replaced = |internals: &Internals| internals.is_replaced;
        self.internals.try_with_value(is_replaced) == Some(true)
    }

    /// Starts playback; without sound if the browser requires a click for it.
    fn start(self, video: &HtmlVideoElement) {
        let Ok(playing) = video.play() else { return };
        let video = video.clone();
        spawn_local(async move {
            if JsFuture::from(playing).await.is_err()
                && self.is_alive()
                && video.paused()
                && !video.muted()
            {
                self.is_muted.set(true);
                video.set_muted(true);
                if let Ok(playing) = video.play() {
                    let _ = JsFuture::from(playing).await;
                }
            }
        });
    }

    fn with_view<T>(self, video: &HtmlVideoElement, decide: impl FnOnce(View<'_>) -> T) -> T {
        let buffered = buffered(video);
        decide(View {
            position_ms: position_of(video),
            buffered: &buffered,
            is_paused: video.paused(),
            is_live: self.is_live.try_get_untracked() == Some(true),
        })
    }

    /// Applies the decisions about position and rate, and shows the position.
    fn tick(self) {
        let Some(video) = self.video.try_get_untracked().flatten() else {
            return;
        };
        let now_ms = dom::monotonic_ms();
        let wanted_ms = self.internals.with_value(|internals| internals.wanted_ms);
        if let Some(wanted_ms) = wanted_ms
            && self.with_view(&video, |view| view.has(wanted_ms))
        {
            video.set_current_time(to_seconds(wanted_ms));
            self.update(|internals| internals.wanted_ms = None);
        } else {
            let step = self.with_view(&video, |view| view.step(video.playback_rate()));
            if let Some(seek_ms) = step.seek_ms {
                video.set_current_time(to_seconds(seek_ms));
                self.update(|internals| internals.wanted_ms = None);
            }
            if video.playback_rate() != step.rate {
                video.set_playback_rate(step.rate);
            }
        }
        if let Some(last) = buffered(&video).last() {
            let end_ms = last.end_ms;
            self.update(|internals| internals.newest.observe(end_ms, now_ms));
        }
        let (newest_ms, wanted_ms) = self
            .internals
            .with_value(|internals| (internals.newest.at(now_ms), internals.wanted_ms));
        let position_ms = wanted_ms.unwrap_or_else(|| position_of(&video));
        set(self.newest_ms, newest_ms.max(position_ms));
        set(self.position_ms, position_ms);
        set(self.playback.position_ms, position_ms);
        set(self.is_playing, !video.paused());
        // HTML, section 4.8.11.7: HAVE_CURRENT_DATA is 2.
        if video.ready_state() >= 2 && self.internals.with_value(|internals| internals.has_arrived)
        {
            set(self.status, "");
        }
        let size = format!("{} × {}", video.video_width(), video.video_height());
        if video.video_width() > 0
            && self
                .playback
                .picture_size
                .with_untracked(|known| *known != size)
        {
            self.playback.picture_size.set(size);
        }
    }

    fn toggle(self) {
        let Some(video) = self.video.get_untracked() else {
            return;
        };
        if video.paused() {
            let behind_ms = (self.newest_ms.get_untracked()).saturating_sub(position_of(&video));
            self.is_live.set(live::is_at_edge(behind_ms));
            self.start(&video);
        } else {
            // The bytes that follow are played from here on.
            self.is_live.set(false);
            let _ = video.pause();
        }
        self.tick();
    }

    /// Moves to an earlier position.
    fn seek(self, position_ms: u64) {
        let Some(video) = self.video.get_untracked() else {
            return;
        };
        let newest_ms = self.newest_ms.get_untracked();
        if live::is_at_edge(newest_ms.saturating_sub(position_ms)) {
            return self.go_live();
        }
        self.is_live.set(false);
        self.update(|internals| internals.wanted_ms = Some(position_ms));
        if !self.with_view(&video, |view| view.has(position_ms)) {
            self.replace();
        }
        self.tick();
    }

    fn seek_by(self, by_ms: i64) {
        let position_ms = self.position_ms.get_untracked();
        self.seek(position_ms.saturating_add_signed(by_ms));
    }

    /// Returns to the newest picture.
    fn go_live(self) {
        let Some(video) = self.video.get_untracked() else {
            return;
        };
        self.is_live.set(true);
        self.update(|internals| internals.wanted_ms = None);
        let end_ms = buffered(&video).last().map_or(0, |span| span.end_ms);
        if !live::is_at_edge(self.newest_ms.get_untracked().saturating_sub(end_ms)) {
            self.replace();
        }
        if video.paused() {
            self.start(&video);
        }
        self.tick();
    }

    /// Ends the current stream; the next one begins at the position that is wanted now.
    fn replace(self) {
        self.update(|internals| {
            internals.is_replaced = true;
            if let Some(abort) = &internals.abort {
                abort.abort();
            }
        });
    }
}

fn set<T: PartialEq + Copy + Send + Sync + 'static>(signal: RwSignal<T>, value: T) {
    if signal
        .try_get_untracked()
        .is_some_and(|known| known != value)
    {
        signal.set(value);
    }
}

fn position_of(video: &HtmlVideoElement) -> u64 {
    format::seconds_to_ms(video.current_time())
}

/// Video of a running recording, with its controls.
#[component]
pub(super) fn LiveStage(row: Memo<Recording>, playback: Playback, title: String) -> impl IntoView {
    let id = row.with_untracked(|row| row.id.clone());
    let live = Live::new(id, row, playback);
    let fullscreen = Fullscreen::new(live.video);
    let listener = window_event_listener(ev::keydown, move |event| {
        if event.default_prevented() || has_modifier(&event) {
            return;
        }
        let act: Box<dyn Fn()> = match key_map::action(&event.key(), focus(&event)) {
            Some(Action::TogglePlayback) => Box::new(move || live.toggle()),
            Some(Action::SeekBy(by_ms)) => Box::new(move || live.seek_by(by_ms)),
            Some(Action::ToggleFullscreen) => Box::new(move || fullscreen.toggle()),
            Some(Action::ToggleTheatre) => Box::new(move || playback.preferences.toggle_theatre()),
            _ => return,
        };
        event.prevent_default();
        fullscreen.show_controls();
        act();
    });
    on_cleanup(move || listener.remove());
    view! {
        <StageFrame class="stage player-stage live-stage" fullscreen=fullscreen is_playing=live.is_playing>
            <div class="player-picture">
                <video
                    node_ref=live.video
                    class="stage-video"
                    playsinline
                    aria-label=title
                    on:click=move |_| live.toggle()
                    on:dblclick=move |_| fullscreen.toggle()
                    on:timeupdate=move |_| live.tick()
                    on:pause=move |_| live.tick()
                    on:playing=move |_| live.tick()
                ></video>
                <p
                    class="player-note live-status"
                    class:note-on=move || !live.status.get().is_empty()
                    role="status"
                >
                    {live.status}
                </p>
                <p class="live-problem" role="alert">
                    {live.problem}
                </p>
            </div>
            <div hidden=move || live.problem.with(Option::is_some)>
                <LiveControls live=live fullscreen=fullscreen />
            </div>
        </StageFrame>
    }
}

#[component]
fn LiveControls(live: Live, fullscreen: Fullscreen) -> impl IntoView {
    let behind_ms = move || (live.newest_ms.get()).saturating_sub(live.position_ms.get());
    let badge = Memo::new(move |_| live::badge(behind_ms()));
    let is_at_edge = Memo::new(move |_| live.is_live.get() && live::is_at_edge(behind_ms()));
    let newest_s = Memo::new(move |_| live.newest_ms.get() / 1000);
    let position_s = Memo::new(move |_| live.position_ms.get() / 1000);
    // While the user moves the handle, it must not follow the playback.
    let dragged_s = RwSignal::new(None::<u64>);
    let shown_s = move || dragged_s.get().unwrap_or_else(|| position_s.get());
    view! {
        <div class="player-controls" role="group" aria-label="Player controls">
            <input
                type="range"
                class="live-timeline"
                aria-label="Position"
                min="0"
                max=move || newest_s.get().max(1).to_string()
                step="1"
                prop:value=move || shown_s().to_string()
                aria-valuetext=move || format::clock(shown_s() * 1000)
                on:input=move |event| dragged_s.set(event_target_value(&event).parse().ok())
                on:change=move |event| {
                    if let Ok(second) = event_target_value(&event).parse::<u64>() {
                        live.seek(second * 1000);
                    }
                    dragged_s.set(None);
                }
            />
            <div class="player-buttons">
                <PlayButtons
                    is_playing=live.is_playing
                    is_muted=live.is_muted
                    on_toggle=move |()| live.toggle()
                    on_seek_by=move |by_ms| live.seek_by(by_ms)
                />
                <span class="live-badge digits" class:live-badge-on=is_at_edge>
                    <span class="live-dot" class:live-dot-still=move || !is_at_edge.get() aria-hidden="true"></span>
                    {badge}
                </span>
                <span class="player-times digits">{move || format::clock(shown_s() * 1000)}</span>
                <span class="player-space"></span>
                <Show when=move || !is_at_edge.get()>
                    <button type="button" class="player-button live-return" on:click=move |_| live.go_live()>
                        "Go live"
                    </button>
                </Show>
                <FullscreenButton fullscreen=fullscreen />
            </div>
        </div>
    }
}
