//! Handlers, one module for each resource.

pub(super) mod appliance;
pub(super) mod audit;
pub(super) mod auth;
pub(super) mod events;
pub(super) mod health;
pub(super) mod metrics;
#[cfg(feature = "sso")]
pub(super) mod oidc;
pub(super) mod recordings;
pub(super) mod retention;
pub(super) mod sessions;
pub(super) mod settings;
pub(super) mod shares;
pub(super) mod sign_ins;
pub(super) mod storage;
pub(super) mod tokens;
pub(super) mod uploads;
pub(super) mod users;
#[cfg(feature = "webhooks")]
pub(super) mod webhooks;
