use leptos::ev;
use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos::wasm_bindgen::JsCast;
use sortie_api::{User, UserSource};

use super::{ConfirmDialog, Glyph, Icon};
use crate::status_texts;
use crate::web::address::Link;
use crate::web::api::ApiError;
use crate::web::app_context::AppContext;
use crate::web::dom;
use crate::web::load;
use crate::web::pages::ADMIN;
use crate::web::recorder_status::RecorderStatus;

const BUTTON: &str = "user-menu-button";
const PANEL: &str = "user-menu";

/// Menu with the user's name, links to the account pages, and Sign out.
#[component]
pub(super) fn UserMenu(user: User) -> impl IntoView {
    let app = AppContext::expect();
    let recorder = RecorderStatus::expect();
    let is_open = RwSignal::new(false);
    let problem = RwSignal::new(None::<String>);
    let menu = NodeRef::<html::Div>::new();

    // Closes on clicks outside and when the focus leaves.
    let click = window_event_listener(ev::pointerdown, move |event| {
        if is_open.get_untracked() && !contains(menu, event.target()) {
            is_open.set(false);
        }
    });
    on_cleanup(move || click.remove());
    let on_focus_out = move |event: ev::FocusEvent| {
        if event.related_target().is_some() && !contains(menu, event.related_target()) {
            is_open.set(false);
        }
    };
    let on_key = move |event: ev::KeyboardEvent| {
        if event.key() == "Escape" && is_open.get_untracked() {
            is_open.set(false);
            dom::focus(BUTTON);
        }
    };

    let confirmation = RwSignal::new(None);
    let user_id = StoredValue::new(user.id.clone());
    let sign_out = move |_| {
        problem.set(None);
        spawn_local(async move {
            let found = match load::confirm_sign_out(app, user_id.get_value()).await {
                Ok(search) => search.await,
                Err(_) => return problem.set(Some(ApiError::Unreachable.message())),
            };
            if let Some(found) = found {
                // The dialog gives the focus back to the button.
                is_open.set(false);
                dom::focus(BUTTON);
                return confirmation.set(Some(found));
            }
            match app.api().sign_out().await {
                Ok(()) => app.signed_out(),
                Err(error) => problem.set(Some(error.message())),
            }
        });
    };
    let close = move |_| is_open.set(false);
    let must_stay = move || recorder.has_unsent();

    let name = user.name().to_owned();
    let username = user.username.clone();
    view! {
        <div class="menu" node_ref=menu on:keydown=on_key on:focusout=on_focus_out>
            <button
                type="button"
                id=BUTTON
                class="avatar"
                aria-label="User menu"
                aria-expanded=move || is_open.get().to_string()
                aria-controls=PANEL
                on:click=move |_| is_open.update(|is_open| *is_open = !*is_open)
            >
                // Rendered by CSS: visible text would contradict the accessible name.
                <span class="initials" data-initials=status_texts::initials(&name)></span>
            </button>
            <div id=PANEL class="menu-panel" hidden=move || !is_open.get()>
                <p class="menu-name">
                    <span class="visually-hidden">"Signed in as "</span>
                    {name.clone()}
                    {(name != username).then(|| view! { <span class="quiet">{username}</span> })}
                </p>
                {user
                    .is_admin()
                    .then(|| {
                        view! {
                            <Link to=ADMIN attr:class="menu-item" on:click=close>
                                <Icon glyph=Glyph::Sliders />
                                "Admin Panel"
                            </Link>
                        }
                    })}
                <Link to="/account/sign-ins" attr:class="menu-item" on:click=close>
                    <Icon glyph=Glyph::Screen />
                    "Sign-ins"
                </Link>
                <Link to="/account/tokens" attr:class="menu-item" on:click=close>
                    <Icon glyph=Glyph::Key />
                    "API tokens"
                </Link>
                {(user.source == UserSource::Local)
                    .then(|| {
                        view! {
                            <Link to="/account/password" attr:class="menu-item" on:click=close>
                                <Icon glyph=Glyph::Shield />
                                "Change password"
                            </Link>
                        }
                    })}
                <button type="button" class="menu-item" disabled=must_stay on:click=sign_out>
                    <Icon glyph=Glyph::SignOut />
                    "Sign out"
                </button>
                <Show when=must_stay>
                    <p class="menu-hint">
                        "Stop the recording and wait until it is safe on the server before you sign out."
                    </p>
                </Show>
                <p class="menu-hint problem-text" role="alert">
                    {problem}
                </p>
            </div>
            <ConfirmDialog confirmation=confirmation />
        </div>
    }
}

fn contains(menu: NodeRef<html::Div>, target: Option<web_sys::EventTarget>) -> bool {
    let target = target.and_then(|target| target.dyn_into::<web_sys::Node>().ok());
    menu.get_untracked()
        .is_some_and(|menu| menu.contains(target.as_ref()))
}
