use gloo_timers::callback::Timeout;
use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;
use sortie_api::Recording;
use wasm_bindgen_futures::JsFuture;
use web_sys::HtmlVideoElement;

use super::feeder::{self, Feeder};
use super::preferences::Preferences;
use crate::format;
use crate::parts::{self, TimelinePart};
use crate::player::clip_range::ClipRange;
use crate::player::seek_queue::{Command, PATIENCE_MS, SeekQueue};
use crate::player::skip_idle::{self, Skip};
use crate::player::speed;
use crate::player::timeline::{self, Review, Span};
use crate::web::api;
use crate::web::app_context::AppContext;
use crate::web::dom;
use crate::web::download;

/// Duration in milliseconds above which a seek, or waiting for data, is indicated.
const WAIT_SHOWN_MS: u32 = 200;
/// Length of a frame for single steps in milliseconds. The files have no fixed frame rate.
const FRAME_MS: u64 = 33;
/// Duration in milliseconds for which a message is shown.
const MESSAGE_MS: u32 = 2_000;

/// State that no view shows, in one value, because each type of a reactive value adds to the size of the pages.
#[derive(Default)]
struct Internals {
    queue: SeekQueue,
    feeder: Option<Feeder>,
    /// Whether the file of the part itself is the source, because a feeder has failed.
    is_plain: bool,
    /// Idle span that is skipped now.
    skip: Option<Skip>,
    /// Position of the last error. A file that cannot be played fails at the same position again.
    broke_off_at_s: Option<f64>,
    /// Whether the position is followed with every frame of the page.
    is_following: bool,
    wait_timer: Option<Timeout>,
    wake_timer: Option<Timeout>,
    message_timer: Option<Timeout>,
}

/// Playback of all parts of a recording in one video element, on a common timeline. After an expired sign-in it renews
/// the sign-in and continues at the same position.
#[derive(Clone, Copy)]
pub(super) struct Playback {
    app: AppContext,
    pub(super) video: NodeRef<html::Video>,
    row: Memo<Recording>,
    pub(super) timeline: Memo<Vec<TimelinePart>>,
    pub(super) review: Memo<Review>,
    pub(super) preferences: Preferences,
    /// Recording ID of the part in the video element.
    pub(super) current: RwSignal<String>,
    /// Position on the timeline; during a seek, its target.
    pub(super) position_ms: RwSignal<u64>,
    pub(super) is_playing: RwSignal<bool>,
    pub(super) is_muted: RwSignal<bool>,
    /// Text about the idle span that is skipped now; otherwise empty.
    pub(super) skipping: RwSignal<String>,
    /// Buffered ranges on the timeline.
    pub(super) buffered: RwSignal<Vec<Span>>,
    /// Width and height of the picture: `1280 × 720`. Empty before the metadata.
    pub(super) picture_size: RwSignal<String>,
    /// Text about a seek or missing data that take long; otherwise empty.
    pub(super) waiting: RwSignal<String>,
    pub(super) problem: RwSignal<Option<String>>,
    /// Range for a clip.
    pub(super) clip: RwSignal<ClipRange>,
    /// Short message over the video.
    pub(super) message: RwSignal<String>,
    /// Called when the server does not have the recording any more.
    on_deleted: Callback<()>,
    internals: StoredValue<Internals, LocalStorage>,
}

/// Range of a part of the recording.
#[derive(Clone)]
pub(super) struct PartRange {
    /// ID of the part.
    pub(super) id: String,
    /// Milliseconds in the part.
    pub(super) start_ms: u64,
    pub(super) end_ms: u64,
    /// The same range on the timeline of the recording.
    pub(super) span: Span,
}

impl Playback {
    pub(super) fn new(
        row: Memo<Recording>,
        timeline: Memo<Vec<TimelinePart>>,
        review: Memo<Review>,
        start_ms: u64,
        on_deleted: Callback<()>,
    ) -> Self {
        let playback = Self {
            app: AppContext::expect(),
            video: NodeRef::new(),
            row,
            timeline,
            review,
            preferences: Preferences::load(),
            current: RwSignal::new(String::new()),
            position_ms: RwSignal::new(start_ms),
            is_playing: RwSignal::new(false),
            is_muted: RwSignal::new(false),
            skipping: RwSignal::new(String::new()),
            buffered: RwSignal::new(Vec::new()),
            picture_size: RwSignal::new(String::new()),
            waiting: RwSignal::new(String::new()),
            problem: RwSignal::new(None),
            clip: RwSignal::new(ClipRange::default()),
            message: RwSignal::new(String::new()),
            on_deleted,
            internals: StoredValue::new_local(Internals::default()),
        };
        Effect::new(move |_| {
            playback.preferences.speed();
            playback.preferences.skips_idle();
            playback.review.track();
            playback.is_muted.track();
            let volume = playback.preferences.volume();
            if let Some(video) = playback.video.get() {
                video.set_volume(f64::from(volume) / 100.0);
                playback.apply_rate();
            }
        });
        // Ends the timers.
        on_cleanup(move || playback.internals.set_value(Internals::default()));
        playback
    }

