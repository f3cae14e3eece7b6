//! Sign-ins: the user's own on the account page, those of another user for administrators.

use std::sync::Arc;

use leptos::prelude::*;

use super::tokens::OwnTokens;
use crate::user_agent;
use crate::web::api::item_path;
use crate::web::components::{
    Cell, ConfirmDialog, Confirmation, FetchStatus, Glyph, Heading, Icon, LocalTime, RefreshButton,
    RequireSignIn, Table, removing,
};
use crate::web::dom;
use crate::web::server_data::ServerData;

const ROUTE: &str = "/api/auth/sign-ins";
/// Heading, which takes the focus when a row was removed.
const HEADING: &str = "sign-ins-heading";

/// The user's own sign-ins and API tokens.
#[component]
pub(in crate::web) fn SignInsPage() -> impl IntoView {
    view! {
        <RequireSignIn>
            <section class="page" aria-labelledby="page-heading">
                <Heading title="Sign-ins" />
                <p class="quiet lead">
                    "Browsers and programs that use your account. End each one that you do not know, and change your password."
                </p>
                <OwnSignIns />
                <OwnTokens />
            </section>
        </RequireSignIn>
    }
}

#[component]
fn OwnSignIns() -> impl IntoView {
    let sign_ins =
        ServerData::new(|api| async move { api.get::<Vec<sortie_api::SignIn>>(ROUTE).await });
    sign_ins.load();
    let confirmation = RwSignal::new(None::<Confirmation>);
    let again = move || {
        dom::focus(HEADING);
        sign_ins.load();
    };
    let has_others = Memo::new(move |_| {
        sign_ins
            .with(|all| all.iter().any(|it| !it.current))
            .unwrap_or(false)
    });
    let end_others = move |_| {
        confirmation.set(Some(Confirmation {
            heading: "End all other sign-ins?".to_owned(),
            subject: "All other browsers and programs".to_owned(),
            consequence: "will have to sign in again. API tokens keep working.".to_owned(),
            action: "End all others",
            second: None,
            work: removing(ROUTE.to_owned()),
            done: Arc::new(again),
        }));
    };
    let rows = move || {
        let row = move |it: sortie_api::SignIn| {
            let name = user_agent::name(&it.user_agent);
            let question = Confirmation {
                heading: "End this sign-in?".to_owned(),
                subject: name.clone(),
                consequence: "will have to sign in again.".to_owned(),
                action: "End sign-in",
                second: None,
                work: removing(item_path(ROUTE, &it.id)),
                done: Arc::new(again),
            };
            let label = format!("End the sign-in of {name}");
            view! {
                <tr role="row">
                    <td role="cell" class="cell-name">
                        <strong title=it.user_agent.clone()>{name}</strong>
                        {it.current.then(|| view! { <span class="badge badge-ready">"This browser"</span> })}
                    </td>
                    <Cell label="Address">{address(&it.address)}</Cell>
                    <Cell label="Signed in">
                        <LocalTime at=it.created_at />
                    </Cell>
                    <Cell label="Last used">
                        <LocalTime at=it.last_used_at />
                    </Cell>
                    <Cell label="Ends">
                        <LocalTime at=it.expires_at />
                    </Cell>
                    <td role="cell" class="number cell-actions">
                        {(!it.current)
                            .then(|| {
                                view! {
                                    <button
                                        type="button"
                                        class="button button-quiet"
                                        aria-label=label
                                        on:click=move |_| confirmation.set(Some(question.clone()))
                                    >
                                        <Icon glyph=Glyph::SignOut />
                                        "End"
                                    </button>
                                }
                            })}
                    </td>
                </tr>
            }
        };
        sign_ins
            .get()
            .unwrap_or_default()
            .into_iter()
            .map(row)
            .collect_view()
    };
    view! {
        <div class="page-head">
            <h2 id=HEADING tabindex="-1">
                "Signed in"
            </h2>
            <div class="page-actions">
                <RefreshButton state=sign_ins.fetch_state() />
                <Show when=move || has_others.get()>
                    <button type="button" class="button" on:click=end_others>
                        "End all others"
                    </button>
                </Show>
            </div>
        </div>
        <FetchStatus state=sign_ins.fetch_state() />
        <Show when=move || sign_ins.with(|all| !all.is_empty()).unwrap_or(false)>
            <Table
                named_by=HEADING
                columns=&["Browser", "Address", "Signed in", "Last used", "Ends", ""]
                rows=rows
            />
        </Show>
        <ConfirmDialog confirmation=confirmation />
    }
}

/// Address of the client, or `Unknown`.
fn address(address: &str) -> String {
    match address {
        "" => "Unknown".to_owned(),
        known => known.to_owned(),
    }
}

/// Sign-ins of another user, in the administrator's form for that user.
#[component]
pub(super) fn UserSignIns(user_id: String) -> impl IntoView {
    let path = item_path("/api/admin/users", &user_id) + "/sign-ins";
    let from = path.clone();
    let sign_ins = ServerData::new(move |api| {
        let from = from.clone();
        async move { api.get::<Vec<sortie_api::SignIn>>(&from).await }
    });
    sign_ins.load();
    let submission = crate::web::submission::Submission::new();
    let is_some = Memo::new(move |_| sign_ins.with(|all| !all.is_empty()).unwrap_or(false));
    let end = move |_| {
        let path = path.clone();
        submission.send(
            async move |api| api.remove(&path).await,
            move |()| sign_ins.load(),
        );
    };
    let rows = move || {
        let row = |it: sortie_api::SignIn| {
            view! {
                <li>
                    <span title=it.user_agent.clone()>{user_agent::name(&it.user_agent)}</span>
                    <span class="quiet">{address(&it.address)} ", last used " <LocalTime at=it.last_used_at /></span>
                </li>
            }
        };
        sign_ins
            .get()
            .unwrap_or_default()
            .into_iter()
            .map(row)
            .collect_view()
    };
    view! {
        <section class="user-sign-ins" aria-labelledby="user-sign-ins">
            <h3 id="user-sign-ins" tabindex="-1">
                "Sign-ins"
            </h3>
            <FetchStatus state=sign_ins.fetch_state() bars=1 />
            <Show
                when=move || is_some.get()
                fallback=move || {
                    view! { <p class="quiet">{move || sign_ins.with(|_| "Not signed in anywhere")}</p> }
                }
            >
                <ul>{rows}</ul>
                <button type="button" class="button" disabled=submission.is_busy on:click=end.clone()>
                    "End all sign-ins"
                </button>
            </Show>
            <p class="problem-text" role="alert">
                {submission.problem}
            </p>
        </section>
    }
}
