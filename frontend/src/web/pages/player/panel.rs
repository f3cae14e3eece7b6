use gloo_net::http::Method;
use leptos::either::Either;
use leptos::prelude::*;
use sortie_api::{Recording, RecordingStatus, RecordingUpdate};

use super::markers::{MarkerList, Markers};
use super::parts::Parts;
use super::playback::Playback;
use super::share::ShareButton;
use crate::format;
use crate::parts;
use crate::player::mp4_copy;
use crate::web::address::Link;
use crate::web::api;
use crate::web::app_context::{AppContext, SignInState};
use crate::web::components::{Duration, Glyph, Heading, Icon, LocalTime, StatusBadge};
use crate::web::dom;
use crate::web::download;
use crate::web::last_list::LastList;
use crate::web::recorder_store::RecorderStore;
use crate::web::submission::Submission;

/// Facts and actions beside the video, below it on narrow screens.
#[component]
pub(super) fn Panel(
    first: Recording,
    row: Memo<Recording>,
    /// Receives the changed recording.
    recording: RwSignal<Option<Recording>>,
    playback: Playback,
    markers: Markers,
    /// Receives the error of a download.
    problem: RwSignal<Option<String>>,
    #[prop(into)] on_delete: Callback<()>,
) -> impl IntoView {
    let duration_ms = Memo::new(move |_| row.with(parts::duration_ms));
    let size_bytes = Memo::new(move |_| row.with(parts::size_bytes));
    let is_exception =
        move || row.with(|row| row.status != RecordingStatus::Ready || row.interrupted);
    let owner = owner(&first);
    view! {
        <div class="panel">
            <Heading title=dom::title(&first) />
            <p class="quiet panel-when">
                <LocalTime at=first.created_at.clone() />
                {owner.map(|owner| view! { " · " <bdi>{owner}</bdi> })}
            </p>
            <Actions
                first=first.clone()
                row=row
                recording=recording
                playback=playback
                problem=problem
                on_delete=on_delete
            />
            <p class="problem-text" role="alert">
                {problem}
            </p>
            {RecorderStore::end_reason(&first.id)
                .map(|reason| {
                    view! {
                        <div class="notice" role="status">
                            <Icon glyph=Glyph::Info />
                            <p>{reason}</p>
                        </div>
                    }
                })}
            {first
                .part_of
                .as_ref()
                .map(|whole| {
                    view! {
                        <p class="quiet">
                            {format!("Part {} of a longer recording. ", first.part)}
                            <Link to=format!("/recordings/{whole}")>"Watch all parts"</Link>
                        </p>
                    }
                })}
            <dl class="facts panel-facts">
                <div>
                    <dt>"Duration"</dt>
                    <dd>
                        <Duration duration_ms=duration_ms />
                    </dd>
                </div>
                <div>
                    <dt>"Size"</dt>
                    <dd>{move || format::size(size_bytes.get())}</dd>
                </div>
                <div hidden=move || playback.picture_size.with(String::is_empty)>
                    <dt>"Resolution"</dt>
                    <dd class="digits">{playback.picture_size}</dd>
                </div>
                <div hidden=move || !is_exception()>
                    <dt>"Status"</dt>
                    <dd>
                        <StatusBadge recording=row.into() />
                    </dd>
                </div>
            </dl>
            <Remarks row=row />
            <MarkerList markers=markers />
            <Parts playback=playback problem=problem />
            <Details first=first.clone() />
            <Neighbours id=first.id />
        </div>
    }
}

/// User name of the owner; `None` on an appliance, where recordings belong to no user.
fn owner(recording: &Recording) -> Option<String> {
    let app = AppContext::expect();
    if untrack(|| app.is_appliance()) {
        return None;
    }
    let own = match app.sign_in_untracked() {
        SignInState::SignedIn(user) if user.id == recording.user_id => Some(user.name().to_owned()),
        _ => None,
    };
    own.or_else(|| recording.username.clone())
        .or_else(|| LastList::expect().username(&recording.id))
}

