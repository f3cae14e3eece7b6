use leptos::prelude::*;
use sortie_client::State;

use crate::format;
use crate::live;
use crate::web::components::{Duration, Glyph, Icon};
use crate::web::record::Desk;

/// How far recording and uploading are.
#[component]
pub(super) fn Figures() -> impl IntoView {
    let desk = Desk::expect();
    let recorded_ms = Memo::new(move |_| desk.recorded_ms());
    let size_bytes = Memo::new(move |_| desk.progress.with(|progress| progress.size_bytes));
    let safe_until = Memo::new(move |_| desk.progress.with(live::safe_until));
    let waiting = Memo::new(move |_| desk.progress.with(live::waiting));
    let share = Memo::new(move |_| {
        desk.progress
            .with(|progress| format::percent(progress.safe_bytes, progress.size_bytes))
    });
    let is_sending =
        Memo::new(move |_| matches!(desk.state.get(), State::Stopping | State::Uploading));
    let rest = move || {
        let pending_bytes = desk.progress.with(|progress| progress.pending_bytes);
        if pending_bytes == 0 {
            "Finishing…".to_owned()
        } else {
            format!("{} still to send", format::size(pending_bytes))
        }
    };

    view! {
        <dl class="figures">
            <div>
                <dt>"Duration"</dt>
                <dd>
                    <Duration duration_ms=recorded_ms />
                </dd>
            </div>
            <div>
                <dt>"Size"</dt>
                <dd class="digits">{move || format::size(size_bytes.get())}</dd>
            </div>
        </dl>
        <p class="safe">
            <Icon glyph=Glyph::Shield />
            <span class="digits">{safe_until}</span>
        </p>
        <Show when=move || is_sending.get()>
            <div class="sending">
                <progress class="progress" max="100" value=move || share.get() aria-label="Sent to the server"></progress>
                <p class="quiet digits">{rest}</p>
                <p class="quiet">"Keep this page open until everything has arrived. The player opens by itself."</p>
            </div>
        </Show>
        <div role="status">
            {move || waiting.get().map(|sentence| view! { <Remark sentence=sentence /> })}
        </div>
        <div role="status">
            {move || desk.warning.get().map(|sentence| view! { <Remark sentence=sentence /> })}
            {move || desk.stopped.get().map(|sentence| view! { <Remark sentence=sentence.to_owned() /> })}
        </div>
    }
}

/// Something worth knowing, said calmly.
#[component]
fn Remark(sentence: String) -> impl IntoView {
    view! {
        <p class="remark">
            <Icon glyph=Glyph::Info />
            <span>{sentence}</span>
        </p>
    }
}
