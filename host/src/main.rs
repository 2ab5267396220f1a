//! The `silversmith` binary: arguments in, exit code out.

use std::process::ExitCode;

/// Threads of one tenant free what threads of another allocated; jemalloc gives such memory back.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    silversmith::cli::main()
}
