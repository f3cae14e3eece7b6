use leptos::either::Either;
use leptos::ev;
use leptos::html;
use leptos::prelude::*;
use sortie_api::{Recording, RecordingStatus};

use super::poster::{Poster, PosterPicture};
use super::store::{RecordingsStore, Scope, is_in_progress, row_id};
use crate::status_texts;
use crate::web::address::Link;
use crate::web::api;
use crate::web::app_context::AppContext;
use crate::web::components::{Duration, Glyph, Icon};
use crate::web::dom;
use crate::web::download;
use crate::{format, parts};

/// Row of a recording. It reads its recording from the store, so that an update neither moves the focus nor re-renders
/// other rows.
#[component]
pub(super) fn RecordingRow(
    store: RecordingsStore,
    /// The recording when the row was created.
    first: Recording,
) -> impl IntoView {
    let id = StoredValue::new(first.id.clone());
    let row = current(store, &first);
    let is_appliance = store.scope == Scope::Appliance;
    let title = Memo::new(move |_| {
        row.with(|row| match (&row.title, is_appliance) {
            (None, true) => row.filename.clone(),
            _ => dom::title(row),
        })
    });
    // The recorder of an appliance refuses changes to its file in progress.
    let is_fixed = Memo::new(move |_| {
        let is_open =
            row.with(|row| row.status != RecordingStatus::Ready && row.completed_at.is_none());
        is_appliance && is_open
    });
    let duration_ms = Memo::new(move |_| row.with(parts::duration_ms));
    let size_bytes = Memo::new(move |_| row.with(parts::size_bytes));
    let is_selected = Memo::new(move |_| store.is_selected(&id.get_value()));
    let is_all = store.scope == Scope::All;
    let owner = first
        .username
        .clone()
        .unwrap_or_else(|| first.user_id.clone());
    let created_at = StoredValue::new(first.created_at.clone());
    let poster = Poster::new(row);
    let on_check = move |event: ev::MouseEvent| {
        let is_range = event.shift_key();
        store.select(&id.get_value(), event_target_checked(&event), is_range);
    };
    let ids = is_all.then(|| {
        view! {
            <td role="cell" class="cell-id" title=first.id.clone()>
                {first.id.clone()}
            </td>
            <td role="cell" class="cell-session" title=first.session_id.clone()>
                {first.session_id.clone()}
            </td>
            <td role="cell" class="cell-user" title=owner.clone()>
                <bdi>{owner.clone()}</bdi>
            </td>
        }
    });
    view! {
        <tr
            role="row"
            class="row"
            data-row=id.get_value()
            class:row-selected=move || is_selected.get()
            on:pointermove=move |event| poster.on_pointer(&event)
            on:pointerleave=move |_| poster.leave()
        >
            <td role="cell" class="cell-check">
                <input
                    type="checkbox"
                    hidden=move || is_fixed.get()
                    aria-label=move || format!("Select {}", title.get())
                    prop:checked=move || is_selected.get()
                    on:click=on_check
                />
            </td>
            <td role="cell" class="cell-poster">
                <PosterPicture poster=poster />
            </td>
            <td role="cell" class="cell-name">
                <Name store=store id=first.id.clone() title=title />
            </td>
            {ids}
            <td role="cell" class="cell-when">
                <time
                    datetime=first.created_at.clone()
                    title=move || created_at.with_value(|at| dom::local_time(at))
                >
                    {move || created_at.with_value(|at| dom::local_age(at, store.now_ms.get()))}
                </time>
            </td>
            <td role="cell" class="number cell-duration">
                <Duration duration_ms=duration_ms />
            </td>
            <td role="cell" class="number cell-size">
                {move || format::size(size_bytes.get())}
            </td>
            <td role="cell" class="cell-status">
                <Status row=row />
            </td>
            <Actions store=store row=row first=first.clone() name=title.into() is_fixed=is_fixed />
        </tr>
    }
}

/// Returns the current state of a row. A deleted row keeps its last content until it is removed.
fn current(store: RecordingsStore, first: &Recording) -> Memo<Recording> {
    let id = first.id.clone();
    let last = first.clone();
    Memo::new(move |_| store.row(&id).unwrap_or_else(|| last.clone()))
}

