//! Signed-in user, server information and API client, shared by all pages.

use leptos::prelude::*;
use leptos::task::spawn_local;
use sortie_api::{ServerInfo, User};

use super::api::{Api, ApiError};
use super::dom;

/// State of the sign-in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SignInState {
    /// Not requested yet, or in flight.
    Unknown,
    /// The request failed, with a message for the user.
    Unreachable(String),
    SignedOut,
    SignedIn(User),
}

/// Preference with the API address of the user's recordings while the user is signed in. index.html requests it while
/// the WebAssembly arrives.
pub(crate) const FIRST_LIST: &str = "sortie-first-list";

/// Context of all pages.
#[derive(Clone, Copy)]
pub(crate) struct AppContext {
    api: StoredValue<Api, LocalStorage>,
    info: RwSignal<Option<ServerInfo>>,
    sign_in: RwSignal<SignInState>,
}

impl AppContext {
    /// Provides the context and loads it.
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

    pub(crate) fn expect() -> Self {
        expect_context()
    }

    /// Fetches the user and the server information.
    pub(crate) fn load(self) {
        self.sign_in.set(SignInState::Unknown);
        spawn_local(async move {
            let api = self.api();
            let (info, user) = futures_util::join!(api.info(), api.me());
            match info {
                Ok(info) => self.info.set(Some(info)),
                Err(error) => return self.sign_in.set(SignInState::Unreachable(error.message())),
            }
            self.sign_in.set(match user {
                Ok(user) => SignInState::SignedIn(user),
                Err(ApiError::SignedOut) => return self.signed_out(),
                Err(error) => SignInState::Unreachable(error.message()),
            });
        });
    }

    pub(crate) fn api(self) -> Api {
        self.api.get_value()
    }

    /// Tracked by Leptos.
    pub(crate) fn sign_in(self) -> SignInState {
        self.sign_in.get()
    }

    pub(crate) fn sign_in_untracked(self) -> SignInState {
        self.sign_in.get_untracked()
    }

    /// Whether the user must change the password before anything else. Tracked.
    pub(crate) fn must_change_password(self) -> bool {
        self.sign_in
            .with(|state| matches!(state, SignInState::SignedIn(user) if user.must_change_password))
    }

    /// Whether recording is enabled on this server; `None` while loading. Tracked.
    pub(crate) fn recording_enabled(self) -> Option<bool> {
        self.info
            .with(|info| info.as_ref().map(|info| info.recording_enabled))
    }

    /// Size limit of one recording; `None` while loading. Tracked.
    pub(crate) fn max_size_bytes(self) -> Option<u64> {
        self.info
            .with(|info| info.as_ref().map(|info| info.max_size_bytes))
    }

    /// Whether the server is an appliance with its own recorder. Tracked.
    pub(crate) fn is_appliance(self) -> bool {
        self.info
            .with(|info| info.as_ref().is_some_and(|info| info.appliance))
    }

    /// Whether recordings can be shared by links. Tracked.
    pub(crate) fn has_sharing(self) -> bool {
        self.info
            .with(|info| info.as_ref().is_some_and(|info| info.sharing))
    }

    /// Days that deleted recordings can be restored; 0 without a trash. Tracked.
    pub(crate) fn trash_days(self) -> u32 {
        self.info
            .with(|info| info.as_ref().map_or(0, |info| info.trash_days))
    }

    pub(crate) fn signed_in(self, user: User) {
        self.sign_in.set(SignInState::SignedIn(user));
    }

    /// Marks the user as signed out; [`RequireSignIn`](super::components::RequireSignIn) then shows the sign-in page.
    pub(crate) fn signed_out(self) {
        self.sign_in.set(SignInState::SignedOut);
        dom::set_preference(FIRST_LIST, "");
    }

    /// Message for an error. An expired sign-in also signs the user out.
    pub(crate) fn explain(self, error: &ApiError) -> String {
        if *error == ApiError::SignedOut {
            self.signed_out();
        }
        error.message()
    }
}
