use leptos::prelude::*;
use sortie_api::Recording;

use crate::status_texts;

/// Status of a recording, and whether it was interrupted.
#[component]
pub(in crate::web) fn StatusBadge(recording: Signal<Recording>) -> impl IntoView {
    let status = Memo::new(move |_| recording.with(|recording| recording.status));
    let interrupted = Memo::new(move |_| recording.with(|recording| recording.interrupted));
    view! {
        <span class="badges">
            <span class=move || format!("badge badge-{}", status_texts::status_class(status.get()))>
                <span class="badge-dot" aria-hidden="true"></span>
                {move || status_texts::status(status.get())}
            </span>
            <Show when=move || interrupted.get()>
                <span
                    class="badge badge-interrupted"
                    title="The connection was lost. Everything received until then was kept."
                >
                    "Interrupted"
                </span>
            </Show>
        </span>
    }
}
