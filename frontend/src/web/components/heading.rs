use std::sync::atomic::{AtomicBool, Ordering};

use leptos::prelude::*;

use crate::web::dom;

const HEADING: &str = "page-heading";

/// Whether a page was shown before. On the first page, the browser places the focus.
static NAVIGATED: AtomicBool = AtomicBool::new(false);

/// Heading of a page. It sets the document's title and takes the focus after navigation, so that screen readers
/// announce the page and the keyboard starts there.
#[component]
pub(in crate::web) fn Heading(
    #[prop(into)] title: Signal<String>,
    /// Whether another element takes the focus after navigation.
    #[prop(optional)]
    keeps_focus_off: bool,
) -> impl IntoView {
    Effect::new(move |_| document().set_title(&format!("{} · Sortie Recording", title.get())));
    Effect::new(move |_| {
        if NAVIGATED.swap(true, Ordering::Relaxed) && !keeps_focus_off {
            // Scrolling would hide what is above the heading.
            dom::focus_in_place(HEADING);
        }
    });
    view! {
        <h1 id=HEADING tabindex="-1">
            {title}
        </h1>
    }
}