    /// Selects the part of the first position.
    pub(super) fn select_first_part(self) {
        let position_ms = self.position_ms.get_untracked();
        let found = self.part_at(position_ms);
        let (id, position_ms) = found.map_or((String::new(), 0), |(part, inside_ms)| {
            (part.id.clone(), timeline::position_of(&part, inside_ms))
        });
        self.current.set(id);
        self.position_ms.set(position_ms);
    }

    /// Sets source and first position of a new video element. The browser begins there.
    pub(super) fn begin(self, video: &HtmlVideoElement) {
        self.set_source(video);
        let found = self.part_at(self.position_ms.get_untracked());
        if let Some((_, inside_ms)) = found.filter(|(_, inside_ms)| *inside_ms > 0) {
            video.set_current_time(to_seconds(inside_ms));
        }
    }

    /// Makes the current part the source of the video element.
    fn set_source(self, video: &HtmlVideoElement) {
        let id = self.current.get_untracked();
        self.update(|internals| internals.feeder = None);
        let is_plain = self.internals.with_value(|internals| internals.is_plain);
        let is_webm = self.row.with_untracked(|row| row.format == "webm");
        let feeder = (!is_plain && is_webm && feeder::is_wanted()).then(|| {
            Feeder::start(self.app.api(), video, id.clone(), move || {
                if self.is_alive() {
                    self.play_file();
                }
            })
        });
        match feeder.flatten() {
            Some(feeder) => self.update(|internals| internals.feeder = Some(feeder)),
            None => video.set_src(&api::stream_url(&id)),
        }
    }

    /// Makes the file the source of the video element instead of a feeder, at the same position.
    fn play_file(self) {
        self.update(|internals| internals.is_plain = true);
        let Some(video) = self.video.get_untracked() else {
            return;
        };
        let position_s = self.target_s().unwrap_or_else(|| video.current_time());
        let was_playing = self.is_playing.get_untracked();
        self.update(|internals| internals.queue.load());
        self.set_source(&video);
        if position_s > 0.0 {
            video.set_current_time(position_s);
        }
        if was_playing {
            self.play(&video);
        }
    }

    fn has_feeder(self) -> bool {
        let has_feeder = |internals: &Internals| internals.feeder.is_some();
        self.internals.with_value(has_feeder)
    }

    pub(super) fn toggle(self) {
        let Some(video) = self.video.get_untracked() else {
            return;
        };
        if !video.paused() {
            // Fails never; the result is an artefact of the binding.
            let _ = video.pause();
            return;
        }
        if video.ended() {
            self.seek(0);
        }
        self.play(&video);
    }

    fn play(self, video: &HtmlVideoElement) {
        let Ok(playing) = video.play() else { return };
        let video = video.clone();
        spawn_local(async move {
            // The browser may require a click to play; the user then uses the controls.
            if JsFuture::from(playing).await.is_err() {
                self.is_playing.try_set(!video.paused());
            }
        });
    }

    /// Seeks to a position on the timeline, in another part if necessary.
    pub(super) fn seek(self, position_ms: u64) {
        let Some((part, inside_ms)) = self.part_at(position_ms) else {
            return;
        };
        if self.current.with_untracked(|current| *current != part.id) {
            let was_playing = self.is_playing.get_untracked();
            return self.load_part(&part, inside_ms, was_playing);
        }
        let target_s = to_seconds(inside_ms);
        self.command(|queue, now_ms| queue.request(target_s, now_ms));
        self.wake_later();
        self.show_position();
    }

    /// Like [`seek`](Self::seek), but does nothing in another part: loading it is too slow while the pointer moves.
    pub(super) fn scrub(self, position_ms: u64) {
        let found = self.part_at(position_ms);
        if found.is_some_and(|(part, _)| self.current.with_untracked(|id| *id == part.id)) {
            self.seek(position_ms);
        }
    }

    pub(super) fn seek_by(self, by_ms: i64) {
        let position_ms = self.position_ms.get_untracked();
        let end_ms = untrack(|| self.duration_ms());
        self.seek(position_ms.saturating_add_signed(by_ms).min(end_ms));
    }

