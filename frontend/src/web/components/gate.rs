use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::use_location;

use super::{ErrorNotice, Loading};
use crate::return_path;
use crate::web::address::{use_go, use_path};
use crate::web::session::{Session, SignIn};

/// Shows what is inside to whoever is signed in, and leads everybody else to the sign-in page and back.
#[component]
pub(in crate::web) fn Gate(children: ChildrenFn) -> impl IntoView {
    let session = Session::expect();
    let path = use_path();
    let query = use_location().query;
    let navigate = use_go();

    // The person's data may change without the page being built anew.
    let is_signed_in = Memo::new(move |_| matches!(session.sign_in(), SignIn::SignedIn(_)));
    let is_signed_out = Memo::new(move |_| session.sign_in() == SignIn::SignedOut);
    let obstacle = Memo::new(move |_| match session.sign_in() {
        SignIn::Unreachable(sentence) => Some(sentence),
        _ => None,
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
            when=move || is_signed_in.get()
            fallback=move || {
                view! {
                    <Show
                        when=move || obstacle.get().is_some()
                        fallback=|| view! { <Loading label="Loading" /> }
                    >
                        <ErrorNotice
                            sentence=Signal::derive(move || obstacle.get().unwrap_or_default())
                            on_action=move |()| session.load()
                        />
                    </Show>
                }
            }
        >
            {children()}
        </Show>
    }
}
