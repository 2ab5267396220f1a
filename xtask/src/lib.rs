//! What tests share with the project's tasks: the generator of records, and Kafka brokers of their own.
//!
//! The tasks themselves are the binary's; see `main.rs`.

pub mod generate;
pub mod kafka;
pub mod setup;
pub mod shell;
