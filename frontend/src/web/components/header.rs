use leptos::either::Either;
use leptos::prelude::*;

use super::user_menu::UserMenu;
use super::{Glyph, Icon};
use crate::format;
use crate::return_path;
use crate::web::address::{Link, use_app_navigate, use_path};
use crate::web::app_context::{AppContext, SignInState};
use crate::web::last_list::LastList;
use crate::web::pages::VIDEO_RECORDING;
use crate::web::recorder_status::RecorderStatus;

/// List of all recordings in the Admin Panel.
const ALL_RECORDINGS: &str = "/admin/recordings";

/// Header of all pages.
#[component]
pub(in crate::web) fn Header() -> impl IntoView {
    let app = AppContext::expect();
    let path = use_path();
    let user = Memo::new(move |_| match app.sign_in() {
        SignInState::SignedIn(user) => Some(user),
        _ => None,
    });
    let has_recordings =
        move || user.with(Option::is_some) && app.recording_enabled() == Some(true);
    let offers_sign_in = Memo::new(move |_| {
        app.sign_in() == SignInState::SignedOut && path.get() != return_path::SIGN_IN
    });

    view! {
        <header class="header">
            <div class="header-inner">
                <Link to="/" attr:class="brand">
                    <Logo />
                    <span>"Sortie Recording"</span>
                </Link>
                <Show when=has_recordings>
                    <Show when=move || app.is_appliance() fallback=Navigation>
                        <Sidebar />
                    </Show>
                </Show>
                <div class="header-end">
                    {move || {
                        user
                            .get()
                            .map(|user| Either::Left(view! { <UserMenu user=user /> }))
                            .or_else(|| {
                                offers_sign_in
                                    .get()
                                    .then(|| Either::Right(view! { <Link to=return_path::SIGN_IN attr:class="button">"Sign in"</Link> }))
                            })
                    }}
                </div>
            </div>
        </header>
    }
}

/// Main navigation, and a link back to a running recording from other pages.
#[component]
fn Navigation() -> impl IntoView {
    let recorder = RecorderStatus::expect();
    let last_list = LastList::expect();
    let navigate = use_app_navigate();
    let path = use_path();
    let is_elsewhere = Memo::new(move |_| recorder.has_unsent() && path.get() != "/");
    let in_list = move || path.with(|path| path.starts_with("/recordings"));

    view! {
        <nav class="nav" aria-label="Main">
            <Link to="/" attr:class="nav-item">
                <Icon glyph=Glyph::Screen />
                <span>"Record"</span>
            </Link>
            <button
                type="button"
                class="nav-item"
                aria-label="View recordings"
                aria-current=move || in_list().then_some("page")
                on:click=move |_| {
                    last_list.clear();
                    navigate("/recordings", Default::default());
                }
            >
                <Icon glyph=Glyph::Film />
                <span>"View recordings"</span>
            </button>
        </nav>
        <Show when=move || is_elsewhere.get()>
            <Link to="/" attr:class="live-link">
                <span class="live-dot" class:live-dot-still=move || !recorder.is_live() aria-hidden="true"></span>
                <span class="visually-hidden">"Back to your recording"</span>
                <span class="digits" aria-hidden="true">{move || format::clock(recorder.recorded_ms())}</span>
            </Link>
        </Show>
    }
}

/// Main navigation of an appliance; a sidebar on wide screens.
#[component]
fn Sidebar() -> impl IntoView {
    view! {
        <nav class="nav sidebar" aria-label="Main">
            <Link to="/" attr:class="nav-item">
                <Icon glyph=Glyph::Record />
                <span>{VIDEO_RECORDING}</span>
            </Link>
            <Link to=ALL_RECORDINGS attr:class="nav-item">
                <Icon glyph=Glyph::Film />
                <span>"All Recordings"</span>
            </Link>
        </nav>
    }
}

#[component]
fn Logo() -> impl IntoView {
    view! {
        <svg class="mark" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
            <rect class="mark-body" x="1" y="1" width="30" height="30" rx="8" />
            <circle class="mark-ring" cx="16" cy="16" r="8.75" />
            <circle class="mark-dot" cx="16" cy="16" r="4.5" />
        </svg>
    }
}
