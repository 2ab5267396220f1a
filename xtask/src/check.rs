//! The checks that CI runs: lints and tests.

use crate::shell::{Failure, cargo, data, run, succeeds};
use crate::{plugins, setup};

/// How many of the trials that a test repeats are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trials {
    /// A tenth: for every change.
    Some,
    /// All: before a release. Tests see it as `SILVERSMITH_TRIALS=all`.
    All,
}

/// Runs the tests of the workspace.
pub(crate) fn test(trials: Trials) -> Result<(), Failure> {
    setup::all()?;
    let folder = plugins::build()?;
    // Seeds and counts are said by tests that pass too.
    let mut tests = cargo(["test", "--release", "--workspace", "--", "--show-output"]);
    tests.env("SILVERSMITH_PLUGINS", &folder);
    if trials == Trials::All {
        tests.env("SILVERSMITH_TRIALS", "all");
    }
    match data() {
        Some(data) => drop(tests.env("SILVERSMITH_DATA", data)),
        // In CI a test on real records that is not run has failed.
        None if std::env::var_os("CI").is_some() => {
            return Err(Failure(
                "found no recorded data, expected it in ../shared/data or in SILVERSMITH_DATA".to_owned(),
            ));
        }
        None => println!("found no recorded data: set SILVERSMITH_DATA to test on it"),
    }
    run(&mut tests)
}

/// Runs the test that kills hosts under load, with so many kills.
pub(crate) fn chaos(kills: u64) -> Result<(), Failure> {
    setup::all()?;
    let folder = plugins::build()?;
    let mut tests =
        cargo(["test", "--release", "--workspace", "--test", "end_to_end", "kafka::kills", "--", "--nocapture"]);
    run(tests.env("SILVERSMITH_PLUGINS", &folder).env("SILVERSMITH_KILLS", kills.to_string()))
}

/// Checks format, lints, and, where `cargo-deny` is installed, licences and sources.
pub(crate) fn lint() -> Result<(), Failure> {
    setup::packages()?;
    run(&mut cargo(["fmt", "--all", "--check"]))?;
    // In release, like everything else: what build scripts and macros need is built once.
    run(&mut cargo(["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    if succeeds(&mut cargo(["deny", "--version"])) {
        return run(&mut cargo(["deny", "--workspace", "check", "licenses", "bans", "sources"]));
    }
    println!(
        "found no cargo-deny: licences, bans and sources are unchecked; get it by `cargo install --locked cargo-deny`"
    );
    Ok(())
}
