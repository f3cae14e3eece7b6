//! API tokens: the user's own on the account pages, all tokens in the Admin Panel.

use std::sync::Arc;

use gloo_net::http::Method;
use leptos::ev;
use leptos::prelude::*;
use sortie_api::{ApiToken, CreatedApiToken, NewApiToken, TokenScope};

use crate::list_page::Page;
use crate::query;
use crate::web::api::item_path;
use crate::web::app_context::{AppContext, SignInState};
use crate::web::components::{
    Cell, CheckField, ConfirmDialog, Confirmation, FormActions, FormDialog, Glyph, Heading, Icon,
    LocalTime, PagedTable, RequireSignIn, ShownOnce, TextField, removing,
};
use crate::web::dom;
use crate::web::list_query::ListQuery;
use crate::web::server_data::ServerData;
use crate::web::submission::Submission;

const OWN: &str = "/api/tokens";
const ALL: &str = "/api/admin/tokens";

#[component]
pub(in crate::web) fn TokensPage() -> impl IntoView {
    let is_making = RwSignal::new(false);
    view! {
        <RequireSignIn>
            <section class="page" aria-labelledby="page-heading">
                <div class="page-head">
                    <Heading title="API tokens" />
                    <Create is_making=is_making />
                </div>
                <p class="quiet lead">
                    "For programs that record, list or download for you. Tokens never have more access than you."
                </p>
                <Tokens route=OWN named_by="page-heading" is_making=is_making />
            </section>
        </RequireSignIn>
    }
}

/// The user's own tokens, below their sign-ins.
#[component]
pub(super) fn OwnTokens() -> impl IntoView {
    let is_making = RwSignal::new(false);
    view! {
        <div class="page-head">
            <h2 id="own-tokens-heading" tabindex="-1">
                "API tokens"
            </h2>
            <Create is_making=is_making />
        </div>
        <Tokens route=OWN named_by="own-tokens-heading" is_making=is_making />
    }
}

/// All tokens, for administrators.
#[component]
pub(super) fn TokensTab() -> impl IntoView {
    let is_making = RwSignal::new(false);
    view! {
        <div class="page-head">
            <h2 id="panel-heading" tabindex="-1">"API tokens"</h2>
            <Create is_making=is_making />
        </div>
        <Tokens route=ALL named_by="panel-heading" is_making=is_making />
    }
}

#[component]
fn Create(is_making: RwSignal<bool>) -> impl IntoView {
    view! {
        <button type="button" class="button button-primary" on:click=move |_| is_making.set(true)>
            "Create token"
        </button>
    }
}

#[component]
fn Tokens(route: &'static str, named_by: &'static str, is_making: RwSignal<bool>) -> impl IntoView {
    let query = ListQuery::here();
    let address = Memo::new(move |_| match route {
        // Not paged: a user has at most 100.
        OWN => OWN.to_owned(),
        _ => query::address(route, &[("limit", "50"), ("cursor", &query.cursor())]),
    });
    let tokens = ServerData::list(address);
    let confirmation = RwSignal::new(None::<Confirmation>);
    let row = move |token: ApiToken| view! { <TokenRow token=token confirmation=confirmation named_by=named_by tokens=tokens /> };
    view! {
        <PagedTable
            query=query
            state=tokens.fetch_state()
            count=tokens.count()
            next=tokens.next()
            named_by=named_by
            columns=&["Name", "Owner", "Scopes", "Expires", "Last used", ""]
            rows=move || tokens.rows().into_iter().map(row).collect_view()
            empty="No tokens"
            hint="Create one for a program that uses this server."
        />
        <FormDialog is_open=is_making.into() on_close=move |()| is_making.set(false) named_by="token-heading">
            {move || is_making.get().then(|| view! { <TokenForm is_making=is_making tokens=tokens /> })}
        </FormDialog>
        <ConfirmDialog confirmation=confirmation />
    }
}

fn scope_name(scope: &TokenScope) -> &'static str {
    match scope {
        TokenScope::Record => "Record",
        TokenScope::Read => "Read",
        TokenScope::Admin => "Administer",
    }
}

