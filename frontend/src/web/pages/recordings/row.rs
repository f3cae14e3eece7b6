use leptos::either::EitherOf3;
use leptos::prelude::*;
use sortie_api::{Recording, RecordingStatus};

use super::store::{RecordingsStore, Scope, is_in_progress, row_id};
use crate::status_texts;
use crate::web::address::Link;
use crate::web::api;
use crate::web::app_context::AppContext;
use crate::web::components::{Cell, Duration, Glyph, Icon, LocalTime, StatusBadge};
use crate::web::download;
use crate::{format, parts};

/// Row of a recording. It reads its recording from the store, so that an update neither moves the focus nor re-renders
/// other rows.
#[component]
pub(in crate::web) fn RecordingRow(
    store: RecordingsStore,
    /// The recording when the row was created.
    first: Recording,
    /// Whether it is below a session heading.
    #[prop(default = false)]
    is_of_several: bool,
) -> impl IntoView {
    let id = StoredValue::new(first.id.clone());
    let last = StoredValue::new(first.clone());
    let row = Memo::new(move |_| {
        // A deleted row keeps its last content until it is removed.
        store
            .row(&id.get_value())
            .unwrap_or_else(|| last.get_value())
    });
    let duration_ms = Memo::new(move |_| row.with(parts::duration_ms));
    let size_bytes = Memo::new(move |_| row.with(parts::size_bytes));

    // An appliance's list has no bulk actions.
    let created_at = first.created_at.clone();
    let choice = (store.scope != Scope::Appliance).then(|| view! {
        <td role="cell" class="cell-check">
            <input
                type="checkbox"
                aria-label=format!("Select {}", first.filename)
                prop:checked=move || store.is_selected(&id.get_value())
                on:change=move |event| store.select(&id.get_value(), event_target_checked(&event))
            />
        </td>
    });
    let figures = view! {
        <td role="cell" class="number cell-duration">
            <Duration duration_ms=duration_ms />
        </td>
        <td role="cell" class="number cell-size">
            {move || format::size(size_bytes.get())}
        </td>
    };
    let status = view! { <StatusCell row=row /> };
    let cells = match store.scope {
        Scope::Mine => EitherOf3::A(view! {
            <NameCell first=first.clone() row=row title=first.filename.clone() />
            {status}
            {figures}
        }),
        Scope::Appliance => EitherOf3::C(view! {
            <FileCell first=first.clone() row=row />
            <Cell label="Date" class="cell-date">
                <LocalTime at=created_at />
            </Cell>
            {figures}
        }),
        Scope::All => EitherOf3::B(view! {
            <NameCell first=first.clone() row=row title=first.id.clone() />
            <td role="cell" class="cell-id" data-label="Session">
                {first.session_id.clone()}
            </td>
            <td role="cell" class="cell-user" data-label="User">
                {first.username.clone().unwrap_or_else(|| first.user_id.clone())}
            </td>
            {figures}
            {status}
        }),
    };
    view! {
        <tr role="row" class:row-of-several=is_of_several>
            {choice}
            {cells}
            <Actions store=store row=row first=first />
        </tr>
    }
}

/// Name with a link to the player.
#[component]
fn NameCell(first: Recording, row: Memo<Recording>, title: String) -> impl IntoView {
    let parts = Memo::new(move |_| row.with(parts::count));
    view! {
        <td role="cell" class="cell-name">
            <Link to=format!("/recordings/{}", first.id) attr:class="row-link" attr:id=row_id(&first.id)>
                {title}
            </Link>
            <span class="quiet">
                <LocalTime at=first.created_at />
                {move || parts.get().map(|parts| format!(" · {parts}"))}
            </span>
        </td>
    }
}

/// Name with a link to the player, and the status unless it is `ready`.
#[component]
fn FileCell(first: Recording, row: Memo<Recording>) -> impl IntoView {
    let is_ordinary = Memo::new(move |_| {
        row.with(|row| {
            row.status == RecordingStatus::Ready
                && !row.interrupted
                && !row.deleting
                && row.note.is_none()
        })
    });
    view! {
        <td role="cell" class="cell-name">
            <Link to=format!("/recordings/{}", first.id) attr:class="row-link" attr:id=row_id(&first.id)>
                {first.filename}
            </Link>
            <Show when=move || !is_ordinary.get()>
                <Status row=row />
            </Show>
        </td>
    }
}

#[component]
fn StatusCell(row: Memo<Recording>) -> impl IntoView {
    view! {
        <td role="cell" class="cell-status">
            <Status row=row />
        </td>
    }
}

/// Status, protection, progress and reason of a failure.
#[component]
fn Status(row: Memo<Recording>) -> impl IntoView {
    let is_in_progress = Memo::new(move |_| row.with(|row| is_in_progress(row.status)));
    let is_failed =
        Memo::new(move |_| row.with(|row| row.deleting || row.status == RecordingStatus::Failed));
    let remark = Memo::new(move |_| {
        row.with(|row| match row.status {
            _ if row.deleting => Some("Deleting… storage is not responding; retrying.".to_owned()),
            RecordingStatus::Failed => Some(status_texts::failure(row)),
            _ => row.note.clone(),
        })
    });
    view! {
        <StatusBadge recording=row.into() />
        // The total size is unknown until the upload ends, so there is no percentage.
        <Show when=move || is_in_progress.get()>
            <progress class="progress progress-row" aria-label="In progress"></progress>
        </Show>
        <Show when=move || remark.get().is_some()>
            <p class:cell-failure=move || is_failed.get() class:quiet=move || !is_failed.get()>
                {remark}
            </p>
        </Show>
    }
}

#[component]
fn Actions(store: RecordingsStore, row: Memo<Recording>, first: Recording) -> impl IntoView {
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
    let id = StoredValue::new(first.id.clone());
    let filename = StoredValue::new(first.filename.clone());
    let first = StoredValue::new(first);
    view! {
        <td role="cell" class="number cell-actions">
            <button
                type="button"
                class="button button-quiet button-toggle"
                aria-label=format!("Protect {}", filename.get_value())
                title="Protected from automatic deletion"
                aria-pressed=move || is_protected.get().to_string()
                on:click=move |_| store.protect(id.get_value(), !is_protected.get_untracked())
            >
                <Icon glyph=Glyph::Shield />
            </button>
            {move || file.get().map(|(label, spoken, address)| view! {
                <DownloadLink store=store first=first.get_value() label=label spoken=spoken address=address />
            })}
            <button
                type="button"
                class="button button-quiet"
                aria-label=format!("Delete {}", filename.get_value())
                title="Delete"
                on:click=move |_| store.ask_to_delete(&[row.get_untracked()])
            >
                <Icon glyph=Glyph::Trash />
                <span class="action-word">"Delete"</span>
            </button>
        </td>
    }
}

/// Link to the file of a recording, or to the received bytes of a failed one.
#[component]
fn DownloadLink(
    store: RecordingsStore,
    first: Recording,
    label: &'static str,
    /// Label for screen readers; the file name follows it.
    spoken: &'static str,
    address: String,
) -> impl IntoView {
    let app = AppContext::expect();
    view! {
        <a
            class="button button-quiet"
            aria-label=format!("{spoken} {}", first.filename)
            title=label
            href=address
            download=first.filename
            on:click=move |event| {
                download::start(&event, app, first.id.clone(), store.page.problem());
            }
        >
            <Icon glyph=Glyph::Download />
            <span class="action-word">{label}</span>
        </a>
    }
}
