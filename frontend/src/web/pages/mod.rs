//! One module for each page of the application.

mod admin;
mod appliance;
mod not_found;
mod password;
mod player;
mod record;
mod recordings;
mod sign_in;
mod sign_ins;
mod tokens;

pub(super) use admin::{ADMIN, AdminPage};
pub(super) use appliance::{AppliancePage, VIDEO_RECORDING};
pub(super) use not_found::NotFoundPage;
pub(super) use password::PasswordPage;
pub(super) use player::PlayerPage;
pub(super) use record::{RecordPage, RecorderPage};
pub(super) use recordings::RecordingsPage;
pub(super) use sign_in::SignInPage;
pub(super) use sign_ins::SignInsPage;
pub(super) use tokens::TokensPage;