#[component]
fn TokenRow(
    token: ApiToken,
    confirmation: RwSignal<Option<Confirmation>>,
    named_by: &'static str,
    tokens: ServerData<Page<ApiToken>>,
) -> impl IntoView {
    let moment = |at: Option<String>| match at {
        Some(at) => view! { <LocalTime at=at /> }.into_any(),
        None => "Never".into_any(),
    };
    let scopes: Vec<_> = token.scopes.iter().map(scope_name).collect();
    let path = item_path(OWN, &token.id);
    let question = Confirmation {
        heading: "Revoke this token?".to_owned(),
        subject: token.name.clone(),
        consequence: "stops working immediately. This cannot be undone.".to_owned(),
        action: "Revoke",
        second: None,
        work: removing(path),
        done: Arc::new(move || {
            // The focused button is removed with its row.
            dom::focus(named_by);
            tokens.load();
        }),
    };
    view! {
        <tr role="row">
            <td role="cell" class="cell-name">
                <strong>{token.name.clone()}</strong>
                <span class="quiet">{format!("{}…", token.prefix)}</span>
            </td>
            <Cell label="Owner">{token.username.unwrap_or_else(|| "You".to_owned())}</Cell>
            <Cell label="Scopes">{scopes.join(", ")}</Cell>
            <Cell label="Expires">{moment(token.expires_at)}</Cell>
            <Cell label="Last used">{moment(token.last_used_at)}</Cell>
            <td role="cell" class="number cell-actions">
                <button
                    type="button"
                    class="button button-quiet"
                    aria-label=format!("Revoke {}", token.name)
                    on:click=move |_| confirmation.set(Some(question.clone()))
                >
                    <Icon glyph=Glyph::Trash />
                    "Revoke"
                </button>
            </td>
        </tr>
    }
}

#[component]
fn TokenForm(is_making: RwSignal<bool>, tokens: ServerData<Page<ApiToken>>) -> impl IntoView {
    let submission = Submission::new();
    let is_admin = match AppContext::expect().sign_in_untracked() {
        SignInState::SignedIn(user) => user.is_admin(),
        _ => false,
    };
    let name = RwSignal::new(String::new());
    let days = RwSignal::new("90".to_owned());
    let record = RwSignal::new(true);
    let read = RwSignal::new(true);
    let administer = RwSignal::new(false);
    let made = RwSignal::new(None::<String>);

    let submit = move |event: ev::SubmitEvent| {
        event.prevent_default();
        let days = days.get_untracked();
        let expires_in_days = match days.trim() {
            "" => None,
            days => match days.parse() {
                Ok(days) => Some(days),
                Err(_) => {
                    let problem = "Give the days as a whole number, or leave them empty.";
                    submission.problem.set(Some(problem.to_owned()));
                    return;
                }
            },
        };
        let scopes = [
            (record, TokenScope::Record),
            (read, TokenScope::Read),
            (administer, TokenScope::Admin),
        ];
        let new = NewApiToken {
            name: name.get_untracked().trim().to_owned(),
            scopes: scopes
                .into_iter()
                .filter_map(|(is_set, scope)| is_set.get_untracked().then_some(scope))
                .collect(),
            expires_in_days,
        };
        submission.send(
            async move |api| {
                api.request::<CreatedApiToken>(Method::POST, OWN, &new)
                    .await
            },
            move |created| {
                made.set(Some(created.token));
                tokens.load();
            },
        );
    };
    view! {
        <h2 id="token-heading">"Create token"</h2>
        {move || match made.get() {
            Some(token) => {
                view! {
                    <ShownOnce
                        instruction="Copy the token now: it is not shown again."
                        secret=token
                        on_done=move |()| is_making.set(false)
                    />
                }
                    .into_any()
            }
            None => view! {
                <form class="form" novalidate on:submit=submit>
                    <TextField id="token-name" label="Name" hint="What it is for" value=name />
                    <CheckField id="token-record" label="Record and upload" value=record />
                    <CheckField id="token-read" label="List and download" value=read />
                    {is_admin
                        .then(|| {
                            view! { <CheckField id="token-admin" label="Everything an administrator may" value=administer /> }
                        })}
                    <TextField
                        id="token-days"
                        label="Days until it expires"
                        kind="number"
                        hint="Empty: it does not expire"
                        value=days
                    />
                    <FormActions
                        submission=submission
                        on_cancel=move |()| is_making.set(false)
                        action="Create token"
                    />
                </form>
            }.into_any(),
        }}
    }
}
