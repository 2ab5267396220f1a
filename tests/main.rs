//! The end-to-end tests: the real binary and the real libraries on real files.

mod clinic;
mod commerce;
mod disk;
mod first_tenant;
mod foreign;
mod github;
mod golden;
mod inside;
mod kafka;
mod killed;
mod privacy;
mod readers;
mod restored;
mod same_tables;
mod saving;
mod simulation;
mod support;
mod tables;
mod tidy;
mod torture;
mod upkeep;
