//! The pages of Sortie Recording: sign in, record, list, play and administer.
//!
//! A single-page application in [Leptos](https://leptos.dev), rendered in the browser and embedded in the
//! server binary. It uses the public REST API and `sortie-client` and nothing private. Sign-in lives in
//! `HttpOnly` cookies: no token ever passes through this code.
//!
//! What can be decided without a browser is in the modules listed here and tested natively; `web`, which exists
//! on `wasm32` only, shows it. There are no inline styles and no inline scripts, because the server's content
//! security policy forbids them.

pub mod appliance;
pub mod audit;
pub mod base_path;
pub mod capacity;
pub mod deletion;
pub mod format;
pub mod growth;
pub mod link;
pub mod listing;
pub mod live;
pub mod ndjson;
pub mod paging;
pub mod parts;
pub mod query;
pub mod retention;
pub mod return_path;
pub mod user_agent;
#[cfg(target_arch = "wasm32")]
#[expect(
    unreachable_pub,
    reason = "the `component` macro writes `pub` where a component is visible outside its module"
)]
mod web;
pub mod words;

#[cfg(target_arch = "wasm32")]
pub use web::start;
