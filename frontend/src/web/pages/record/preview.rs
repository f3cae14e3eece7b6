use leptos::html;
use leptos::prelude::*;
use sortie_client::State;

use crate::web::components::{Glyph, Icon};
use crate::web::recorder_store::{RecorderStore, VideoSource};

/// Preview area, before and during a recording.
#[component]
pub(super) fn PreviewArea() -> impl IntoView {
    let recorder = RecorderStore::expect();
    let has_picture = Memo::new(move |_| recorder.stream.with(Option::is_some));
    let is_mirrored =
        Memo::new(move |_| has_picture.get() && recorder.video_source.get() == VideoSource::Camera);
    view! {
        <div class="stage record-stage" class:record-stage-empty=move || !has_picture.get()>
            <Show when=move || has_picture.get() fallback=Placeholder>
                <Preview is_mirrored=is_mirrored />
            </Show>
            <Show when=move || matches!(recorder.state.get(), State::Recording | State::Paused)>
                <p class="on-air" class:on-air-paused=move || !recorder.is_live() aria-hidden="true">
                    <span class="live-dot" class:live-dot-still=move || !recorder.is_live()></span>
                    {move || if recorder.is_live() { "Recording" } else { "Paused" }}
                </p>
            </Show>
        </div>
    }
}

/// Muted preview: its sound would feed back into the microphone.
#[component]
fn Preview(is_mirrored: Memo<bool>) -> impl IntoView {
    let recorder = RecorderStore::expect();
    let video = NodeRef::<html::Video>::new();
    Effect::new(move |_| {
        let Some(video) = video.get() else { return };
        // The attribute alone does not mute an element created by a script.
        video.set_muted(true);
        video.set_src_object(recorder.stream.get().as_ref());
    });
    view! {
        <video
            node_ref=video
            class="stage-video"
            class:stage-video-mirrored=is_mirrored
            autoplay
            muted
            playsinline
            aria-label="Preview of what is recorded"
        ></video>
    }
}

#[component]
fn Placeholder() -> impl IntoView {
    let recorder = RecorderStore::expect();
    let is_sending = move || matches!(recorder.state.get(), State::Stopping | State::Uploading);
    view! {
        <div class="stage-message">
            <Show
                when=is_sending
                fallback=move || {
                    view! {
                        <Icon glyph=Glyph::Film />
                        <p>
                            {move || {
                                if recorder.is_opening.get() {
                                    "Choose in the browser's dialog what to share."
                                } else {
                                    "The preview appears here."
                                }
                            }}
                        </p>
                    }
                }
            >
                <span class="spinner" aria-hidden="true"></span>
                <p>"Uploading the last part…"</p>
            </Show>
        </div>
    }
}