    pub(super) fn seek_to_tenth(self, tenth: u8) {
        self.seek(untrack(|| self.duration_ms()) / 10 * u64::from(tenth));
    }

    /// Pauses and moves by one frame.
    pub(super) fn step_frame(self, direction: i8) {
        if let Some(video) = self.video.get_untracked() {
            let _ = video.pause();
        }
        self.seek_by(i64::from(direction) * FRAME_MS.cast_signed());
    }

    /// Plays a part from its start.
    pub(super) fn play_part(self, id: &str) {
        let part = self.timeline.with_untracked(|parts| {
            let part = parts.iter().find(|part| part.id == id);
            part.cloned()
        });
        if let Some(part) = part {
            self.load_part(&part, 0, true);
        }
    }

    pub(super) fn change_speed(self, step: fn(u32) -> u32) {
        let speed = step(untrack(|| self.preferences.speed()));
        self.preferences.set_speed(speed);
        self.show_message(&speed::label(speed));
    }

    pub(super) fn start_clip(self) {
        let position_ms = self.position_ms.get_untracked();
        self.clip
            .update(|clip| *clip = clip.with_start(position_ms));
        self.show_message(&format!("Clip from {}", format::clock(position_ms)));
    }

    pub(super) fn end_clip(self) {
        let position_ms = self.position_ms.get_untracked();
        self.clip.update(|clip| *clip = clip.with_end(position_ms));
        self.show_message(&format!("Clip to {}", format::clock(position_ms)));
    }

    /// Selected span of the timeline; tracked.
    pub(super) fn clip_span(self) -> Option<Span> {
        let clip = self.clip.get();
        self.timeline.with(|parts| clip.span(parts))
    }

    /// Selected span as a range of one part.
    pub(super) fn selected_range(self) -> Option<PartRange> {
        let span = untrack(|| self.clip_span())?;
        let (part, start_ms) = self.part_at(span.start_ms)?;
        Some(PartRange {
            id: part.id,
            start_ms,
            end_ms: start_ms + span.end_ms - span.start_ms,
            span,
        })
    }

    /// Downloads the selected span.
    pub(super) fn download_clip(self) {
        if let Some(range) = self.selected_range() {
            let address = api::clip_url(&range.id, range.start_ms, range.end_ms);
            download::start_file(self.app, address, "", self.problem);
        }
    }

    fn update(self, change: impl FnOnce(&mut Internals)) {
        self.internals.try_update_value(change);
    }

    /// Target of a seek that has not finished, in seconds.
    fn target_s(self) -> Option<f64> {
        self.internals
            .with_value(|internals| internals.queue.target_s())
    }

    /// Whether the page still exists.
    pub(super) fn is_alive(self) -> bool {
        self.message.try_with_untracked(|_| ()).is_some()
    }

    /// Shows a message over the video for a moment.
    pub(super) fn show_message(self, message: &str) {
        self.message.set(message.to_owned());
        let timer = Some(Timeout::new(MESSAGE_MS, move || {
            self.message.try_set(String::new());
        }));
        self.update(|internals| internals.message_timer = timer);
    }

    /// Duration of all playable parts; tracked.
    pub(super) fn duration_ms(self) -> u64 {
        self.review.with(|review| review.duration_ms)
    }

    /// Whether idle spans are skipped; tracked.
    pub(super) fn skips_idle(self) -> bool {
        skip_idle::is_enabled(self.preferences.skips_idle(), self.duration_ms())
    }

    pub(super) fn part_at(self, position_ms: u64) -> Option<(TimelinePart, u64)> {
        self.timeline.with_untracked(|parts| {
            let found = timeline::part_at(parts, position_ms);
            found.map(|(part, inside_ms)| (part.clone(), inside_ms))
        })
    }

    fn load_part(self, part: &TimelinePart, inside_ms: u64, is_playing: bool) {
        let Some(video) = self.video.get_untracked() else {
            return;
        };
        self.update(|internals| internals.queue.load());
        self.current.set(part.id.clone());
        self.position_ms.set(timeline::position_of(part, inside_ms));
        self.buffered.set(Vec::new());
        self.update(|internals| {
            internals.broke_off_at_s = None;
            internals.is_plain = false;
        });
        self.set_source(&video);
        if inside_ms > 0 {
            video.set_current_time(to_seconds(inside_ms));
        }
        if is_playing {
            self.play(&video);
        }
    }

    /// Loads the file again and continues at a position.
    fn load_at(self, video: &HtmlVideoElement, position_s: f64) {
        let was_playing = !video.paused();
        self.update(|internals| internals.queue.load());
        video.load();
        video.set_current_time(position_s);
        if was_playing {
            self.play(video);
        }
    }

