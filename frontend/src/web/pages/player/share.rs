use gloo_net::http::Method;
use leptos::ev;
use leptos::prelude::*;
use sortie_api::{CreatedShare, NewShare, Share};

use super::playback::{PartRange, Playback};
use crate::format;
use crate::list_page::Page;
use crate::share_texts;
use crate::web::api::{item_path, recording_path};
use crate::web::components::{
    CheckField, FetchStatus, FormActions, FormDialog, Glyph, Icon, LocalTime, ShownOnce, TextField,
};
use crate::web::dom;
use crate::web::server_data::ServerData;
use crate::web::submission::Submission;

/// Heading of the dialog.
const HEADING: &str = "share-heading";

/// Button that opens the dialog with the share links of a recording.
#[component]
pub(super) fn ShareButton(id: String, playback: Playback) -> impl IntoView {
    let is_open = RwSignal::new(false);
    let route = StoredValue::new(recording_path(&id) + "/shares");
    view! {
        <button type="button" class="button" on:click=move |_| is_open.set(true)>
            <Icon glyph=Glyph::Link />
            "Share…"
        </button>
        <FormDialog is_open=is_open.into() on_close=move |()| is_open.set(false) named_by=HEADING>
            {move || {
                is_open
                    .get()
                    .then(|| {
                        let range = playback.selected_range();
                        view! { <ShareDialog route=route.get_value() range=range is_open=is_open /> }
                    })
            }}
        </FormDialog>
    }
}

#[component]
fn ShareDialog(
    route: String,
    /// Range that is selected on the timeline.
    range: Option<PartRange>,
    is_open: RwSignal<bool>,
) -> impl IntoView {
    let route = StoredValue::new(route);
    let range = StoredValue::new(range);
    let address = Memo::new(move |_| route.get_value());
    let shares = ServerData::list(address);
    let created = RwSignal::new(None::<String>);
    view! {
        <h2 id=HEADING tabindex="-1">"Share this recording"</h2>
        {move || match created.get() {
            Some(url) => {
                view! {
                    <ShownOnce
                        instruction="Copy the link now: it is not shown again."
                        secret=url
                        on_done=move |()| {
                            created.set(None);
                            dom::focus(HEADING);
                        }
                    />
                }
                    .into_any()
            }
            None => {
                view! {
                    <ShareForm
                        route=route.get_value()
                        range=range.get_value()
                        is_open=is_open
                        created=created
                        shares=shares
                    />
                }
                    .into_any()
            }
        }}
        <Links route=route.get_value() shares=shares />
    }
}

