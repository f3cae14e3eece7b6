use leptos::ev;
use leptos::prelude::*;
use leptos::wasm_bindgen::JsCast;
use web_sys::HtmlInputElement;

use super::fullscreen::Fullscreen;
use super::markers::Markers;
use super::playback::Playback;
use crate::player::key_map::{self, Action, Focus, HELP};
use crate::player::{marker_list, speed};
use crate::web::components::FormDialog;

/// Handles the keys of the page until the component is disposed.
pub(super) fn listen(
    playback: Playback,
    markers: Markers,
    fullscreen: Fullscreen,
    on_copy_link: Callback<()>,
    on_help: Callback<()>,
) {
    let listener = window_event_listener(ev::keydown, move |event| {
        if event.default_prevented() || has_modifier(&event) {
            return;
        }
        let Some(action) = key_map::action(&event.key(), focus(&event)) else {
            return;
        };
        event.prevent_default();
        if event.repeat() && !action.repeats() {
            return;
        }
        fullscreen.show_controls();
        match action {
            Action::TogglePlayback => playback.toggle(),
            Action::SeekBy(_) | Action::SeekToTenth(_) | Action::StepFrame(_) => {
                seek(playback, action)
            }
            Action::NextMarker => {
                seek_marker(playback, markers, marker_list::next, "No further marker")
            }
            Action::PreviousMarker => {
                seek_marker(
                    playback,
                    markers,
                    marker_list::previous,
                    "No earlier marker",
                );
            }
            Action::AddMarker => markers.begin(),
            Action::StartClip => playback.start_clip(),
            Action::EndClip => playback.end_clip(),
            Action::Slower => playback.change_speed(speed::slower),
            Action::Faster => playback.change_speed(speed::faster),
            Action::ToggleFullscreen => fullscreen.toggle(),
            Action::ToggleTheatre => playback.preferences.toggle_theatre(),
            Action::CopyLink => on_copy_link.run(()),
            Action::Help => on_help.run(()),
        }
    });
    on_cleanup(move || listener.remove());
}

/// Runs an action that changes the position; ignores others.
pub(super) fn seek(playback: Playback, action: Action) {
    match action {
        Action::SeekBy(by_ms) => playback.seek_by(by_ms),
        Action::SeekToTenth(tenth) => playback.seek_to_tenth(tenth),
        Action::StepFrame(direction) => playback.step_frame(direction),
        _ => {}
    }
}

fn seek_marker(
    playback: Playback,
    markers: Markers,
    find: fn(&[marker_list::PlacedMarker], u64) -> Option<&marker_list::PlacedMarker>,
    otherwise: &str,
) {
    let position_ms = playback.position_ms.get_untracked();
    let found = markers.placed.with_untracked(|placed| {
        let found = find(placed, position_ms)?;
        Some((
            found.position_ms,
            marker_list::label(&found.marker).to_owned(),
        ))
    });
    match found {
        Some((target_ms, label)) => {
            playback.seek(target_ms);
            playback.show_message(&label);
        }
        None => playback.show_message(otherwise),
    }
}

pub(in crate::web::pages) fn has_modifier(event: &ev::KeyboardEvent) -> bool {
    event.ctrl_key() || event.alt_key() || event.meta_key()
}

/// Classifies the focused element.
pub(in crate::web::pages) fn focus(event: &ev::KeyboardEvent) -> Focus {
    let element = event
        .target()
        .and_then(|target| target.dyn_into::<web_sys::Element>().ok());
    let is = |selector: &str| {
        let element = element.as_ref();
        element.is_some_and(|element| matches!(element.closest(selector), Ok(Some(_))))
    };
    let is_dialog_open = matches!(document().query_selector("dialog[open]"), Ok(Some(_)));
    if is_dialog_open || is("textarea, [contenteditable]") {
        return Focus::Text;
    }
    let input = element
        .as_ref()
        .and_then(|element| element.dyn_ref::<HtmlInputElement>());
    match input.map(HtmlInputElement::type_).as_deref() {
        Some("range" | "checkbox" | "radio") => Focus::Choice,
        Some(_) => Focus::Text,
        None if is("select") => Focus::Choice,
        None if is("button, a, summary") => Focus::Button,
        None => Focus::Page,
    }
}

/// Keys with their meaning.
type Keys = &'static [(&'static [&'static str], &'static str)];

/// List of the keys.
#[component]
pub(in crate::web::pages) fn Help(
    is_open: RwSignal<bool>,
    #[prop(default = &HELP)] keys: Keys,
) -> impl IntoView {
    let rows = move || {
        let rows = keys.iter().map(|(keys, meaning)| {
            let keys = keys
                .iter()
                .map(|key| view! { <kbd>{*key}</kbd> })
                .collect_view();
            view! {
                <div>
                    <dt>{keys}</dt>
                    <dd>{*meaning}</dd>
                </div>
            }
        });
        rows.collect_view()
    };
    view! {
        <FormDialog is_open=is_open.into() on_close=move |()| is_open.set(false) named_by="keys-heading">
            <h2 id="keys-heading">"Keys"</h2>
            <dl class="keys">{rows()}</dl>
            <div class="dialog-actions">
                <button type="button" class="button" on:click=move |_| is_open.set(false)>
                    "Close"
                </button>
            </div>
        </FormDialog>
    }
}
