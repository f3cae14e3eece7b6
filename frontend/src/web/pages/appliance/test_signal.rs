use gloo_net::http::Method;
use leptos::prelude::*;
use leptos::task::spawn_local;
use sortie_api::{SignalState, TestSignal};

use super::store::ApplianceStore;

const SIGNALS: [(SignalState, &str); 4] = [
    (SignalState::Steady, "Picture"),
    (SignalState::NoSignal, "No signal"),
    (SignalState::NoLock, "No lock"),
    (SignalState::Unsupported, "Unsupported"),
];

/// Controls of the test source, which makes the page usable without capture hardware.
#[component]
pub(super) fn TestSignalControl(appliance: ApplianceStore) -> impl IntoView {
    let now = Memo::new(move |_| appliance.with(|now| now.signal.state));
    let problem = RwSignal::new(None::<String>);
    let switch = move |state| {
        problem.set(None);
        spawn_local(async move {
            let body = TestSignal { state };
            let api = appliance.api();
            let response = api.execute(Method::POST, "/api/appliance/test-signal", &body);
            if let Err(error) = response.await {
                let _ = problem.try_set(Some(appliance.explain(&error)));
            }
        });
    };
    let buttons = SIGNALS.map(|(state, text)| {
        view! {
            <button
                type="button"
                class="button button-segment"
                aria-pressed=move || (now.get() == Some(state)).to_string()
                on:click=move |_| switch(state)
            >
                {text}
            </button>
        }
    });
    view! {
        <div class="card test-picture" role="group" aria-labelledby="test-picture-heading">
            <h2 id="test-picture-heading" class="card-heading">
                "Test pattern"
            </h2>
            <p class="quiet">"No capture hardware is used. Choose the signal:"</p>
            <div class="segments">{buttons}</div>
            <p class="problem-text" role="alert">
                {problem}
            </p>
        </div>
    }
}
