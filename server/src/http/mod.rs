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

use axum::http::{HeaderName, HeaderValue};
pub(crate) use error::{ApiError, ApiResult};
pub(crate) use router::{no_such_route, router};
pub(crate) use state::HttpState;

/// Header that controls nginx's buffering of an answer.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// Turns off nginx's buffering of an answer.
const UNBUFFERED: (HeaderName, HeaderValue) = (BUFFERING, HeaderValue::from_static("no"));