    /// Runs the command of the queue.
    fn command(self, decide: impl FnOnce(&mut SeekQueue, u64) -> Option<Command>) {
        let now_ms = dom::monotonic_ms();
        let command = self
            .internals
            .try_update_value(|internals| decide(&mut internals.queue, now_ms));
        let (Some(command), Some(video)) = (command.flatten(), self.video.get_untracked()) else {
            return;
        };
        match command {
            Command::Seek(target_s) => {
                video.set_current_time(target_s);
                self.feed();
            }
            Command::Reload(target_s) => {
                self.waiting.set("Seeking…".to_owned());
                self.load_at(&video, target_s);
            }
        }
    }

    /// Requests the bytes of the position.
    fn feed(self) {
        self.internals.with_value(|internals| {
            if let Some(feeder) = &internals.feeder {
                feeder.on_seek();
            }
        });
    }

    /// Replaces a seek that is stuck with the waiting one.
    fn wake_later(self) {
        if !self
            .internals
            .with_value(|internals| internals.queue.is_waiting())
        {
            return;
        }
        let patience_ms = u32::try_from(PATIENCE_MS).unwrap_or(u32::MAX);
        let timer = Some(Timeout::new(patience_ms, move || {
            if self.is_alive() {
                self.command(SeekQueue::wake);
            }
        }));
        self.update(|internals| internals.wake_timer = timer);
    }

    fn show_position(self) {
        let Some(video) = self.video.get_untracked() else {
            return;
        };
        let inside_s = self.target_s();
        let inside_ms = format::seconds_to_ms(inside_s.unwrap_or_else(|| video.current_time()));
        let position_ms = self.timeline.with_untracked(|parts| {
            let part = self
                .current
                .with_untracked(|id| parts.iter().find(|part| part.id == *id));
            part.map_or(0, |part| timeline::position_of(part, inside_ms))
        });
        if self.position_ms.get_untracked() != position_ms {
            self.position_ms.set(position_ms);
        }
    }

    /// Sets rate and sound for the position: idle spans are played fast and silently.
    fn apply_rate(self) {
        let Some(video) = self.video.get_untracked() else {
            return;
        };
        let skips = !video.paused() && untrack(|| self.skips_idle());
        let current = self.internals.with_value(|internals| internals.skip);
        let skip = skips
            .then(|| {
                let position_ms = self.position_ms.get_untracked();
                self.review
                    .with_untracked(|review| skip_idle::skip_at(current, position_ms, &review.idle))
            })
            .flatten();
        if skip != current {
            self.update(|internals| internals.skip = skip);
            self.skipping.set(skip.map(Skip::text).unwrap_or_default());
        }
        let rate = skip_idle::rate(skip, untrack(|| self.preferences.speed()));
        if video.playback_rate() != rate {
            video.set_playback_rate(rate);
        }
        let is_muted = skip.is_some() || self.is_muted.get_untracked();
        if video.muted() != is_muted {
            video.set_muted(is_muted);
        }
    }

    fn tick(self) {
        self.show_position();
        self.apply_rate();
    }

    /// Follows the position with every frame of the page; hidden pages have the events of the video element only.
    fn follow(self) {
        if !self
            .internals
            .with_value(|internals| internals.is_following)
        {
            self.update(|internals| internals.is_following = true);
            self.follow_frame();
        }
    }

    fn follow_frame(self) {
        request_animation_frame(move || match self.is_playing.try_get_untracked() {
            None => {}
            Some(false) => self.update(|internals| internals.is_following = false),
            Some(true) => {
                self.tick();
                self.follow_frame();
            }
        });
    }

    fn show_wait(self, text: &'static str, is_on: fn(&HtmlVideoElement) -> bool) {
        let timer = Some(Timeout::new(WAIT_SHOWN_MS, move || {
            let video = self.video.try_get_untracked().flatten();
            let is_on = video.is_some_and(|video| is_on(&video));
            self.waiting
                .try_set(if is_on { text } else { "" }.to_owned());
        }));
        self.update(|internals| internals.wait_timer = timer);
    }

    fn end_wait(self) {
        self.update(|internals| internals.wait_timer = None);
        if self.waiting.with_untracked(|text| !text.is_empty()) {
            self.waiting.set(String::new());
        }
    }

