use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::use_location;

use super::{ErrorNotice, Loading};
use crate::return_path;
use crate::web::address::{use_app_navigate, use_path};
use crate::web::app_context::{AppContext, SignInState};

/// Path of the page that changes the password.
const PASSWORD_PATH: &str = "/account/password";

/// Shows its children to signed-in users and redirects others to the sign-in page, which returns here. Users who must change
/// their password first are redirected to the page that does.
#[component]
pub(in crate::web) fn RequireSignIn(children: ChildrenFn) -> impl IntoView {
    let app = AppContext::expect();
    let path = use_path();
    let query = use_location().query;
    let navigate = use_app_navigate();

    // A memo: a change of the user's data must not rebuild the page.
    let is_signed_in = Memo::new(move |_| matches!(app.sign_in(), SignInState::SignedIn(_)));
    let is_signed_out = Memo::new(move |_| app.sign_in() == SignInState::SignedOut);
    let obstacle = Memo::new(move |_| match app.sign_in() {
        SignInState::Unreachable(message) => Some(message),
        _ => None,
    });

    // Not tracked: this page must stay hidden while the path is already that of the next one.
    let is_password_page = path.get_untracked() == PASSWORD_PATH;
    let must_change = Memo::new(move |_| app.must_change_password());

    let go = navigate.clone();
    Effect::new(move |_| {
        if must_change.get() && path.get() != PASSWORD_PATH {
            let options = NavigateOptions {
                replace: true,
                ..NavigateOptions::default()
            };
            go(PASSWORD_PATH, options);
        }
    });
    Effect::new(move |_| {
        if is_signed_out.get() {
            let here = path.get_untracked() + &query.get_untracked().to_query_string();
            let options = NavigateOptions {
                replace: true,
                ..NavigateOptions::default()
            };
            navigate(&return_path::sign_in_path(&here), options);
        }
    });

    view! {
        <Show
            when=move || is_signed_in.get() && (is_password_page || !must_change.get())
            fallback=move || {
                view! {
                    <Show
                        when=move || obstacle.get().is_some()
                        fallback=|| view! { <Loading label="Loading" /> }
                    >
                        <ErrorNotice
                            message=Signal::derive(move || obstacle.get().unwrap_or_default())
                            on_action=move |()| app.load()
                        />
                    </Show>
                }
            }
        >
            {children()}
        </Show>
    }
}
