//! HTTP: access by route, connections, forms, proxies, pages, limits.

mod access;
mod assets;
mod edge;
mod limits;
mod security;
#[path = "../support/mod.rs"]
mod support;