#[component]
fn ShareForm(
    route: String,
    range: Option<PartRange>,
    is_open: RwSignal<bool>,
    /// Receives the address of a new link.
    created: RwSignal<Option<String>>,
    shares: ServerData<Page<Share>>,
) -> impl IntoView {
    let submission = Submission::new();
    let expires_in = RwSignal::new(share_texts::LIFE_DEFAULT);
    let password = RwSignal::new(String::new());
    let label = RwSignal::new(String::new());
    let is_range_only = RwSignal::new(range.is_some());
    let range_label = range.as_ref().map(share_label);
    let range = StoredValue::new(range);
    let route = StoredValue::new(route);
    let submit = move |event: ev::SubmitEvent| {
        event.prevent_default();
        let range = range.get_value().filter(|_| is_range_only.get_untracked());
        let new = NewShare {
            expires_in: Some(expires_in.get_untracked()),
            password: Some(password.get_untracked()).filter(|it| !it.is_empty()),
            label: label.get_untracked(),
            start_ms: range.as_ref().map(|range| range.start_ms),
            end_ms: range.as_ref().map(|range| range.end_ms),
        };
        let route = match range {
            Some(range) => recording_path(&range.id) + "/shares",
            None => route.get_value(),
        };
        submission.send(
            async move |api| {
                api.request::<CreatedShare>(Method::POST, &route, &new)
                    .await
            },
            move |answer| {
                created.set(Some(answer.url));
                shares.load();
            },
        );
    };
    let options = share_texts::LIVES.map(|(seconds, text)| {
        view! {
            <option value=seconds.to_string() selected=seconds == share_texts::LIFE_DEFAULT>
                {text}
            </option>
        }
    });
    view! {
        <form class="form" novalidate on:submit=submit>
            <p class="quiet">
                "Anyone with the link can watch without signing in, until it expires or you revoke it."
            </p>
            {match range_label {
                Some(label) => {
                    view! {
                        <CheckField id="share-range" label=label value=is_range_only />
                        <p class="field-hint">
                            "The part begins at the last complete picture at or before its start, up to ten seconds earlier."
                        </p>
                    }
                        .into_any()
                }
                None => {
                    view! {
                        <p class="field-hint">
                            "To share a part only, select it on the timeline first: press I and O, or hold Shift and drag."
                        </p>
                    }
                        .into_any()
                }
            }}
            <div class="field">
                <label for="share-expiry">"Expires after"</label>
                <select
                    id="share-expiry"
                    class="input"
                    on:change=move |event| {
                        if let Ok(seconds) = event_target_value(&event).parse() {
                            expires_in.set(seconds);
                        }
                    }
                >
                    {options.into_iter().collect_view()}
                </select>
            </div>
            <TextField
                id="share-password"
                label="Password"
                hint="Optional, at least 8 characters. Send it separately from the link."
                value=password
            />
            <TextField id="share-label" label="Label" hint="Optional. Viewers do not see it." value=label />
            <FormActions
                submission=submission
                on_cancel=move |()| is_open.set(false)
                action="Create link"
            />
        </form>
    }
}

/// Label of the check box for a selected range.
fn share_label(range: &PartRange) -> String {
    let [start, end] = [range.span.start_ms, range.span.end_ms].map(format::clock);
    format!("Only the selected part, {start}–{end}")
}

/// Links of the recording that have not expired.
#[component]
fn Links(route: String, shares: ServerData<Page<Share>>) -> impl IntoView {
    let submission = Submission::new();
    let revoked = RwSignal::new("");
    let route = StoredValue::new(route);
    let has_rows = Memo::new(move |_| shares.count().get().is_some_and(|count| count > 0));
    let revoke = move |id: String| {
        let path = item_path(&route.get_value(), &id);
        revoked.set("");
        submission.send(
            async move |api| api.remove(&path).await,
            move |()| {
                revoked.set("Link revoked");
                // The focused button is removed with its row.
                dom::focus(HEADING);
                shares.load();
            },
        );
    };
    let row = move |share: Share| {
        let id = share.id.clone();
        let name = share_texts::name(&share);
        view! {
            <li class="share-link">
                <div class="share-text">
                    <strong>
                        <bdi>{name.clone()}</bdi>
                    </strong>
                    <span class="quiet">
                        "Expires " <LocalTime at=share.expires_at.clone() /> {share_texts::facts(&share)}
                    </span>
                </div>
                <button
                    type="button"
                    class="button button-quiet"
                    aria-label=format!("Revoke {name}")
                    disabled=submission.is_busy
                    on:click=move |_| revoke(id.clone())
                >
                    <Icon glyph=Glyph::Trash />
                    "Revoke"
                </button>
            </li>
        }
    };
    view! {
        <FetchStatus state=shares.fetch_state() bars=1 />
        <Show when=move || has_rows.get()>
            <section class="share-links" aria-labelledby="share-links-heading">
                <h3 id="share-links-heading">"Links"</h3>
                <ul>{move || shares.rows().into_iter().map(row).collect_view()}</ul>
            </section>
        </Show>
        <p class="visually-hidden" role="status">
            {revoked}
        </p>
        <p class="problem-text" role="alert">
            {submission.problem}
        </p>
    }
}
