//! The start page: choose a source, look at it, record it.

mod controls;
mod figures;
mod leftovers;
mod setup;
mod stage;

use leptos::either::EitherOf4;
use leptos::prelude::*;

use self::controls::Controls;
use self::figures::Figures;
use self::leftovers::Leftovers;
use self::setup::Setup;
use self::stage::Stage;
use super::appliance::AppliancePage;
use crate::live;
use crate::web::address::{Link, use_go};
use crate::web::components::{ErrorNotice, Gate, Glyph, Heading, Icon, Loading};
use crate::web::download;
use crate::web::record::Desk;
use crate::web::session::{Session, SignIn};

/// The start page.
#[component]
pub(in crate::web) fn RecordPage() -> impl IntoView {
    let session = Session::expect();
    let is_enabled = Memo::new(move |_| session.recording_enabled());
    // It records what is plugged into it, not what is on this screen.
    let is_appliance = Memo::new(move |_| session.is_appliance());
    let is_unreachable = Memo::new(move |_| matches!(session.sign_in(), SignIn::Unreachable(_)));
    move || match is_enabled.get() {
        Some(false) => EitherOf4::A(view! { <RecordingOff /> }),
        None if !is_unreachable.get() => EitherOf4::B(view! { <Loading label="Loading" /> }),
        Some(true) if is_appliance.get() => EitherOf4::C(view! { <AppliancePage /> }),
        _ => EitherOf4::D(view! {
            <Gate>
                <Record />
            </Gate>
        }),
    }
}

/// What a server without recordings says.
#[component]
fn RecordingOff() -> impl IntoView {
    view! {
        <section class="page page-narrow empty">
            <Icon glyph=Glyph::Info />
            <Heading title="Recording is turned off" />
            <p class="quiet">
                "This server does not record at the moment. Its administrator can turn recording on."
            </p>
        </section>
    }
}

#[component]
fn Record() -> impl IntoView {
    let desk = Desk::expect();
    hand_over(desk);
    // Nobody looks at a preview of another page's. A recording goes on.
    on_cleanup(move || desk.close_preview());

    let is_running = Memo::new(move |_| desk.has_unsent());
    view! {
        <section class="page record" class:record-running=move || is_running.get() aria-labelledby="page-heading">
            <Heading title="Record" />
            <p class="visually-hidden" role="status">
                {move || live::announcement(desk.state.get())}
            </p>
            <Notices />
            <Leftovers />
            <div class="record-grid">
                <div class="record-side card">
                    <Show when=move || is_running.get() fallback=Setup>
                        <Figures />
                    </Show>
                </div>
                <div class="record-main">
                    <Stage />
                    <Controls />
                </div>
            </div>
        </section>
    }
}

/// Leads to the player when a recording arrives while this page is shown. One that arrived before somebody came
/// back here does not drag them away; it is offered.
fn hand_over(desk: Desk) {
    let navigate = use_go();
    Effect::new(move |was_done: Option<bool>| {
        let id = desk
            .done
            .with(|done| done.as_ref().and_then(|done| done.recording_id.clone()));
        if let (Some(id), Some(false)) = (&id, was_done) {
            desk.clear();
            navigate(&format!("/recordings/{id}"), Default::default());
        }
        id.is_some()
    });
}

/// What needs to be said above everything else.
#[component]
fn Notices() -> impl IntoView {
    let desk = Desk::expect();
    let trouble = move || desk.trouble.get();
    let sentence = Signal::derive(move || {
        trouble()
            .map(|trouble| trouble.sentence)
            .unwrap_or_default()
    });
    let has_rest = move || trouble().is_some_and(|trouble| trouble.has_rest);
    let finished = Memo::new(move |_| {
        desk.done
            .with(|done| done.as_ref().and_then(|done| done.recording_id.clone()))
    });

    view! {
        <div class="record-notices">
            <Show when=move || trouble().is_some()>
                <ErrorNotice sentence=sentence action="Retry" on_action=move |()| desk.start() />
            </Show>
            <Show when=has_rest>
                <div class="notice">
                    <Icon glyph=Glyph::Download />
                    <p>"A part of the recording did not reach the server. It is still here."</p>
                    <button
                        type="button"
                        class="button"
                        on:click=move |_| {
                            if let Some(rest) = desk.rest() {
                                download::save_blob(&rest, "recording-rest.webm");
                            }
                        }
                    >
                        "Download copy"
                    </button>
                </div>
            </Show>
            {move || {
                finished
                    .get()
                    .map(|id| {
                        view! {
                            <div class="notice" role="status">
                                <Icon glyph=Glyph::Shield />
                                <p>
                                    "Your recording is safe on the server. "
                                    {Desk::end_reason(&id)}
                                </p>
                                <Link to=format!("/recordings/{id}") attr:class="button">
                                    "Watch it"
                                </Link>
                            </div>
                        }
                    })
            }}
        </div>
    }
}
