use std::collections::BTreeMap;

use gloo_net::http::Method;
use leptos::ev;
use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos::wasm_bindgen::JsCast;
use serde::Serialize;
use sortie_api::{Marker, MarkerUpdate, NewMarker};
use web_sys::HtmlElement;

use super::playback::Playback;
use crate::format;
use crate::player::marker_list::{self, PlacedMarker};
use crate::web::api::{item_path, recording_path};
use crate::web::app_context::AppContext;
use crate::web::components::{Confirmation, Glyph, Icon, removing};
use crate::web::dom;
use crate::web::submission::Submission;

/// Longest text of a marker.
const TEXT_MAX: &str = "500";
const HEADING: &str = "markers-heading";

/// Body of a request.
#[derive(Serialize)]
#[serde(untagged)]
enum Body {
    New(NewMarker),
    Update(MarkerUpdate),
}

/// Markers of all parts.
#[derive(Clone, Copy)]
pub(super) struct Markers {
    app: AppContext,
    playback: Playback,
    /// Markers of each part, by recording ID.
    by_part: RwSignal<BTreeMap<String, Vec<Marker>>>,
    pub(super) placed: Memo<Vec<PlacedMarker>>,
    /// Whether the server has markers; older ones do not.
    pub(super) is_supported: RwSignal<bool>,
    /// Position of the marker that is being added.
    adding: RwSignal<Option<u64>>,
    /// ID of the marker that is being renamed.
    renaming: RwSignal<Option<String>>,
    submission: Submission,
    confirmation: RwSignal<Option<Confirmation>>,
    /// Element that had the focus before the form.
    focused: StoredValue<Option<HtmlElement>, LocalStorage>,
}

impl Markers {
    /// Creates the list and loads the markers of all parts.
    pub(super) fn new(playback: Playback, confirmation: RwSignal<Option<Confirmation>>) -> Self {
        let by_part = RwSignal::new(BTreeMap::new());
        let timeline = playback.timeline;
        let markers = Self {
            app: AppContext::expect(),
            playback,
            by_part,
            placed: Memo::new(move |_| {
                timeline.with(|parts| by_part.with(|markers| marker_list::place(parts, markers)))
            }),
            is_supported: RwSignal::new(false),
            adding: RwSignal::new(None),
            renaming: RwSignal::new(None),
            submission: Submission::new(),
            confirmation,
            focused: StoredValue::new_local(None),
        };
        super::for_each_part(timeline, move |id| markers.load(id));
        markers
    }

    fn load(self, id: String) {
        spawn_local(async move {
            let answer = self.app.api().get::<Vec<Marker>>(&markers_path(&id)).await;
            // Without an answer the player works as with a server that has no markers.
            if let Ok(markers) = answer {
                self.is_supported.try_set(true);
                self.by_part
                    .try_update(|by_part| by_part.insert(id, markers));
            }
        });
    }

    /// Opens the form for a marker at the current position.
    pub(super) fn begin(self) {
        if self.is_supported.get_untracked() {
            self.submission.problem.set(None);
            let focused = document().active_element();
            self.focused
                .set_value(focused.and_then(|element| element.dyn_into().ok()));
            self.adding
                .set(Some(self.playback.position_ms.get_untracked()));
        }
    }

    /// Closes the form and returns the focus.
    fn end(self) {
        self.adding.set(None);
        if let Some(element) = self.focused.try_update_value(Option::take).flatten() {
            let _ = element.focus();
        }
    }

    fn add(self, position_ms: u64, text: String) {
        let Some((part, time_ms)) = self.playback.part_at(position_ms) else {
            return;
        };
        let body = Body::New(NewMarker {
            time_ms,
            text,
            ..NewMarker::default()
        });
        self.send(Method::POST, markers_path(&part.id), body, move |marker| {
            self.end();
            self.change(&part.id, |markers| markers.push(marker));
            self.playback.show_message("Marker added");
        });
    }

    fn rename(self, placed: PlacedMarker, text: String) {
        let body = Body::Update(MarkerUpdate {
            text: Some(text),
            ..MarkerUpdate::default()
        });
        self.send(Method::PATCH, marker_path(&placed), body, move |fresh| {
            self.end_renaming(&fresh.id);
            self.change(&placed.part_id, |markers| {
                for marker in markers.iter_mut().filter(|marker| marker.id == fresh.id) {
                    marker.clone_from(&fresh);
                }
            });
        });
    }

    fn send(self, method: Method, path: String, body: Body, done: impl FnOnce(Marker) + 'static) {
        // Boxed, so that the request is compiled once.
        let done: Box<dyn FnOnce(Marker)> = Box::new(done);
        self.submission.send(
            move |api| async move { api.request::<Marker>(method, &path, &body).await },
            done,
        );
    }

    /// Closes the field and returns the focus to the marker.
    fn end_renaming(self, id: &str) {
        self.renaming.set(None);
        let id = row_id(id);
        request_animation_frame(move || dom::focus(&id));
    }

    fn ask_to_delete(self, placed: PlacedMarker) {
        let work = removing(marker_path(&placed));
        self.confirmation.set(Some(Confirmation {
            heading: "Delete this marker?".to_owned(),
            subject: marker_list::label(&placed.marker).to_owned(),
            consequence: format!("at {} will be deleted.", format::clock(placed.position_ms)),
            action: "Delete",
            second: None,
            work,
            done: std::sync::Arc::new(move || {
                self.change(&placed.part_id, |markers| {
                    markers.retain(|marker| marker.id != placed.marker.id)
                });
                // The focused button was removed.
                dom::focus(HEADING);
            }),
        }));
    }

    fn change(self, part_id: &str, change: impl FnOnce(&mut Vec<Marker>)) {
        self.by_part
            .try_update(|by_part| by_part.get_mut(part_id).map(change));
    }
}

