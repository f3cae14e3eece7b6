use leptos::prelude::*;

use super::fullscreen::Fullscreen;
use super::markers::Markers;
use super::playback::Playback;
use super::timeline::Timeline;
use crate::format;
use crate::player::clip_range::ClipRange;
use crate::player::timeline::Review;
use crate::player::{position, speed};
use crate::web::components::{Glyph, Icon};

/// Timeline and buttons below the video.
#[component]
pub(super) fn Controls(
    playback: Playback,
    markers: Markers,
    fullscreen: Fullscreen,
    #[prop(into)] on_copy_link: Callback<()>,
    #[prop(into)] on_help: Callback<()>,
) -> impl IntoView {
    view! {
        <div class="player-controls" role="group" aria-label="Player controls">
            <Timeline playback=playback markers=markers.placed />
            <div class="player-buttons">
                <PlayButtons
                    is_playing=playback.is_playing
                    is_muted=playback.is_muted
                    on_toggle=move |()| playback.toggle()
                    on_seek_by=move |by_ms| playback.seek_by(by_ms)
                />
                <Volume playback=playback />
                <Times playback=playback />
                <span class="player-space"></span>
                {move || {
                    let has_idle = playback.review.with(|review| !review.idle.is_empty());
                    has_idle
                        .then(|| {
                            view! {
                                <Button
                                    label="Skip idle"
                                    text="Skip idle"
                                    glyph=Glyph::FastForward
                                    pressed=Signal::derive(move || playback.skips_idle())
                                    on_press=move |()| {
                                        playback.preferences.set_skips_idle(!untrack(|| playback.skips_idle()));
                                    }
                                />
                            }
                        })
                }}
                <Speed playback=playback />
                {move || {
                    markers
                        .is_supported
                        .get()
                        .then(|| {
                            view! { <Button label="Add a marker" key="M" glyph=Glyph::Flag on_press=move |()| markers.begin() /> }
                        })
                }}
                <Button label="Copy a link to this moment" key="C" glyph=Glyph::Link on_press=on_copy_link />
                <span class="player-wide-only">
                    <Button label="Keys" key="?" glyph=Glyph::Help on_press=on_help />
                    <Button
                        label="Theatre view"
                        key="T"
                        glyph=Glyph::Theatre
                        pressed=Signal::derive(move || playback.preferences.is_theatre())
                        on_press=move |()| playback.preferences.toggle_theatre()
                    />
                </span>
                <FullscreenButton fullscreen=fullscreen />
                <Clip playback=playback />
            </div>
        </div>
    }
}

/// Download of the selected range, with its length.
#[component]
fn Clip(playback: Playback) -> impl IntoView {
    let length_ms = Memo::new(move |_| {
        let span = playback.clip_span()?;
        Some(span.end_ms - span.start_ms)
    });
    move || {
        let length_ms = length_ms.get()?;
        Some(view! {
            <span class="player-clip">
                <Button
                    label="Download clip"
                    text="Download clip"
                    glyph=Glyph::Download
                    on_press=move |()| playback.download_clip()
                />
                <span class="digits">{format::clock(length_ms)}</span>
                <Button label="Clear the range" glyph=Glyph::Close on_press=move |()| playback.clip.set(ClipRange::default()) />
            </span>
        })
    }
}