    pub(super) fn on_error(self) {
        let Some(video) = self.video.get_untracked() else {
            return;
        };
        if self.has_feeder() {
            return self.play_file();
        }
        let position_s = video.current_time();
        if self
            .internals
            .with_value(|internals| internals.broke_off_at_s == Some(position_s))
        {
            self.end_wait();
            self.problem.set(Some(
                "This browser cannot play the recording. Download it and play it with another program.".to_owned(),
            ));
            return;
        }
        self.update(|internals| internals.broke_off_at_s = Some(position_s));
        let id = self.current.get_untracked();
        spawn_local(async move {
            match self.app.api().recording(&id).await {
                Ok(_) if self.is_alive() => self.load_at(&video, position_s),
                Ok(_) => {}
                Err(error) if error.is_not_found() => {
                    self.on_deleted.try_run(());
                }
                Err(error) => {
                    let _ = self.problem.try_set(Some(self.app.explain(&error)));
                }
            }
        });
    }

    pub(super) fn on_metadata(self) {
        let Some(video) = self.video.get_untracked() else {
            return;
        };
        let (position_s, is_seeking) = (video.current_time(), video.seeking());
        if self.has_feeder() {
            self.update(|internals| internals.queue.on_indexed_metadata());
        } else {
            self.command(|queue, _| queue.on_metadata(position_s, is_seeking));
        }
        self.on_resize();
        self.tick();
    }

    pub(super) fn on_resize(self) {
        if let Some(video) = self.video.get_untracked() {
            let (width, height) = (video.video_width(), video.video_height());
            if width > 0 {
                self.picture_size.set(format!("{width} × {height}"));
            }
        }
    }

    pub(super) fn on_seeking(self) {
        let Some(video) = self.video.get_untracked() else {
            return;
        };
        let position_s = video.current_time();
        self.command(|queue, now_ms| queue.on_seeking(position_s, now_ms));
        self.feed();
        if self.target_s().is_some() {
            self.show_wait("Seeking…", |video| video.seeking());
        }
        self.tick();
    }

    pub(super) fn on_seeked(self) {
        let Some(video) = self.video.get_untracked() else {
            return;
        };
        let is_seeking = video.seeking();
        self.command(|queue, now_ms| queue.on_seeked(is_seeking, now_ms));
        self.wake_later();
        self.end_wait();
        self.tick();
    }

    pub(super) fn on_play(self) {
        self.is_playing.set(true);
        self.tick();
        self.follow();
    }

    pub(super) fn on_pause(self) {
        self.is_playing.set(false);
        self.tick();
    }

    pub(super) fn on_time(self) {
        self.tick();
    }

    pub(super) fn on_waiting(self) {
        // HTML, section 4.8.11.7: HAVE_FUTURE_DATA is 3.
        self.show_wait("Loading…", |video| {
            video.ready_state() < 3 && !video.paused()
        });
    }

    pub(super) fn on_playing(self) {
        self.end_wait();
    }

    pub(super) fn on_volume(self) {
        let Some(video) = self.video.get_untracked() else {
            return;
        };
        if self
            .internals
            .with_value(|internals| internals.skip.is_none())
            && self.is_muted.get_untracked() != video.muted()
        {
            self.is_muted.set(video.muted());
        }
    }

    pub(super) fn on_progress(self) {
        let Some(video) = self.video.get_untracked() else {
            return;
        };
        let part = self.timeline.with_untracked(|parts| {
            let part = self
                .current
                .with_untracked(|id| parts.iter().find(|part| part.id == *id));
            part.cloned()
        });
        let Some(part) = part else { return };
        let spans = buffered(&video).into_iter().map(|span| Span {
            start_ms: timeline::position_of(&part, span.start_ms),
            end_ms: timeline::position_of(&part, span.end_ms),
        });
        let spans: Vec<_> = spans.collect();
        if self.buffered.with_untracked(|buffered| *buffered != spans) {
            self.buffered.set(spans);
        }
    }

    /// Continues with the next part.
    pub(super) fn on_ended(self) {
        let next = self.timeline.with_untracked(|parts| {
            let next = self.current.with_untracked(|id| parts::next(parts, id));
            next.cloned()
        });
        if let Some(part) = next {
            self.load_part(&part, 0, true);
        }
    }
}

/// Returns the buffered ranges of a video element, by the time in its file.
pub(super) fn buffered(video: &HtmlVideoElement) -> Vec<Span> {
    let ranges = video.buffered();
    let spans = (0..ranges.length()).filter_map(|index| {
        Some(Span {
            start_ms: format::seconds_to_ms(ranges.start(index).ok()?),
            end_ms: format::seconds_to_ms(ranges.end(index).ok()?),
        })
    });
    spans.collect()
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 285,000 years")]
pub(super) fn to_seconds(time_ms: u64) -> f64 {
    time_ms as f64 / 1000.0
}
