//! What tests share with the project's tasks: the generator of records.
//!
//! The tasks themselves are the binary's; see `main.rs`.

pub mod generate;
