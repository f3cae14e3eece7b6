//! HTTP: routes, extractors, middleware and handlers. Decisions are made by the modules that handlers call.

mod error;
mod extract;
mod file;
mod layers;
mod openapi;
mod resources;
mod router;
mod routes;
mod state;

pub(crate) use error::{ApiError, ApiResult};
pub(crate) use resources::appliance::shown as shown_appliance;
pub(crate) use resources::recordings::shown_with_parts;
pub(crate) use resources::sessions::shown as shown_session;
use router::Routine;
pub(crate) use router::{no_such_route, router};
pub(crate) use state::AppState;
