use leptos::prelude::*;

use super::controls::Controls;
use super::fullscreen::Fullscreen;
use super::markers::{MarkerForm, Markers};
use super::playback::Playback;

/// Video with messages over it and controls below it. The browser's own controls stay until these are attached.
#[component]
pub(super) fn Stage(
    playback: Playback,
    markers: Markers,
    title: String,
    fullscreen: Fullscreen,
    /// Copies a link to the position.
    #[prop(into)]
    on_copy_link: Callback<()>,
    /// Opens the list of keys.
    #[prop(into)]
    on_help: Callback<()>,
) -> impl IntoView {
    let has_controls = RwSignal::new(false);
    playback.select_first_part();
    Effect::new(move |_| {
        if let Some(video) = playback.video.get() {
            playback.begin(&video);
            has_controls.set(true);
        }
    });
    view! {
        <StageFrame fullscreen=fullscreen is_playing=playback.is_playing>
            <div class="player-picture">
                <video
                    node_ref=playback.video
                    class="stage-video"
                    controls=move || !has_controls.get()
                    playsinline
                    preload="metadata"
                    aria-label=title
                    on:click=move |_| playback.toggle()
                    on:dblclick=move |_| fullscreen.toggle()
                    on:error=move |_| playback.on_error()
                    on:loadedmetadata=move |_| playback.on_metadata()
                    on:resize=move |_| playback.on_resize()
                    on:seeking=move |_| playback.on_seeking()
                    on:seeked=move |_| playback.on_seeked()
                    on:play=move |_| playback.on_play()
                    on:pause=move |_| playback.on_pause()
                    on:playing=move |_| playback.on_playing()
                    on:waiting=move |_| playback.on_waiting()
                    on:timeupdate=move |_| playback.on_time()
                    on:progress=move |_| playback.on_progress()
                    on:volumechange=move |_| playback.on_volume()
                    on:ended=move |_| playback.on_ended()
                ></video>
                <Note text=playback.waiting class="seeking" />
                <Note text=playback.skipping class="player-note player-skipping" />
                <Note text=playback.message class="player-note player-message" />
                <MarkerForm markers=markers />
            </div>
            <Controls playback=playback markers=markers fullscreen=fullscreen on_copy_link=on_copy_link on_help=on_help />
        </StageFrame>
        <p class="problem-text" role="alert">
            {playback.problem}
        </p>
    }
}

/// Element that fills the screen in the fullscreen view.
#[component]
pub(super) fn StageFrame(
    fullscreen: Fullscreen,
    is_playing: RwSignal<bool>,
    #[prop(default = "stage player-stage")] class: &'static str,
    children: Children,
) -> impl IntoView {
    view! {
        <div
            class=class
            class:player-fullscreen=move || fullscreen.is_on()
            class:player-resting=move || fullscreen.hides_controls() && is_playing.get()
            node_ref=fullscreen.element
            on:fullscreenchange=move |_| fullscreen.update()
            on:pointermove=move |_| fullscreen.show_controls()
        >
            {children()}
        </div>
    }
}

/// Text over the video, announced by screen readers; invisible while it is empty.
#[component]
fn Note(text: RwSignal<String>, class: &'static str) -> impl IntoView {
    view! {
        <p class=class class:note-on=move || text.with(|text| !text.is_empty()) role="status">
            {text}
        </p>
    }
}
