//! Change of the own password.

use gloo_net::http::Method;
use leptos::ev;
use leptos::prelude::*;
use leptos_router::NavigateOptions;
use sortie_api::ChangePassword;

use crate::web::address::use_app_navigate;
use crate::web::app_context::AppContext;
use crate::web::components::{CheckField, Glyph, Heading, Icon, RequireSignIn, TextField};
use crate::web::submission::Submission;

#[component]
pub(in crate::web) fn PasswordPage() -> impl IntoView {
    view! {
        <RequireSignIn>
            <section class="page page-narrow" aria-labelledby="page-heading">
                <Heading title="Change password" />
                <PasswordForm />
            </section>
        </RequireSignIn>
    }
}

#[component]
fn PasswordForm() -> impl IntoView {
    let app = AppContext::expect();
    let navigate = use_app_navigate();
    let submission = Submission::new();
    let must_change = Memo::new(move |_| app.must_change_password());
    let current = RwSignal::new(String::new());
    let new = RwSignal::new(String::new());
    let again = RwSignal::new(String::new());
    let ends_tokens = RwSignal::new(false);
    let is_done = RwSignal::new(false);
    let submit = move |event: ev::SubmitEvent| {
        event.prevent_default();
        is_done.set(false);
        if new.get_untracked() != again.get_untracked() {
            let problem = "The two new passwords are not the same.";
            submission.problem.set(Some(problem.to_owned()));
            return;
        }
        let change = ChangePassword {
            current_password: current.get_untracked(),
            new_password: new.get_untracked(),
            revoke_tokens: ends_tokens.get_untracked(),
        };
        let is_first = must_change.get_untracked();
        let navigate = navigate.clone();
        submission.send(
            async move |api| {
                api.execute(Method::POST, "/api/auth/password", &change)
                    .await
            },
            move |()| {
                for field in [current, new, again] {
                    field.set(String::new());
                }
                is_done.set(true);
                if is_first {
                    app.load();
                    navigate("/", NavigateOptions::default());
                }
            },
        );
    };
    view! {
        <Show when=move || must_change.get()>
            <p class="notice lead">
                <Icon glyph=Glyph::Info />
                "Choose your own password to continue. The generated one is in the log of this device."
            </p>
        </Show>
        <form class="form" novalidate on:submit=submit>
            <TextField
                id="current-password"
                label="Current password"
                kind="password"
                autocomplete="current-password"
                value=current
            />
            <TextField
                id="new-password"
                label="New password"
                kind="password"
                autocomplete="new-password"
                hint="At least 8 characters"
                value=new
            />
            <TextField
                id="new-password-again"
                label="New password again"
                kind="password"
                autocomplete="new-password"
                value=again
            />
            <CheckField id="end-tokens" label="End my API tokens, too" value=ends_tokens />
            <p class="saved" role="status">
                {move || is_done.get().then_some("Password changed. You are signed out everywhere else.")}
            </p>
            <p class="problem-text" role="alert">
                {submission.problem}
            </p>
            <button type="submit" class="button button-primary" disabled=submission.is_busy>
                "Change password"
            </button>
        </form>
    }
}
