//! HTTP: access by route, connections, forms, proxies, pages, limits.

mod access;
mod assets;
mod edge;
mod limits;
mod security;
mod socket;
#[path = "../support/mod.rs"]
mod support;
