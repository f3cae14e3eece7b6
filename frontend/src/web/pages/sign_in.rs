use leptos::ev;
use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::NavigateOptions;
use leptos_router::hooks::use_query_map;
use sortie_api::{Login, SignInMethods};

use crate::query::address;
use crate::return_path;
use crate::web::address::{url, use_app_navigate};
use crate::web::app_context::{AppContext, SignInState};
use crate::web::components::{ErrorNotice, Glyph, Heading, Icon};

/// Sign-in page; returns to the page that required the sign-in.
#[component]
pub(in crate::web) fn SignInPage() -> impl IntoView {
    let app = AppContext::expect();
    let navigate = use_app_navigate();
    let query = use_query_map();

    let is_signed_in = Memo::new(move |_| matches!(app.sign_in(), SignInState::SignedIn(_)));
    Effect::new(move |_| {
        if is_signed_in.get() {
            let next = query
                .with_untracked(|query| query.get("next"))
                .unwrap_or_default();
            let options = NavigateOptions {
                replace: true,
                ..NavigateOptions::default()
            };
            navigate(return_path::checked(&next), options);
        }
    });

    let obstacle = Memo::new(move |_| match app.sign_in() {
        SignInState::Unreachable(message) => Some(message),
        _ => None,
    });
    view! {
        <section class="page page-narrow sign-in">
            <div class="card sign-in-card">
                <Heading title="Sign in" keeps_focus_off=true />
                <p class="quiet">"to record and to see your recordings"</p>
                <Show when=move || obstacle.get().is_some() fallback=SignInMethodList>
                    <ErrorNotice
                        message=Signal::derive(move || obstacle.get().unwrap_or_default())
                        on_action=move |()| app.load()
                    />
                </Show>
            </div>
        </section>
    }
}

/// Sign-in methods of the server: password form, OpenID provider, or both.
#[component]
fn SignInMethodList() -> impl IntoView {
    let app = AppContext::expect();
    let query = use_query_map();
    let methods = RwSignal::new(None::<SignInMethods>);
    spawn_local(async move {
        // Without a response, the form is shown; its submission reports the error.
        if let Ok(answer) = app.api().methods().await {
            let _ = methods.try_set(Some(answer));
        }
    });
    let has_form = Memo::new(move |_| {
        methods.with(|methods| methods.as_ref().is_none_or(|methods| methods.password))
    });
    let provider = move || {
        let provider = methods.get()?.oidc?;
        let next = query.with(|query| query.get("next")).unwrap_or_default();
        let address = address(
            &url(&provider.url),
            &[("return_to", return_path::checked(&next))],
        );
        Some(view! {
            // The link leads outside of the application's router.
            <a class="button button-wide" href=address rel="external">
                {format!("Sign in with {}", provider.name)}
            </a>
        })
    };
    view! {
        <Show when=move || has_form.get()>
            <SignInForm />
        </Show>
        <p class="sign-in-provider">{provider}</p>
    }
}

#[component]
fn SignInForm() -> impl IntoView {
    let app = AppContext::expect();
    let username = NodeRef::<html::Input>::new();
    let password = NodeRef::<html::Input>::new();
    let is_shown = RwSignal::new(false);
    let is_busy = RwSignal::new(false);
    let problem = RwSignal::new(None::<String>);

    Effect::new(move |_| {
        if let Some(field) = username.get() {
            // Fails only for a field outside of the document.
            let _ = field.focus();
        }
    });

    let submit = move |event: ev::SubmitEvent| {
        event.prevent_default();
        let (Some(name_field), Some(password_field)) =
            (username.get_untracked(), password.get_untracked())
        else {
            return;
        };
        if is_busy.get_untracked() {
            return;
        }
        // Password managers may fill fields without an event, so the values are read from the fields.
        let login = Login {
            username: name_field.value().trim().to_owned(),
            password: password_field.value(),
            cookies_only: true,
        };
        if let Some((message, field)) = missing(&login, &name_field, &password_field) {
            problem.set(Some(message.to_owned()));
            let _ = field.focus();
            return;
        }
        is_busy.set(true);
        problem.set(None);
        spawn_local(async move {
            let outcome = app.api().sign_in(&login).await;
            if is_busy.try_set(false).is_some() {
                return;
            }
            match outcome {
                Ok(user) => app.signed_in(user),
                Err(error) => {
                    problem.set(Some(error.message()));
                    password_field.select();
                }
            }
        });
    };

    let invalid = move || problem.get().is_some().then_some("true");
    view! {
        <form class="form" novalidate on:submit=submit>
            <div class="problem-slot" id="sign-in-problem" role="alert">
                {move || {
                    problem
                        .get()
                        .map(|problem| view! {
                            <div class="notice notice-problem">
                                <Icon glyph=Glyph::Alert />
                                <p>{problem}</p>
                            </div>
                        })
                }}
            </div>
            <div class="field">
                <label for="username">"User name"</label>
                <input
                    node_ref=username
                    class="input"
                    id="username"
                    name="username"
                    type="text"
                    autocomplete="username"
                    autocapitalize="none"
                    spellcheck="false"
                    required
                    aria-invalid=invalid
                    aria-describedby="sign-in-problem"
                />
            </div>
            <div class="field">
                <label for="password">"Password"</label>
                <div class="input-group">
                    <input
                        node_ref=password
                        class="input"
                        id="password"
                        name="password"
                        type=move || if is_shown.get() { "text" } else { "password" }
                        autocomplete="current-password"
                        autocapitalize="none"
                        spellcheck="false"
                        required
                        aria-invalid=invalid
                        aria-describedby="sign-in-problem"
                    />
                    <button
                        type="button"
                        class="input-button"
                        aria-pressed=move || is_shown.get().to_string()
                        aria-controls="password"
                        on:click=move |_| is_shown.update(|is_shown| *is_shown = !*is_shown)
                    >
                        "Show"
                    </button>
                </div>
            </div>
            <button type="submit" class="button button-primary button-wide" aria-disabled=move || is_busy.get().to_string()>
                {move || if is_busy.get() { "Signing in…" } else { "Sign in" }}
            </button>
        </form>
    }
}

/// First empty field, with its message.
fn missing<'a>(
    login: &Login,
    username: &'a web_sys::HtmlInputElement,
    password: &'a web_sys::HtmlInputElement,
) -> Option<(&'static str, &'a web_sys::HtmlInputElement)> {
    if login.username.is_empty() {
        Some(("Enter your user name.", username))
    } else if login.password.is_empty() {
        Some(("Enter your password.", password))
    } else {
        None
    }
}
