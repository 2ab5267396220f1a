//! The sandbox against plugins that mean harm, through the path that production takes: its public face, and the
//! real binary as the compiler.

#[path = "sandbox/guest.rs"]
mod guest;
#[path = "sandbox/limits.rs"]
mod limits;
#[path = "sandbox/load.rs"]
mod load;
#[path = "sandbox/verdicts.rs"]
mod verdicts;
