use leptos::ev;
use leptos::prelude::*;
use sortie_client::State;

use crate::format;
use crate::player::key_map::Focus;
use crate::web::components::{Glyph, Icon};
use crate::web::pages::player::shortcuts::{focus, has_modifier};
use crate::web::recorder_store::{RecorderStore, VideoSource};

/// Buttons below the preview.
#[component]
pub(super) fn Controls() -> impl IntoView {
    let recorder = RecorderStore::expect();
    let is_capturing = Memo::new(move |_| recorder.state.get().is_capturing());
    let is_over =
        Memo::new(move |_| matches!(recorder.state.get(), State::Stopping | State::Uploading));
    view! {
        <div class="controls">
            <Show when=move || !is_over.get()>
                <Show when=move || is_capturing.get() fallback=Begin>
                    <Running />
                </Show>
            </Show>
        </div>
    }
}

#[component]
fn Begin() -> impl IntoView {
    let recorder = RecorderStore::expect();
    let is_busy =
        Memo::new(move |_| recorder.is_opening.get() || recorder.state.get() == State::Starting);
    let has_picture = Memo::new(move |_| recorder.stream.with(Option::is_some));
    view! {
        <button type="button" class="button button-record" disabled=is_busy on:click=move |_| recorder.start()>
            <Icon glyph=Glyph::Record />
            "Start recording"
        </button>
        <Show
            when=move || has_picture.get()
            fallback=move || {
                view! {
                    <button
                        type="button"
                        class="button button-round"
                        disabled=is_busy
                        on:click=move |_| recorder.open_preview()
                    >
                        "Preview first"
                    </button>
                }
            }
        >
            <Show when=move || recorder.video_source.get() == VideoSource::Screen>
                <button
                    type="button"
                    class="button button-round"
                    disabled=is_busy
                    on:click=move |_| recorder.open_preview()
                >
                    "Choose another"
                </button>
            </Show>
            <button
                type="button"
                class="button button-round"
                disabled=is_busy
                on:click=move |_| recorder.close_preview()
            >
                "Close preview"
            </button>
        </Show>
    }
}

#[component]
fn Running() -> impl IntoView {
    let recorder = RecorderStore::expect();
    let listener = window_event_listener(ev::keydown, move |event| {
        let is_mark = event.key().eq_ignore_ascii_case("m") && !has_modifier(&event);
        if is_mark
            && !event.repeat()
            && !event.default_prevented()
            && !matches!(focus(&event), Focus::Text | Focus::Choice)
        {
            event.prevent_default();
            recorder.mark();
        }
    });
    on_cleanup(move || listener.remove());
    view! {
        <button type="button" class="button button-record" on:click=move |_| recorder.stop()>
            <Icon glyph=Glyph::Stop />
            "Stop recording"
        </button>
        <button type="button" class="button button-round" on:click=move |_| recorder.pause_or_resume()>
            {move || {
                if recorder.is_live() {
                    view! { <Icon glyph=Glyph::Pause /> "Pause" }.into_any()
                } else {
                    view! { <Icon glyph=Glyph::Play /> "Resume" }.into_any()
                }
            }}
        </button>
        <button
            type="button"
            class="button button-round"
            aria-keyshortcuts="M"
            title="Add a marker (M)"
            on:click=move |_| recorder.mark()
        >
            <Icon glyph=Glyph::Flag />
            "Add marker"
        </button>
        <p class="clock digits" role="timer" aria-label="Recorded">
            {move || format::clock(recorder.recorded_ms())}
        </p>
        <p class="quiet controls-message" role="status">
            {move || recorder.marked.get()}
        </p>
    }
}