fn markers_path(recording_id: &str) -> String {
    recording_path(recording_id) + "/markers"
}

fn marker_path(placed: &PlacedMarker) -> String {
    item_path(&markers_path(&placed.part_id), &placed.marker.id)
}

/// ID of the button that seeks to a marker.
fn row_id(marker_id: &str) -> String {
    format!("marker-{marker_id}")
}

/// Form over the video for the text of a new marker. It is part of the stage, so that it is visible in fullscreen.
#[component]
pub(super) fn MarkerForm(markers: Markers) -> impl IntoView {
    move || {
        let position_ms = markers.adding.get()?;
        let clock = format::clock(position_ms);
        Some(view! {
            <div class="marker-form">
                <TextForm
                    label=format!("Marker at {clock}")
                    text=String::new()
                    action="Add"
                    markers=markers
                    on_submit=move |text| markers.add(position_ms, text)
                    on_cancel=move |()| markers.end()
                />
            </div>
        })
    }
}

/// Text field with two buttons; Escape cancels.
#[component]
fn TextForm(
    label: String,
    text: String,
    action: &'static str,
    markers: Markers,
    #[prop(into)] on_submit: Callback<String>,
    #[prop(into)] on_cancel: Callback<()>,
) -> impl IntoView {
    let field = NodeRef::<html::Input>::new();
    Effect::new(move |_| {
        if let Some(field) = field.get() {
            // After the element is in the document.
            request_animation_frame(move || {
                let _ = field.focus();
                field.select();
            });
        }
    });
    let submit = move |event: ev::SubmitEvent| {
        event.prevent_default();
        if let Some(field) = field.get_untracked() {
            on_submit.run(field.value().trim().to_owned());
        }
    };
    let on_key = move |event: ev::KeyboardEvent| {
        if event.key() == "Escape" {
            event.prevent_default();
            on_cancel.run(());
        }
    };
    view! {
        <form class="text-form" on:submit=submit on:keydown=on_key>
            <label>
                <span>{label}</span>
                <input node_ref=field class="input" type="text" maxlength=TEXT_MAX autocomplete="off" value=text />
            </label>
            <button type="submit" class="button button-primary" disabled=markers.submission.is_busy>
                {action}
            </button>
            <button type="button" class="button" on:click=move |_| on_cancel.run(())>
                "Cancel"
            </button>
            <p class="problem-text" role="alert">
                {markers.submission.problem}
            </p>
        </form>
    }
}

/// List of the markers; a click seeks.
#[component]
pub(super) fn MarkerList(markers: Markers) -> impl IntoView {
    let rows = move || {
        let rows = markers.placed.get().into_iter();
        let rows: Vec<_> = rows.map(|placed| marker_row(markers, placed)).collect();
        if rows.is_empty() {
            view! { <p class="quiet">"No markers yet. Press M to add one."</p> }.into_any()
        } else {
            view! { <ol>{rows}</ol> }.into_any()
        }
    };
    move || {
        markers.is_supported.get().then(|| {
            view! {
                <section class="markers" aria-labelledby=HEADING>
                    <div class="panel-head">
                        <h2 id=HEADING tabindex="-1">
                            "Markers"
                        </h2>
                        <button type="button" class="button button-quiet" on:click=move |_| markers.begin()>
                            <Icon glyph=Glyph::Flag />
                            "Add"
                        </button>
                    </div>
                    {rows}
                </section>
            }
        })
    }
}

fn marker_row(markers: Markers, placed: PlacedMarker) -> AnyView {
    let position_ms = placed.position_ms;
    let is_editable = marker_list::is_editable(&placed.marker);
    let placed = StoredValue::new(placed);
    let content = move || {
        let PlacedMarker { marker, .. } = placed.get_value();
        let is_renaming = markers.renaming.with(|id| id.as_ref() == Some(&marker.id));
        if is_renaming {
            let id = marker.id.clone();
            return view! {
                <TextForm
                    label=format!("Text of the marker at {}", format::clock(position_ms))
                    text=marker.text
                    action="Save"
                    markers=markers
                    on_submit=move |text| markers.rename(placed.get_value(), text)
                    on_cancel=move |()| markers.end_renaming(&id)
                />
            }
            .into_any();
        }
        let label = marker_list::label(&marker).to_owned();
        let title = label.clone();
        let begin = move |()| {
            markers.submission.problem.set(None);
            markers
                .renaming
                .set(Some(placed.with_value(|placed| placed.marker.id.clone())));
        };
        let edit = is_editable.then(|| {
            vec![
                edit_button("Rename", &label, Glyph::Pencil, Callback::new(begin)),
                edit_button(
                    "Delete",
                    &label,
                    Glyph::Trash,
                    Callback::new(move |()| markers.ask_to_delete(placed.get_value())),
                ),
            ]
        });
        view! {
            <button
                type="button"
                id=row_id(&marker.id)
                class="marker-seek"
                title=title
                on:click=move |_| markers.playback.seek(position_ms)
            >
                <span class="digits">{format::clock(position_ms)}</span>
                <bdi class="marker-text">{label}</bdi>
            </button>
            {edit}
        }
        .into_any()
    };
    view! {
        <li class="marker" class:marker-automatic=!is_editable>
            {content}
        </li>
    }
    .into_any()
}

fn edit_button(action: &'static str, label: &str, glyph: Glyph, on_press: Callback<()>) -> AnyView {
    view! {
        <button
            type="button"
            class="button button-quiet"
            aria-label=format!("{action} {label}")
            title=action
            on:click=move |_| on_press.run(())
        >
            <Icon glyph=glyph />
        </button>
    }
    .into_any()
}
