use leptos::prelude::*;

use crate::web::components::{Glyph, Icon};
use crate::web::recorder_store::{RecorderStore, VideoSource};

/// Choice of video source and audio.
#[component]
pub(super) fn SourceOptions() -> impl IntoView {
    let recorder = RecorderStore::expect();
    let is_screen = Memo::new(move |_| recorder.video_source.get() == VideoSource::Screen);
    // Closes the preview, because it shows the previous source.
    let choose = move |picture| {
        recorder.video_source.set(picture);
        recorder.close_preview();
    };
    view! {
        <fieldset class="setup">
            <legend>"Source"</legend>
            <Show when=move || recorder.has_screen>
                <Choice
                    id="source-screen"
                    glyph=Glyph::Screen
                    label="Screen, window or tab"
                    hint="The browser asks which one"
                    checked=is_screen
                    on_choose=move |()| choose(VideoSource::Screen)
                />
            </Show>
            <Choice
                id="source-camera"
                glyph=Glyph::Camera
                label="Camera"
                hint="The one chosen in the browser"
                checked=Signal::derive(move || !is_screen.get())
                on_choose=move |()| choose(VideoSource::Camera)
            />
            <Show when=move || !recorder.has_screen>
                <p class="setup-hint">
                    <Icon glyph=Glyph::Info />
                    "This browser cannot record the screen; phones and tablets do not offer it. Use a computer for that."
                </p>
            </Show>
        </fieldset>
        <fieldset class="setup">
            <legend>"Audio"</legend>
            <Show when=move || is_screen.get()>
                <Switch
                    id="with-sound"
                    glyph=Glyph::Sound
                    label="Tab or system sound"
                    checked=recorder.with_audio
                    on_change=move |()| recorder.close_preview()
                />
            </Show>
            <Switch
                id="with-microphone"
                glyph=Glyph::Microphone
                label="Microphone"
                checked=recorder.with_microphone
                on_change=move |()| recorder.close_preview()
            />
        </fieldset>
    }
}

/// Radio button of a source.
#[component]
fn Choice(
    id: &'static str,
    glyph: Glyph,
    label: &'static str,
    hint: &'static str,
    #[prop(into)] checked: Signal<bool>,
    #[prop(into)] on_choose: Callback<()>,
) -> impl IntoView {
    let hint_id = format!("{id}-hint");
    view! {
        <div class="choice">
            <input
                type="radio"
                name="source"
                id=id
                aria-describedby=hint_id.clone()
                prop:checked=checked
                on:change=move |_| on_choose.run(())
            />
            <label for=id>
                <Icon glyph=glyph />
                <span>{label}</span>
            </label>
            <p id=hint_id class="choice-hint">
                {hint}
            </p>
        </div>
    }
}

/// Check box of an audio source.
#[component]
fn Switch(
    id: &'static str,
    glyph: Glyph,
    label: &'static str,
    checked: RwSignal<bool>,
    #[prop(into)] on_change: Callback<()>,
) -> impl IntoView {
    view! {
        <div class="switch">
            <label for=id>
                <Icon glyph=glyph />
                <span>{label}</span>
            </label>
            <input
                type="checkbox"
                id=id
                prop:checked=checked
                on:change=move |event| {
                    checked.set(event_target_checked(&event));
                    on_change.run(());
                }
            />
        </div>
    }
}
