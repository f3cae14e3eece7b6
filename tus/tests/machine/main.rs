//! The upload machine from outside: its reaction to every answer, and whole uploads against the server half
//! over a simulated network.

mod bench;
mod faults;
mod keep_alive;
mod kill;
mod leaving;
mod offline;
mod pace;
mod reach;
mod start;
mod statuses;
mod token;
mod wire;
mod world;
