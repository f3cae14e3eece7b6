//! HTTP: routes, extractors, middleware and handlers. Handlers translate; the modules that they call decide.

pub(crate) mod encoding;
mod error;
mod extract;
mod file;
mod layers;
mod openapi;
mod public_address;
#[cfg(all(feature = "postgres", feature = "s3"))]
mod replicas;
mod resources;
mod router;
mod routes;
mod state;

pub(crate) use error::{ApiError, ApiResult};
pub(crate) use router::{no_such_route, router};
pub(crate) use state::HttpState;
