//! Who is signed in, and what the server offers: shared by all pages.

use leptos::prelude::*;
use leptos::task::spawn_local;
use sortie_api::{ServerInfo, User};

use super::api::{Api, ApiError};

/// What is known about the person in front of the page.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SignInState {
    /// The server has not answered yet.
    Unknown,
    /// The server cannot be asked; with the sentence that says so.
    Unreachable(String),
    /// Nobody is signed in.
    SignedOut,
    /// This person is.
    SignedIn(User),
}

/// The context of every page.
#[derive(Clone, Copy)]
pub(crate) struct AppContext {
    api: StoredValue<Api, LocalStorage>,
    info: RwSignal<Option<ServerInfo>>,
    sign_in: RwSignal<SignInState>,
}

impl AppContext {
    /// Provides the context and asks the server.
    pub(crate) fn provide() -> Self {
        let app = Self {
            api: StoredValue::new_local(Api::default()),
            info: RwSignal::new(None),
            sign_in: RwSignal::new(SignInState::Unknown),
        };
        provide_context(app);
        app.load();
        app
    }

    /// The context of the page being built.
    pub(crate) fn expect() -> Self {
        expect_context()
    }

    /// Asks the server who is signed in and what it offers.
    pub(crate) fn load(self) {
        self.sign_in.set(SignInState::Unknown);
        spawn_local(async move {
            let api = self.api();
            let (info, person) = futures_util::join!(api.info(), api.me());
            match info {
                Ok(info) => self.info.set(Some(info)),
                Err(error) => return self.sign_in.set(SignInState::Unreachable(error.sentence())),
            }
            self.sign_in.set(match person {
                Ok(user) => SignInState::SignedIn(user),
                Err(ApiError::SignedOut) => SignInState::SignedOut,
                Err(error) => SignInState::Unreachable(error.sentence()),
            });
        });
    }

    /// The calls to the server.
    pub(crate) fn api(self) -> Api {
        self.api.get_value()
    }

    /// Who is signed in; tracked.
    pub(crate) fn sign_in(self) -> SignInState {
        self.sign_in.get()
    }

    /// Who is signed in, at this moment.
    pub(crate) fn sign_in_untracked(self) -> SignInState {
        self.sign_in.get_untracked()
    }

    /// Whether recordings exist on this server; `None` until it has answered. Tracked.
    pub(crate) fn recording_enabled(self) -> Option<bool> {
        self.info
            .with(|info| info.as_ref().map(|info| info.recording_enabled))
    }

    /// The most bytes of one recording; `None` until the server has answered. Tracked.
    pub(crate) fn max_size_bytes(self) -> Option<u64> {
        self.info
            .with(|info| info.as_ref().map(|info| info.max_size_bytes))
    }

    /// Whether this is an appliance, with a recorder of its own. Tracked.
    pub(crate) fn is_appliance(self) -> bool {
        self.info
            .with(|info| info.as_ref().is_some_and(|info| info.appliance))
    }

    /// Somebody has signed in.
    pub(crate) fn signed_in(self, user: User) {
        self.sign_in.set(SignInState::SignedIn(user));
    }

    /// Nobody is signed in any more; pages that need somebody give way to the sign-in page.
    pub(crate) fn signed_out(self) {
        self.sign_in.set(SignInState::SignedOut);
    }

    /// The sentence to show for `error`. A sign-in that has expired also leads to the sign-in page.
    pub(crate) fn explain(self, error: &ApiError) -> String {
        if *error == ApiError::SignedOut {
            self.signed_out();
        }
        error.sentence()
    }
}
