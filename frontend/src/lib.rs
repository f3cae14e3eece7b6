//! The pages of Sortie Recording: sign in, record, list, play and administer.
//!
//! A single-page application in [Leptos](https://leptos.dev), rendered in the browser and embedded in the server
//! binary. It uses the public REST API and `sortie-client` only. Sign-ins are in `HttpOnly` cookies: this code sees no
//! tokens.
//!
//! The modules listed here need no browser and are tested natively; `web`, which exists on `wasm32` only, renders them.
//! The server's content security policy forbids inline styles and scripts.

pub mod appliance;
pub mod audit_actions;
pub mod base_path;
pub mod capacity;
pub mod connection;
pub mod daily_usage;
pub mod deletion_texts;
pub mod format;
pub mod library;
pub mod link_header;
pub mod list_page;
pub mod ndjson;
pub mod parts;
pub mod player;
pub mod query;
pub mod recorder_texts;
pub mod retention_texts;
pub mod return_path;
pub mod share_texts;
pub mod status_texts;
pub mod storyboard;
pub mod user_agent;
#[cfg(target_arch = "wasm32")]
#[expect(
    unreachable_pub,
    reason = "the `component` macro writes `pub` where a component is visible outside its module"
)]
mod web;

#[cfg(target_arch = "wasm32")]
pub use web::start;