/// Buttons that every player has: play, back, forward and mute.
#[component]
pub(super) fn PlayButtons(
    is_playing: RwSignal<bool>,
    is_muted: RwSignal<bool>,
    #[prop(into)] on_toggle: Callback<()>,
    /// Moves by this many milliseconds.
    #[prop(into)]
    on_seek_by: Callback<i64>,
) -> impl IntoView {
    let play = Signal::derive(move || if is_playing.get() { "Pause" } else { "Play" });
    view! {
        <Button
            label=play
            key="K"
            glyph=Glyph::Play
            alternative=(Glyph::Pause, is_playing.into())
            on_press=on_toggle
        />
        <Button label="10 seconds back" key="J" glyph=Glyph::SkipBack on_press=move |()| on_seek_by.run(-10_000) />
        <Button label="10 seconds forward" key="L" glyph=Glyph::SkipForward on_press=move |()| on_seek_by.run(10_000) />
        <Button
            label="Mute"
            glyph=Glyph::Sound
            alternative=(Glyph::Muted, is_muted.into())
            pressed=Signal::derive(move || is_muted.get())
            on_press=move |()| is_muted.update(|is_muted| *is_muted = !*is_muted)
        />
    }
}

#[component]
pub(super) fn FullscreenButton(fullscreen: Fullscreen) -> impl IntoView {
    view! {
        <Button
            label="Fullscreen"
            key="F"
            glyph=Glyph::Fullscreen
            pressed=Signal::derive(move || fullscreen.is_on())
            on_press=move |()| fullscreen.toggle()
        />
    }
}

/// Button with an icon; the tooltip names its key.
#[component]
fn Button(
    #[prop(into)] label: Signal<&'static str>,
    #[prop(default = "")] key: &'static str,
    glyph: Glyph,
    /// Icon instead of `glyph`, and when it is shown.
    #[prop(optional)]
    alternative: Option<(Glyph, Signal<bool>)>,
    /// Whether the button is pressed, if it is a switch.
    #[prop(optional)]
    pressed: Option<Signal<bool>>,
    /// Visible text beside the icon.
    #[prop(default = "")]
    text: &'static str,
    #[prop(into)] on_press: Callback<()>,
) -> AnyView {
    let title = move || match key {
        "" => label.get().to_owned(),
        key => format!("{} ({key})", label.get()),
    };
    let glyph = move || match alternative {
        Some((other, is_shown)) if is_shown.get() => other,
        _ => glyph,
    };
    view! {
        <button
            type="button"
            class="player-button"
            aria-label=label
            title=title
            aria-pressed=move || pressed.map(|pressed| pressed.get().to_string())
            on:click=move |_| on_press.run(())
        >
            {move || view! { <Icon glyph=glyph() /> }}
            {text}
        </button>
    }
    .into_any()
}

#[component]
fn Volume(playback: Playback) -> impl IntoView {
    view! {
        <input
            type="range"
            class="player-volume"
            aria-label="Volume"
            min="0"
            max="100"
            step="5"
            prop:value=move || playback.preferences.volume().to_string()
            on:input=move |event| {
                if let Ok(volume) = event_target_value(&event).parse() {
                    playback.is_muted.set(false);
                    playback.preferences.set_volume(volume);
                }
            }
        />
    }
}

/// Position and duration, and the duration without idle spans.
#[component]
fn Times(playback: Playback) -> impl IntoView {
    // A memo, because the position changes with every frame.
    let seconds = Memo::new(move |_| playback.position_ms.get() / 1000);
    let active = move || {
        let active =
            |review: &Review| Some(position::active(review.active_ms?, review.duration_ms));
        playback.review.with(active)
    };
    view! {
        <span class="player-times digits">
            <span>{move || position::of_duration(seconds.get() * 1000, playback.duration_ms())}</span>
            <span class="player-active">{active}</span>
        </span>
    }
}

#[component]
fn Speed(playback: Playback) -> impl IntoView {
    let options = speed::SPEEDS.map(|offered| {
        view! {
            <option value=offered.to_string() prop:selected=move || playback.preferences.speed() == offered>
                {speed::label(offered)}
            </option>
        }
    });
    view! {
        <select
            class="player-speed"
            aria-label="Speed"
            title="Speed ([ and ])"
            on:change=move |event| {
                if let Some(speed) = speed::parse(&event_target_value(&event)) {
                    playback.preferences.set_speed(speed);
                }
            }
        >
            {options.into_iter().collect_view()}
        </select>
    }
}
