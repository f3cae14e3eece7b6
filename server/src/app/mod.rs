//! Services of a running server and their background tasks.
//!
//! Every layer above (`http`, `server`) imports this folder; it imports neither. That is why the composition root,
//! `server.rs`, which builds the router from these services, is a module of its own, and why caches of single
//! handlers are in `http::state`.

mod state;
mod tasks;

pub(crate) use state::{AppState, Services};
pub(crate) use tasks::{GRACE, Tasks};