/// Title with a link to the player; a text field while it is edited.
#[component]
fn Name(store: RecordingsStore, id: String, title: Memo<String>) -> impl IntoView {
    let id = StoredValue::new(id);
    let is_renaming = Memo::new(move |_| {
        id.with_value(|id| {
            store
                .renaming
                .with(|renaming| renaming.as_ref() == Some(id))
        })
    });
    let link = move || {
        view! {
            <Link
                to=format!("/recordings/{}", id.get_value())
                attr:class="row-link"
                attr:id=row_id(&id.get_value())
                attr:title=move || title.get()
            >
                <bdi>{title}</bdi>
            </Link>
        }
    };
    move || {
        if is_renaming.get() {
            Either::Left(view! { <TitleField store=store id=id title=title.get_untracked() /> })
        } else {
            Either::Right(link())
        }
    }
}

/// Field for a new title: Enter and leaving it save, Escape does not.
#[component]
fn TitleField(store: RecordingsStore, id: StoredValue<String>, title: String) -> impl IntoView {
    let input = NodeRef::<html::Input>::new();
    let is_open = StoredValue::new(true);
    Effect::new(move |_| {
        if let Some(input) = input.get() {
            let _ = input.focus();
            input.select();
        }
    });
    let close = move |saves: bool| {
        // Removing the focused field blurs it.
        if is_open.try_update_value(|is_open| std::mem::replace(is_open, false)) != Some(true) {
            return false;
        }
        if saves && let Some(input) = input.get_untracked() {
            store.rename(id.get_value(), &input.value());
        }
        store.renaming.set(None);
        true
    };
    let on_key = move |event: ev::KeyboardEvent| {
        let saves = match event.key().as_str() {
            // Enter also ends a composition of characters.
            "Enter" if !event.is_composing() => true,
            "Escape" => false,
            _ => return,
        };
        event.prevent_default();
        let row = row_id(&id.get_value());
        if close(saves) {
            // The link is rendered next.
            request_animation_frame(move || dom::focus_in_place(&row));
        }
    };
    view! {
        <input
            node_ref=input
            class="input input-title"
            type="text"
            maxlength="200"
            aria-label="Title"
            value=title
            on:keydown=on_key
            on:blur=move |_| {
                close(true);
            }
        />
    }
}

/// Status, protection, progress and reason of a failure. Only exceptions are visible: an ordinary status is for screen
/// readers.
#[component]
fn Status(row: Memo<Recording>) -> impl IntoView {
    let status = Memo::new(move |_| row.with(|row| row.status));
    let interrupted = Memo::new(move |_| row.with(|row| row.interrupted));
    let is_protected = Memo::new(move |_| row.with(|row| row.protected));
    let parts = Memo::new(move |_| row.with(parts::count));
    let is_in_progress = Memo::new(move |_| is_in_progress(status.get()));
    let remark = Memo::new(move |_| {
        row.with(|row| match row.status {
            _ if row.deleting => Some("Deleting… storage is not responding; retrying.".to_owned()),
            RecordingStatus::Failed => Some(status_texts::failure(row)),
            RecordingStatus::Trashed => row
                .expires_at
                .as_deref()
                .map(|at| format!("until {}", dom::local_time(at))),
            _ => row.note.clone(),
        })
    });
    view! {
        <span
            class=move || format!("badge badge-{}", status_texts::status_class(status.get()))
            class:visually-hidden=move || status.get() == RecordingStatus::Ready
        >
            <span class="badge-dot" aria-hidden="true"></span>
            <span class="badge-word">{move || status_texts::status(status.get())}</span>
        </span>
        <Show when=move || interrupted.get()>
            <span
                class="badge badge-interrupted"
                title="The connection was lost. Everything received until then was kept."
            >
                "Interrupted"
            </span>
        </Show>
        <Show when=move || is_protected.get()>
            <span class="row-lock" title="Protected from automatic deletion">
                <Icon glyph=Glyph::Lock />
                <span class="visually-hidden">"Protected"</span>
            </span>
        </Show>
        // The total size is unknown until the upload ends, so there is no percentage.
        <Show when=move || is_in_progress.get()>
            <progress class="progress progress-row" aria-label="In progress"></progress>
        </Show>
        {move || parts.get().map(|parts| view! { <span class="badge badge-parts">{parts}</span> })}
        {move || {
            remark
                .get()
                .map(|remark| {
                    view! {
                        <span class="row-note quiet" title=remark.clone()>
                            {remark.clone()}
                        </span>
                    }
                })
        }}
    }
}

