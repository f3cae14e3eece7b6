//! Variables and routes that users of Sortie rely on. A row that the product no longer keeps fails here.

mod routes;
#[path = "../support/mod.rs"]
mod support;
mod variables;
