//! Variables and routes that users rely on. A row that the product no longer honours fails here.

mod routes;
#[path = "../support/mod.rs"]
mod support;
mod variables;