/// Actions of a row: buttons while it has the pointer or the focus, a menu on touch screens.
#[component]
fn Actions(
    store: RecordingsStore,
    row: Memo<Recording>,
    first: Recording,
    /// Name of the recording for screen readers.
    name: Signal<String>,
    /// Whether the recording cannot be changed now.
    is_fixed: Memo<bool>,
) -> impl IntoView {
    let file = Memo::new(move |_| {
        row.with(|row| match row.status {
            RecordingStatus::Ready => Some(("Download", "Download", api::download_url(&row.id))),
            RecordingStatus::Failed if !row.deleting => Some((
                "Download what arrived",
                "Download what arrived of",
                api::raw_url(&row.id),
            )),
            _ => None,
        })
    });
    let is_protected = Memo::new(move |_| row.with(|row| row.protected));
    let is_trashed = Memo::new(move |_| row.with(|row| row.status == RecordingStatus::Trashed));
    let id = StoredValue::new(first.id.clone());
    let is_open = Memo::new(move |_| {
        id.with_value(|id| store.open_menu.with(|open| open.as_ref() == Some(id)))
    });
    let close = move || store.open_menu.set(None);
    let first = StoredValue::new(first);
    view! {
        <td role="cell" class="cell-actions" class:cell-actions-none=move || is_fixed.get()>
            <button
                type="button"
                hidden=move || is_fixed.get()
                id=format!("more-{}", id.get_value())
                class="button button-quiet row-more"
                aria-label=move || format!("Actions for {}", name.get())
                aria-expanded=move || is_open.get().to_string()
                on:click=move |_| {
                    store.open_menu.set((!is_open.get_untracked()).then(|| id.get_value()));
                }
            >
                <Icon glyph=Glyph::More />
            </button>
            <div class="row-actions" hidden=move || is_fixed.get() class:row-actions-open=move || is_open.get()>
                <Show when=move || is_trashed.get()>
                    <button
                        type="button"
                        class="button button-quiet"
                        aria-label=move || format!("Restore {}", name.get())
                        title="Restore"
                        on:click=move |_| {
                            close();
                            store.restore(vec![id.get_value()]);
                        }
                    >
                        <Icon glyph=Glyph::Undo />
                        <span class="action-word">"Restore"</span>
                    </button>
                </Show>
                <button
                    type="button"
                    class="button button-quiet"
                    hidden=move || is_trashed.get()
                    aria-label=move || format!("Rename {}", name.get())
                    title="Rename"
                    on:click=move |_| {
                        close();
                        store.renaming.set(Some(id.get_value()));
                    }
                >
                    <Icon glyph=Glyph::Pencil />
                    <span class="action-word">"Rename"</span>
                </button>
                <button
                    type="button"
                    class="button button-quiet button-toggle"
                    hidden=move || is_trashed.get()
                    aria-label=move || format!("Protect {}", name.get())
                    title="Protected from automatic deletion"
                    aria-pressed=move || is_protected.get().to_string()
                    on:click=move |_| {
                        close();
                        store.protect(id.get_value(), !is_protected.get_untracked());
                    }
                >
                    <Icon glyph=Glyph::Lock />
                    <span class="action-word">"Protect"</span>
                </button>
                {move || file.get().map(|(label, spoken, address)| view! {
                    <DownloadLink store=store first=first.get_value() name=name label=label spoken=spoken address=address />
                })}
                <button
                    type="button"
                    class="button button-quiet"
                    aria-label=move || format!("Delete {}", name.get())
                    title="Delete"
                    on:click=move |_| {
                        close();
                        store.ask_to_delete(&[row.get_untracked()]);
                    }
                >
                    <Icon glyph=Glyph::Trash />
                    <span class="action-word">"Delete"</span>
                </button>
            </div>
        </td>
    }
}

/// Link to the file of a recording, or to the received bytes of a failed one.
#[component]
fn DownloadLink(
    store: RecordingsStore,
    first: Recording,
    name: Signal<String>,
    label: &'static str,
    /// Label for screen readers; the name follows it.
    spoken: &'static str,
    address: String,
) -> impl IntoView {
    let app = AppContext::expect();
    view! {
        <a
            class="button button-quiet"
            aria-label=move || format!("{spoken} {}", name.get())
            title=label
            href=address
            download=first.filename
            on:click=move |event| {
                store.open_menu.set(None);
                download::start(&event, app, first.id.clone(), store.page.problem());
            }
        >
            <Icon glyph=Glyph::Download />
            <span class="action-word">{label}</span>
        </a>
    }
}
