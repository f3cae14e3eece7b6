use leptos::prelude::*;
use sortie_api::{Recording, RecordingStatus};

use super::store::ApplianceStore;
use crate::appliance::{ListRow, list_rows, session_heading};
use crate::web::address::Link;
use crate::web::components::{
    Cell, ConfirmDialog, Duration, FetchStatus, Glyph, Icon, LiveRegion, LocalTime, Pager,
    RefreshButton, StatusBadge, Table,
};
use crate::web::pages::recordings::{Actions, LIST, close_menus, current, row_id};
use crate::{format, parts, status_texts};

const HEADING: &str = "list-heading";
const COLUMNS: [&str; 5] = ["Filename", "Date", "#Duration", "#Size", "#Actions"];

/// Recordings of the appliance, newest first.
#[component]
pub(super) fn List(appliance: ApplianceStore) -> impl IntoView {
    let recordings = appliance.recordings;
    close_menus(recordings);
    // The growing file is the newest and belongs to the first page.
    let growing = Memo::new(move |_| {
        let file = appliance.with(|now| now.file.clone()).flatten();
        file.filter(|_| recordings.query.cursor().is_empty())
            .map(|file| (file.filename, file.session_id))
    });
    let now = Memo::new(move |_| {
        let rows = recordings.page.rows();
        growing.with(|growing| {
            let growing = growing.as_ref();
            list_rows(
                &rows,
                growing.map(|(name, session)| (name.as_str(), session.as_deref())),
            )
        })
    });
    let is_empty = move || recordings.is_empty() && growing.with(Option::is_none);
    let has_rows = Memo::new(move |_| recordings.has_rows() || growing.with(Option::is_some));
    let rows = move || {
        view! {
            <For each=move || now.get() key=ListRow::key let:line>
                {match line {
                    ListRow::Growing { filename, is_of_several } => {
                        view! { <GrowingRow appliance=appliance filename=filename is_of_several=is_of_several /> }.into_any()
                    }
                    ListRow::Session { files, is_growing, duration_seconds, size_bytes, .. } => {
                        let text = session_heading(files, is_growing);
                        view! { <SessionRow text=text duration_seconds=duration_seconds size_bytes=size_bytes /> }
                            .into_any()
                    }
                    ListRow::File { id, is_of_several } => {
                        let row = appliance.row(&id);
                        row.map(|row| view! { <FileRow appliance=appliance first=row is_of_several=is_of_several /> })
                            .into_any()
                    }
                }}
            </For>
        }
    };
    view! {
        <section class="list" aria-labelledby=HEADING>
            <p class="visually-hidden" role="status">
                {move || recordings.announcement()}
            </p>
        <LiveRegion text=recordings.changes() />
            <div class="page-head">
                <h2 id=HEADING>"Recordings"</h2>
                <div class="page-actions">
                    <RefreshButton state=recordings.page.fetch_state() />
                </div>
            </div>
            <div id=LIST tabindex="-1">
                <FetchStatus state=recordings.page.fetch_state() bars=3 />
                <Show when=is_empty>
                    <div class="empty card">
                        <Icon glyph=Glyph::Film />
                        <p class="empty-heading">"No recordings"</p>
                        <p class="quiet">"Your recordings appear here as soon as you start one."</p>
                    </div>
                </Show>
                <Show when=move || has_rows.get()>
                    <Table named_by=HEADING columns=&COLUMNS class="recordings recordings-appliance" rows=rows />
                </Show>
            </div>
            <Pager query=recordings.query next=recordings.page.next() />
            <ConfirmDialog confirmation=recordings.confirmation />
        </section>
    }
}

/// Row of the growing file. It cannot be played before it is finished.
#[component]
fn GrowingRow(appliance: ApplianceStore, filename: String, is_of_several: bool) -> impl IntoView {
    let duration_ms = Memo::new(move |_| {
        let seconds = appliance.with(|now| now.file.as_ref().map(|file| file.duration_seconds));
        format::seconds_to_ms(seconds.flatten().unwrap_or(0.0))
    });
    let size = Memo::new(move |_| {
        let bytes = appliance.with(|now| now.file.as_ref().map(|file| file.size_bytes));
        format::size(bytes.flatten().unwrap_or(0))
    });
    view! {
        <tr role="row" class="row-growing" class:row-of-several=is_of_several>
            <td role="cell" class="cell-name">
                {filename}
                <span class="badges">
                    <span class="badge badge-recording">
                        <span class="badge-dot" aria-hidden="true"></span>
                        "Recording"
                    </span>
                </span>
            </td>
            <Cell label="Date" class="cell-date">
                "Now"
            </Cell>
            <td role="cell" class="number cell-duration">
                <Duration duration_ms=duration_ms />
            </td>
            <td role="cell" class="number cell-size">
                {size}
            </td>
            <td role="cell" class="number cell-actions"></td>
        </tr>
    }
}

/// Row of a finished file. It reads its recording from the store, so that an update does not move the focus.
#[component]
fn FileRow(appliance: ApplianceStore, first: Recording, is_of_several: bool) -> impl IntoView {
    let store = appliance.recordings;
    let row = current(store, &first);
    let duration_ms = Memo::new(move |_| row.with(parts::duration_ms));
    let size_bytes = Memo::new(move |_| row.with(parts::size_bytes));
    let is_ordinary = Memo::new(move |_| {
        row.with(|row| row.status == RecordingStatus::Ready && !row.interrupted && !row.deleting)
    });
    let remark = Memo::new(move |_| {
        row.with(|row| match row.status {
            _ if row.deleting => Some("Deleting… storage is not responding; retrying.".to_owned()),
            RecordingStatus::Failed => Some(status_texts::failure(row)),
            _ => row.note.clone(),
        })
    });
    let name = Signal::stored(first.filename.clone());
    let (filename, created_at) = (first.filename.clone(), first.created_at.clone());
    view! {
        <tr role="row" class:row-of-several=is_of_several>
            <td role="cell" class="cell-name">
                <Link to=format!("/recordings/{}", first.id) attr:class="row-link" attr:id=row_id(&first.id)>
                    {filename}
                </Link>
                <Show when=move || !is_ordinary.get()>
                    <StatusBadge recording=row.into() />
                </Show>
                {move || remark.get().map(|remark| view! { <p class="quiet">{remark}</p> })}
            </td>
            <Cell label="Date" class="cell-date">
                <LocalTime at=created_at />
            </Cell>
            <td role="cell" class="number cell-duration">
                <Duration duration_ms=duration_ms />
            </td>
            <td role="cell" class="number cell-size">
                {move || format::size(size_bytes.get())}
            </td>
            <Actions store=store row=row first=first.clone() name=name />
        </tr>
    }
}

/// Heading of the files of one session.
#[component]
fn SessionRow(text: String, duration_seconds: f64, size_bytes: u64) -> impl IntoView {
    let duration_ms = format::seconds_to_ms(duration_seconds);
    view! {
        <tr role="row" class="row-session">
            <td role="cell" class="cell-name" colspan="2">
                {text}
            </td>
            <td role="cell" class="number cell-duration">
                <Duration duration_ms=Signal::stored(duration_ms) />
            </td>
            <td role="cell" class="number cell-size">
                {format::size(size_bytes)}
            </td>
            <td role="cell" class="number cell-actions"></td>
        </tr>
    }
}
