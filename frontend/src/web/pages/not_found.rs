use leptos::prelude::*;

use crate::web::address::Link;
use crate::web::components::Heading;

/// Page for unknown addresses.
#[component]
pub(in crate::web) fn NotFoundPage() -> impl IntoView {
    view! {
        <section class="page page-narrow empty">
            <p class="empty-figure digits" aria-hidden="true">
                "404"
            </p>
            <Heading title="Page not found" />
            <p class="quiet">"There is nothing at this address. It may have been deleted, or the link is not complete."</p>
            <Link to="/" attr:class="button button-primary">
                "Go to the start page"
            </Link>
        </section>
    }
}
