//! One module for each page.

mod admin;
mod not_found;
mod player;
mod record;
mod recordings;
mod sign_in;

pub(super) use admin::{ADMIN, AdminPage};
pub(super) use not_found::NotFoundPage;
pub(super) use player::PlayerPage;
pub(super) use record::RecordPage;
pub(super) use recordings::RecordingsPage;
pub(super) use sign_in::SignInPage;
