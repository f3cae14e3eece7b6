//! Services of a running server and their background tasks.
//!
//! The modules above this folder (`http`, `server`) import it; it imports neither of them. Therefore the composition
//! root, `server.rs`, which builds the router from these services, is a separate module, and caches of single handlers
//! are in `http::state`.

mod state;
mod tasks;

pub(crate) use state::{AppState, Services};
pub(crate) use tasks::{GRACE, Tasks};
