use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::web::dom;

/// Button that copies the text.
const COPY: &str = "shown-once-copy";

/// Secret that the server returns only once, with buttons to copy it and to close the dialog.
#[component]
pub(in crate::web) fn ShownOnce(
    /// Instruction above the secret.
    instruction: &'static str,
    secret: String,
    #[prop(into)] on_done: Callback<()>,
) -> impl IntoView {
    let is_copied = RwSignal::new(false);
    let text = StoredValue::new(secret.clone());
    let copy = move |_| {
        let copying = window()
            .navigator()
            .clipboard()
            .write_text(&text.get_value());
        spawn_local(async move {
            let outcome = wasm_bindgen_futures::JsFuture::from(copying).await;
            let _ = is_copied.try_set(outcome.is_ok());
        });
    };
    // The button that had the focus was removed.
    request_animation_frame(|| dom::focus(COPY));
    view! {
        <p role="status">{instruction}</p>
        <p>
            <code class="token">{secret}</code>
        </p>
        <div class="dialog-actions">
            <button type="button" id=COPY class="button" on:click=copy>
                {move || if is_copied.get() { "Copied" } else { "Copy" }}
            </button>
            <button type="button" class="button button-primary" on:click=move |_| on_done.run(())>
                "Done"
            </button>
        </div>
    }
}
