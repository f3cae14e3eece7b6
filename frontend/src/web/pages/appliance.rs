//! The page of an appliance: status, storage, settings and recordings.

mod alarms;
mod day_strip;
mod health;
mod list;
mod notices;
mod picture;
mod schedule;
mod settings;
mod settings_sheet;
mod status;
mod storage;
mod store;
mod test_signal;

use leptos::prelude::*;

use self::day_strip::DayStrip;
use self::health::Health;
use self::list::List;
use self::notices::Notices;
use self::picture::LivePicture;
use self::settings_sheet::SettingsSheet;
use self::status::{Recorder, Status};
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
    let host = Memo::new(move |_| appliance.with(|now| now.host.clone()).flatten());
    // First in the title: tabs of several appliances show only its beginning.
    Effect::new(move |_| {
        if let Some(host) = host.get() {
            document().set_title(&format!("{host} · {VIDEO_RECORDING} · Sortie Recording"));
        }
    });
    let is_waiting = move || !is_known.get() && !appliance.is_unreachable();
    view! {
        <section class="page appliance" aria-labelledby="page-heading">
            <div class="page-head appliance-head">
                <div class="appliance-title">
                    <Heading title=VIDEO_RECORDING />
                    {move || host.get().map(|host| view! { <p class="appliance-host">{host}</p> })}
                </div>
                <Show when=move || is_known.get()>
                    <SettingsSheet appliance=appliance />
                </Show>
            </div>
            <Notices appliance=appliance />
            <Show when=is_waiting>
                <Loading label="Loading" bars=4 />
            </Show>
            <Show when=move || is_known.get()>
                <div class="appliance-body" class:is-stale=move || appliance.is_unreachable()>
                    <div class="appliance-grid">
                        <div class="card live-card" class:is-on-air=move || appliance.is_recording()>
                            <LivePicture appliance=appliance />
                            <Recorder appliance=appliance />
                        </div>
                        <div class="appliance-side">
                            <Status appliance=appliance />
                            <Show when=move || has_test_picture.get()>
                                <TestSignalControl appliance=appliance />
                            </Show>
                        </div>
                    </div>
                    <DayStrip appliance=appliance />
                    <Health appliance=appliance />
                </div>
                <List appliance=appliance />
                <StorageCard appliance=appliance />
            </Show>
        </section>
    }
}
