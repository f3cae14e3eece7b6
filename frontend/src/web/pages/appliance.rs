//! The page of an appliance: status, storage, settings and recordings.

mod list;
mod notices;
mod picture;
mod settings;
mod status;
mod storage;
mod store;
mod test_signal;

use leptos::prelude::*;

use self::list::List;
use self::notices::Notices;
use self::picture::LivePicture;
use self::settings::SettingsForm;
use self::status::Status;
use self::storage::StorageCard;
use self::store::ApplianceStore;
use self::test_signal::TestSignalControl;
use super::admin::NotAllowed;
use crate::web::app_context::{AppContext, SignInState};
use crate::web::components::{Heading, Loading, RequireSignIn};

/// Title of the page.
pub(in crate::web) const VIDEO_RECORDING: &str = "Video Recording";

/// Page of the appliance, for administrators only, like its routes.
#[component]
pub(in crate::web) fn AppliancePage() -> impl IntoView {
    let app = AppContext::expect();
    let is_admin = Memo::new(move |_| match app.sign_in() {
        SignInState::SignedIn(user) => user.is_admin(),
        _ => false,
    });
    view! {
        <RequireSignIn>
            <Show when=move || is_admin.get() fallback=NotAllowed>
                <Page />
            </Show>
        </RequireSignIn>
    }
}

#[component]
fn Page() -> impl IntoView {
    let appliance = ApplianceStore::new();
    let is_known = Memo::new(move |_| appliance.state.with(Option::is_some));
    let has_test_picture =
        Memo::new(move |_| appliance.with(|now| now.test_source).unwrap_or(false));
    let is_waiting = move || !is_known.get() && !appliance.is_unreachable();
    view! {
        <section class="page appliance" aria-labelledby="page-heading">
            <Heading title=VIDEO_RECORDING />
            <Notices appliance=appliance />
            <Show when=is_waiting>
                <Loading label="Loading" bars=4 />
            </Show>
            <Show when=move || is_known.get()>
                <div class="appliance-grid" class:is-stale=move || appliance.is_unreachable()>
                    <div class="appliance-main">
                        <LivePicture appliance=appliance />
                        <Status appliance=appliance />
                        <Show when=move || has_test_picture.get()>
                            <TestSignalControl appliance=appliance />
                        </Show>
                    </div>
                    <SettingsForm appliance=appliance />
                </div>
                <List appliance=appliance />
                <StorageCard appliance=appliance />
            </Show>
        </section>
    }
}
