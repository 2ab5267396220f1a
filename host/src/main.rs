//! The `silversmith` binary.

fn main() {}
