//! Parts of the application whose code is a WebAssembly module of its own, fetched when the part is opened.
//!
//! `wasm-split` moves everything that only functions marked with the same name use into that name's module. Each function
//! returns a function that renders a page, because its caller must not hold a type of the module.

use std::future::Future;

use futures_util::future::{FutureExt, LocalBoxFuture};
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos::wasm_split;
use leptos::wasm_split::SplitLoaderError;

use super::components::{Confirmation, ErrorNotice, Loading};
use super::{app_context::AppContext, device_copies, pages};

/// Renders a loaded page.
type Render = fn() -> AnyView;

#[wasm_split::wasm_split(admin, wasm_split_path = leptos::wasm_split, fallible)]
pub(super) fn password() -> Result<Render, SplitLoaderError> {
    Ok(|| pages::PasswordPage().into_any())
}

#[wasm_split::wasm_split(admin, wasm_split_path = leptos::wasm_split, fallible)]
pub(super) fn tokens() -> Result<Render, SplitLoaderError> {
    Ok(|| pages::TokensPage().into_any())
}

#[wasm_split::wasm_split(admin, wasm_split_path = leptos::wasm_split, fallible)]
pub(super) fn sign_ins() -> Result<Render, SplitLoaderError> {
    Ok(|| pages::SignInsPage().into_any())
}

#[wasm_split::wasm_split(admin, wasm_split_path = leptos::wasm_split, fallible)]
pub(super) fn admin() -> Result<Render, SplitLoaderError> {
    Ok(|| pages::AdminPage().into_any())
}

#[wasm_split::wasm_split(admin, wasm_split_path = leptos::wasm_split, fallible)]
pub(super) fn appliance() -> Result<Render, SplitLoaderError> {
    Ok(|| pages::AppliancePage().into_any())
}

#[wasm_split::wasm_split(player, wasm_split_path = leptos::wasm_split, fallible)]
pub(super) fn player() -> Result<Render, SplitLoaderError> {
    Ok(|| pages::PlayerPage().into_any())
}

#[wasm_split::wasm_split(recorder, wasm_split_path = leptos::wasm_split, fallible)]
pub(super) fn recorder() -> Result<Render, SplitLoaderError> {
    Ok(|| pages::RecorderPage().into_any())
}

/// Confirmation of a sign-out that deletes the user's unfinished recordings on this device; `None` without any.
#[wasm_split::wasm_split(recorder, wasm_split_path = leptos::wasm_split, fallible)]
pub(super) fn confirm_sign_out(
    app: AppContext,
    owner: String,
) -> Result<LocalBoxFuture<'static, Option<Confirmation>>, SplitLoaderError> {
    Ok(device_copies::confirm_sign_out(app, owner).boxed_local())
}

#[derive(Clone, Copy)]
enum LoadState {
    Loading,
    Failed,
    Loaded(Render),
}

/// A page whose code may not be loaded yet.
#[component]
pub(super) fn LoadedPage<F, L>(
    /// One of this module's functions.
    load: F,
) -> impl IntoView
where
    F: Fn() -> L + Copy + Send + Sync + 'static,
    L: Future<Output = Result<Render, SplitLoaderError>> + 'static,
{
    let state = RwSignal::new(LoadState::Loading);
    let start = move || {
        state.set(LoadState::Loading);
        spawn_local(async move {
            let outcome = load().await.map_or(LoadState::Failed, LoadState::Loaded);
            // The user may have left the page.
            let _ = state.try_set(outcome);
        });
    };
    start();
    move || match state.get() {
        LoadState::Loading => {
            view! { <section class="page"><Loading label="Loading" /></section> }.into_any()
        }
        LoadState::Failed => view! {
            <section class="page">
                <ErrorNotice
                    message=UNREACHABLE
                    action="Retry"
                    on_action=move |()| start()
                />
            </section>
        }
        .into_any(),
        LoadState::Loaded(render) => render(),
    }
}

/// Message for code that cannot be fetched: the network is down, or an update of the server replaced the file.
pub(super) const UNREACHABLE: &str = "This page could not be loaded. Check your connection and retry. If the server was updated, reload the page.";
