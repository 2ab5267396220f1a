//! Silversmith: raw records of many tenants in, canonical Silver tables out, with proof.
//!
//! ```text
//! source ─► Batch ─► lake::bronze                      (every byte string becomes one Bronze row first)
//!             └────► sandbox ─► Answer ─► conform ─► lake::{changes, fact}   rows kept
//!                                            └─────► lake::quarantine        refused records and rows
//!                                                    manifest                one account a batch
//! ```
//!
//! Read the modules in this order. [`pipeline`] is the only one that orders effects; the plain types at the
//! end hold no handle and do no input or output.

pub mod cli;
pub mod pipeline;

pub mod conform;
pub mod lake;
pub mod manifest;
pub mod registry;
pub mod sandbox;
pub mod source;

pub mod digest;
pub mod entity;
pub mod excerpt;
mod mutant;
pub mod position;
pub mod record;
