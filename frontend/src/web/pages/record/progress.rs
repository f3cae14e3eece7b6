use leptos::prelude::*;
use sortie_client::State;

use crate::capacity;
use crate::format;
use crate::recorder_texts;
use crate::web::components::{Duration, Glyph, Icon, LiveRegion};
use crate::web::recorder_store::RecorderStore;

/// Progress of recording and upload.
#[component]
pub(super) fn Figures() -> impl IntoView {
    let recorder = RecorderStore::expect();
    let recorded_ms = Memo::new(move |_| recorder.recorded_ms());
    let size_bytes = Memo::new(move |_| recorder.progress.with(|progress| progress.size_bytes));
    let safe_until = Memo::new(move |_| recorder.progress.with(recorder_texts::safe_until));
    let is_behind = Memo::new(move |_| recorder.progress.with(recorder_texts::is_behind));
    let time_left = Memo::new(move |_| {
        let is_capturing = recorder.state.get().is_capturing();
        recorder
            .left_ms
            .get()
            .filter(|_| is_capturing)
            .and_then(capacity::left_text)
    });
    let limit = Memo::new(move |_| {
        let (level, max_bytes) = recorder.level();
        let is_capturing = recorder.state.get().is_capturing();
        capacity::warning(level, max_bytes).filter(|_| is_capturing)
    });
    let spoken = Memo::new(move |_| {
        recorder
            .progress
            .with(recorder_texts::waiting_announcement)
            .to_owned()
    });
    let waiting = Memo::new(move |_| recorder.progress.with(recorder_texts::waiting));
    let share = Memo::new(move |_| {
        recorder
            .progress
            .with(|progress| format::percent(progress.safe_bytes, progress.size_bytes))
    });
    let is_sending =
        Memo::new(move |_| matches!(recorder.state.get(), State::Stopping | State::Uploading));
    let rest = move || {
        let pending_bytes = recorder.progress.with(|progress| progress.pending_bytes);
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
        <p class="safe" class:safe-behind=is_behind>
            {move || {
                let glyph = if is_behind.get() { Glyph::Alert } else { Glyph::Shield };
                view! { <Icon glyph=glyph /> }
            }}
            <span class="digits">{safe_until}</span>
        </p>
        <Show when=move || time_left.with(Option::is_some)>
            <p class="quiet digits time-left">{time_left}</p>
        </Show>
        <Show when=move || is_sending.get()>
            <div class="sending">
                <progress class="progress" max="100" value=move || share.get() aria-label="Sent to the server"></progress>
                <p class="quiet digits">{rest}</p>
                <p class="quiet">"Keep this page open until the upload finishes."</p>
            </div>
        </Show>
        <LiveRegion text=spoken />
        <div>{move || waiting.get().map(|message| view! { <Hint message=message /> })}</div>
        <div role="status">
            {move || limit.get().map(|message| view! { <Hint message=message is_warning=true /> })}
            {move || recorder.warning.get().map(|message| view! { <Hint message=message /> })}
            {move || recorder.stopped.get().map(|message| view! { <Hint message=message.to_owned() /> })}
        </div>
    }
}

/// Hint or warning in a calm style.
#[component]
fn Hint(
    message: String,
    /// Whether the user should act soon.
    #[prop(default = false)]
    is_warning: bool,
) -> impl IntoView {
    view! {
        <p class="remark" class:remark-warning=is_warning>
            <Icon glyph=if is_warning { Glyph::Alert } else { Glyph::Info } />
            <span>{message}</span>
        </p>
    }
}
