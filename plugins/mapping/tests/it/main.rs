//! The mapping component under its native harness: the language, its findings, and real records.

mod cdc;
mod clinic;
mod findings;
mod language;
mod schema;
mod support;
mod versions;
