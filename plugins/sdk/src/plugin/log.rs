//! Lines for the operator: the one thing a plugin may import.
//!
//! The host bounds and escapes what it gets. Natively lines go to standard error, or to
//! `testing::collect_logs` in tests.

pub use super::bindings::silversmith::extractor::log::Level;

/// A panic's text is cut here: it may quote a record.
const PANIC_BYTES_MAX: usize = 1024;

/// For whoever writes the plugin.
pub fn debug(message: &str) {
    write(Level::Debug, message);
}

/// What an operator asked to be told.
pub fn info(message: &str) {
    write(Level::Info, message);
}

/// Something unusual that the plugin coped with.
pub fn warn(message: &str) {
    write(Level::Warn, message);
}

/// Somebody must act.
pub fn error(message: &str) {
    write(Level::Error, message);
}

#[cfg(target_arch = "wasm32")]
fn write(level: Level, message: &str) {
    super::bindings::silversmith::extractor::log::log(level, message);
}

#[cfg(not(target_arch = "wasm32"))]
fn write(level: Level, message: &str) {
    crate::testing::take_log(level, message);
}

/// Logs a panic before it traps; else an operator would see only `unreachable`.
pub fn panics_are_logged() {
    std::panic::set_hook(Box::new(|panic| {
        let mut message = panic.to_string();
        message.truncate(message.floor_char_boundary(PANIC_BYTES_MAX));
        error(&message);
    }));
}
