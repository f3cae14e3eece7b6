//! The Admin Panel with its tabs.

mod audit;
mod sessions;
mod settings;
pub(super) mod storage;
mod users;
mod webhooks;

use leptos::ev;
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

use self::audit::AuditTab;
use self::sessions::SessionsTab;
use self::settings::SettingsTab;
use self::storage::StorageTab;
use self::users::UsersTab;
use self::webhooks::WebhooksTab;
use super::NotFoundPage;
use super::recordings::AllRecordings;
use super::tokens::TokensTab;
use crate::web::address::{Link, url, use_app_navigate};
use crate::web::app_context::{AppContext, SignInState};
use crate::web::components::{Heading, RequireSignIn};
use crate::web::dom;

/// Path of the Admin Panel.
pub(in crate::web) const ADMIN: &str = "/admin";

/// Tabs in display order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tab {
    Settings,
    Recordings,
    Sessions,
    Users,
    Tokens,
    Webhooks,
    Storage,
    Audit,
}

impl Tab {
    const ALL: [Self; 8] = [
        Self::Settings,
        Self::Recordings,
        Self::Sessions,
        Self::Users,
        Self::Tokens,
        Self::Webhooks,
        Self::Storage,
        Self::Audit,
    ];

    /// Last path segment, which is also part of the link's ID.
    fn key(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Recordings => "recordings",
            Self::Sessions => "sessions",
            Self::Users => "users",
            Self::Tokens => "tokens",
            Self::Webhooks => "webhooks",
            Self::Storage => "storage",
            Self::Audit => "audit",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Settings => "Settings",
            Self::Recordings => "Recordings",
            Self::Sessions => "Sessions",
            Self::Users => "Users",
            Self::Tokens => "API tokens",
            Self::Webhooks => "Webhooks",
            Self::Storage => "Storage",
            Self::Audit => "Audit log",
        }
    }

    fn link(self) -> String {
        format!("tab-{}", self.key())
    }

    fn address(self) -> String {
        format!("{ADMIN}/{}", self.key())
    }

    /// Tab of a path segment; the first tab without one.
    fn at(key: Option<&str>) -> Option<Self> {
        match key {
            None | Some("") => Some(Self::Settings),
            Some(key) => Self::ALL.into_iter().find(|tab| tab.key() == key),
        }
    }
}

#[component]
pub(in crate::web) fn AdminPage() -> impl IntoView {
    let app = AppContext::expect();
    let params = use_params_map();
    let tab = Memo::new(move |_| params.with(|params| Tab::at(params.get("tab").as_deref())));
    let is_admin = Memo::new(move |_| match app.sign_in() {
        SignInState::SignedIn(user) => user.is_admin(),
        _ => false,
    });
    view! {
        <Show when=move || tab.get().is_some() fallback=NotFoundPage>
            <RequireSignIn>
                <Show when=move || is_admin.get() fallback=NotAllowed>
                    <Panel tab=Signal::derive(move || tab.get().unwrap_or(Tab::Settings)) />
                </Show>
            </RequireSignIn>
        </Show>
    }
}

/// Page for signed-in users without the administrator role.
#[component]
pub(super) fn NotAllowed() -> impl IntoView {
    let app = AppContext::expect();
    view! {
        <section class="page page-narrow empty">
            <Heading title="For administrators only" />
            <p class="quiet">"Ask an administrator of this server, or sign in as one."</p>
            // The start page of an appliance also requires an administrator.
            <Show when=move || !app.is_appliance()>
                <Link to="/" attr:class="button button-primary">
                    "Go to the start page"
                </Link>
            </Show>
        </section>
    }
}

#[component]
fn Panel(tab: Signal<Tab>) -> impl IntoView {
    let tab = Memo::new(move |_| tab.get());
    view! {
        <section class="page admin" aria-labelledby="page-heading">
            <Heading title="Admin Settings" />
            <Tabs tab=tab />
            <div id="tab-panel" class="tab-panel" role="tabpanel" aria-labelledby=move || tab.get().link()>
                {move || match tab.get() {
                    Tab::Settings => view! { <SettingsTab /> }.into_any(),
                    Tab::Recordings => view! { <AllRecordings /> }.into_any(),
                    Tab::Sessions => view! { <SessionsTab /> }.into_any(),
                    Tab::Users => view! { <UsersTab /> }.into_any(),
                    Tab::Tokens => view! { <TokensTab /> }.into_any(),
                    Tab::Webhooks => view! { <WebhooksTab /> }.into_any(),
                    Tab::Storage => view! { <StorageTab /> }.into_any(),
                    Tab::Audit => view! { <AuditTab /> }.into_any(),
                }}
            </div>
        </section>
    }
}

/// Tabs as links, which can be bookmarked and opened in a new browser tab. Arrow keys move between them (ARIA Authoring
/// Practices, "Tabs").
#[component]
fn Tabs(tab: Memo<Tab>) -> impl IntoView {
    let navigate = use_app_navigate();
    let on_key = move |event: ev::KeyboardEvent| {
        let now = Tab::ALL.iter().position(|it| *it == tab.get_untracked());
        let (now, count) = (now.unwrap_or(0), Tab::ALL.len());
        let next = match event.key().as_str() {
            "ArrowRight" => (now + 1) % count,
            "ArrowLeft" => (now + count - 1) % count,
            "Home" => 0,
            "End" => count - 1,
            _ => return,
        };
        event.prevent_default();
        let next = Tab::ALL[next];
        navigate(&next.address(), Default::default());
        dom::focus(&next.link());
    };
    // On a narrow screen the tab bar scrolls.
    Effect::new(move |_| dom::reveal(&tab.get().link()));
    view! {
        <div class="tabs" role="tablist" aria-label="Admin Settings" on:keydown=on_key>
            {Tab::ALL
                .into_iter()
                .map(|it| {
                    let is_shown = move || tab.get() == it;
                    view! {
                        <a
                            id=it.link()
                            class="tab"
                            role="tab"
                            href=url(&it.address())
                            aria-selected=move || is_shown().to_string()
                            aria-controls="tab-panel"
                            tabindex=move || if is_shown() { "0" } else { "-1" }
                        >
                            {it.title()}
                        </a>
                    }
                })
                .collect_view()}
        </div>
    }
}
