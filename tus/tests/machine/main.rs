//! The upload machine as seen by an adapter: reactions to every response, and complete uploads to the server side over
//! a simulated network.

mod bench;
mod closing;
mod connectivity;
mod faults;
mod keep_alive;
mod kill;
mod offline;
mod request_rate;
mod start;
mod statuses;
mod token;
mod wire;
mod world;
