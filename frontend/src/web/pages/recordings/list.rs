use leptos::either::Either;
use leptos::prelude::*;

use super::filters::RecordingFilters;
use super::row::RecordingRow;
use super::store::{LIST, RecordingsStore, Scope};
use crate::web::components::{ConfirmDialog, FetchStatus, Glyph, Icon, LiveRegion, Pager, Table};

/// List of recordings: filters, bulk actions, rows, pager and confirmation dialog.
#[component]
pub(super) fn RecordingList(
    store: RecordingsStore,
    /// ID of the heading that labels the list.
    named_by: &'static str,
) -> impl IntoView {
    view! {
        <p class="visually-hidden" role="status">
            {move || store.announcement()}
        </p>
        <LiveRegion text=store.changes() />
        <RecordingFilters store=store />
        <div id=LIST tabindex="-1">
            <FetchStatus state=store.page.fetch_state() bars=5 />
            <Show when=move || store.is_empty()>
                <Empty store=store />
            </Show>
            <Show when=move || store.has_rows()>
                <Chosen store=store />
                <Rows store=store named_by=named_by />
            </Show>
        </div>
        <Pager
            query=store.query
            next=store.page.next()
        />
        <ConfirmDialog confirmation=store.confirmation />
    }
}

#[component]
fn Empty(store: RecordingsStore) -> impl IntoView {
    let text = match store.scope {
        Scope::Mine => "No recordings",
        Scope::All | Scope::Appliance => "No recordings found",
    };
    let hint = move || {
        if store.is_filtered() {
            Either::Left(view! {
                <p class="quiet">"No matches. Try other words or clear the filters."</p>
                <button type="button" class="button" on:click=move |_| store.query.clear()>
                    "Show all"
                </button>
            })
        } else {
            Either::Right(
                view! { <p class="quiet">"Your recordings appear here as soon as you start one."</p> },
            )
        }
    };
    view! {
        <div class="empty card">
            <Icon glyph=Glyph::Film />
            <p class="empty-heading">{text}</p>
            {hint}
        </div>
    }
}

/// Actions on the selected rows.
#[component]
fn Chosen(store: RecordingsStore) -> impl IntoView {
    let selected = Memo::new(move |_| store.selected());
    let count = move || selected.with(Vec::len);
    let is_all = move || count() > 0 && count() == store.page.rows().len();
    let is_some = move || count() > 0 && !is_all();
    view! {
        <div class="chosen">
            <span class="check">
                <input
                    id="choose-all"
                    type="checkbox"
                    prop:checked=is_all
                    prop:indeterminate=is_some
                    on:change=move |event| store.select_all(event_target_checked(&event))
                />
                <label for="choose-all">"Select all on this page"</label>
            </span>
            <Show when=move || { count() > 0 }>
                <span class="quiet" role="status">
                    {move || format!("{} selected", count())}
                </span>
                <button
                    type="button"
                    class="button"
                    on:click=move |_| store.ask_to_delete(&selected.get_untracked())
                >
                    <Icon glyph=Glyph::Trash />
                    "Delete selected"
                </button>
            </Show>
        </div>
    }
}

#[component]
fn Rows(store: RecordingsStore, named_by: &'static str) -> impl IntoView {
    let columns: &[&str] = match store.scope {
        Scope::Mine => &["*Selection", "Name", "Status", "#Duration", "#Size", ""],
        Scope::All | Scope::Appliance => &[
            "*Selection",
            "ID",
            "Session",
            "User",
            "#Duration",
            "#Size",
            "Status",
            "",
        ],
    };
    let class = match store.scope {
        Scope::Mine => "recordings",
        Scope::All | Scope::Appliance => "recordings recordings-all",
    };
    let rows = move || {
        view! {
            <For each=move || store.page.rows() key=|row| row.id.clone() let:row>
                <RecordingRow store=store first=row />
            </For>
        }
    };
    view! { <Table named_by=named_by columns=columns class=class rows=rows /> }
}