#[component]
fn Actions(
    first: Recording,
    row: Memo<Recording>,
    recording: RwSignal<Option<Recording>>,
    playback: Playback,
    problem: RwSignal<Option<String>>,
    on_delete: Callback<()>,
) -> impl IntoView {
    let app = AppContext::expect();
    let id = StoredValue::new(first.id);
    let filename = StoredValue::new(first.filename);
    // A recording of several parts has a download for each part.
    let file = Memo::new(move |_| {
        row.with(|row| match row.status {
            _ if parts::count(row).is_some() || row.deleting => None,
            RecordingStatus::Ready => Some(("Download", api::download_url(&row.id))),
            RecordingStatus::Failed => Some(("Download what arrived", api::raw_url(&row.id))),
            _ => None,
        })
    });
    let mp4 = Memo::new(move |_| {
        row.with(|row| {
            let is_offered = parts::count(row).is_none() && mp4_copy::is_possible(row);
            is_offered.then(|| api::mp4_url(&row.id))
        })
    });
    let can_share = Memo::new(move |_| {
        app.has_sharing() && row.with(|row| row.status != RecordingStatus::Failed && !row.deleting)
    });
    let protection = Submission::new();
    let is_protected = move || row.with(|row| row.protected);
    let protect = move |_| {
        let update = RecordingUpdate {
            protected: Some(!untrack(is_protected)),
            ..RecordingUpdate::default()
        };
        let path = api::recording_path(&id.get_value());
        protection.send(
            move |api| async move {
                api.request::<Recording>(Method::PATCH, &path, &update)
                    .await
            },
            move |fresh| recording.set(Some(fresh)),
        );
    };
    view! {
        <div class="page-actions">
            {move || {
                file.get()
                    .map(|(label, address)| {
                        view! {
                            <a
                                class="button"
                                href=address
                                download=filename.get_value()
                                on:click=move |event| download::start(&event, app, id.get_value(), problem)
                            >
                                <Icon glyph=Glyph::Download />
                                {label}
                            </a>
                        }
                    })
            }}
            {move || {
                mp4.get()
                    .map(|address| {
                        let target = address.clone();
                        view! {
                            <a
                                class="button"
                                href=address
                                download="recording.mp4"
                                on:click=move |event| {
                                    event.prevent_default();
                                    download::start_file(app, target.clone(), "recording.mp4", problem);
                                }
                            >
                                <Icon glyph=Glyph::Download />
                                "Download MP4"
                            </a>
                        }
                    })
            }}
            {move || {
                can_share.get().then(|| view! { <ShareButton id=id.get_value() playback=playback /> })
            }}
            <button
                type="button"
                class="button button-lock"
                title="Protected from automatic deletion"
                aria-pressed=move || is_protected().to_string()
                on:click=protect
            >
                <Icon glyph=Glyph::Lock />
                "Protect"
            </button>
            <button type="button" class="button" on:click=move |_| on_delete.run(())>
                <Icon glyph=Glyph::Trash />
                "Delete"
            </button>
        </div>
        <p class="problem-text" role="alert">
            {protection.problem}
        </p>
    }
}

/// Why the recording ended, and what is missing in it.
#[component]
fn Remarks(row: Memo<Recording>) -> impl IntoView {
    let remarks = Memo::new(move |_| {
        row.with(|row| {
            let interrupted = row.interrupted.then(|| {
                "The connection was lost. Everything received until then was kept.".to_owned()
            });
            let deleting = row
                .deleting
                .then(|| "Deleting… storage is not responding; retrying.".to_owned());
            let remarks = [interrupted, deleting, row.note.clone()];
            remarks.into_iter().flatten().collect::<Vec<_>>()
        })
    });
    move || {
        let remarks = remarks.get().into_iter();
        remarks
            .map(|remark| view! { <p class="quiet">{remark}</p> })
            .collect_view()
    }
}

/// IDs, which integrators need.
#[component]
fn Details(first: Recording) -> impl IntoView {
    let rows = [
        ("Recording ID", Some(first.id)),
        ("Session ID", Some(first.session_id)),
        ("External ID", first.external_id),
        ("Format", Some(first.format)),
    ];
    let rows = rows.into_iter().filter_map(|(name, value)| {
        let value = value.filter(|value| !value.is_empty())?;
        Some(view! {
            <div>
                <dt>{name}</dt>
                <dd>
                    <code>{value}</code>
                </dd>
            </div>
        })
    });
    view! {
        <details class="panel-details">
            <summary>"Details"</summary>
            <dl>{rows.collect_view()}</dl>
        </details>
    }
}

/// Links to the recordings before and after this one in the last list.
#[component]
fn Neighbours(id: String) -> impl IntoView {
    let (before, after) = LastList::expect().neighbours(&id);
    let has_any = before.is_some() || after.is_some();
    let link = |recording: Option<Recording>, label: &'static str, is_next: bool| {
        recording.map(|recording| {
            let path = format!("/recordings/{}", recording.id);
            view! {
                <Link to=path attr:class="button button-quiet" attr:title=dom::title(&recording)>
                    {if is_next {
                        Either::Left(view! { {label} <Icon glyph=Glyph::Next /> })
                    } else {
                        Either::Right(view! { <Icon glyph=Glyph::Previous /> {label} })
                    }}
                </Link>
            }
        })
    };
    has_any.then(|| {
        view! {
            <nav class="neighbours" aria-label="Recordings of the list">
                {link(before, "Previous", false)}
                {link(after, "Next", true)}
            </nav>
        }
    })
}
