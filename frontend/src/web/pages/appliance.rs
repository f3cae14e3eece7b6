//! The page of an appliance: what arrives, what is recorded, how much room there is, and what there is already.

mod board;
mod list;
mod notices;
mod settings;
mod space;
mod status;
mod test_picture;

use leptos::prelude::*;

use self::board::Board;
use self::list::List;
use self::notices::Notices;
use self::settings::SettingsForm;
use self::space::Room;
use self::status::Status;
use self::test_picture::TestPicture;
use super::admin::NotAllowed;
use crate::web::components::{Gate, Heading, Loading};
use crate::web::session::{Session, SignIn};

/// What the page is called.
pub(in crate::web) const VIDEO_RECORDING: &str = "Video Recording";

/// The page; for administrators, as the routes behind it are.
#[component]
pub(in crate::web) fn AppliancePage() -> impl IntoView {
    let session = Session::expect();
    let is_admin = Memo::new(move |_| match session.sign_in() {
        SignIn::SignedIn(user) => user.is_admin(),
        _ => false,
    });
    view! {
        <Gate>
            <Show when=move || is_admin.get() fallback=NotAllowed>
                <Page />
            </Show>
        </Gate>
    }
}

#[component]
fn Page() -> impl IntoView {
    let board = Board::new();
    let is_known = Memo::new(move |_| board.state.with(Option::is_some));
    let has_test_picture = Memo::new(move |_| board.with(|now| now.test_source).unwrap_or(false));
    let is_waiting = move || !is_known.get() && !board.is_lost();
    view! {
        <section class="page appliance" aria-labelledby="page-heading">
            <Heading title=VIDEO_RECORDING />
            <Notices board=board />
            <Show when=is_waiting>
                <Loading label="Loading" bars=4 />
            </Show>
            <Show when=move || is_known.get()>
                <div class="appliance-grid" class:is-stale=move || board.is_lost()>
                    <div class="appliance-main">
                        <Status board=board />
                        <Show when=move || has_test_picture.get()>
                            <TestPicture board=board />
                        </Show>
                    </div>
                    <SettingsForm board=board />
                </div>
                <List board=board />
                <Room board=board />
            </Show>
        </section>
    }
}
