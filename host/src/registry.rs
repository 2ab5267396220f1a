//! What each tenant runs: tenants, plugins, contracts, and which of them were in force when.
//!
//! Everything a person writes is parsed here, once, into types that are always valid; nothing later asks again
//! whether a name is good or a file is there. The registry starts nothing and writes nothing.

pub mod activation;
pub mod canonical;
pub mod configured;
pub mod plugin;
pub mod tenant;
