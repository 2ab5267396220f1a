//! Whether the tests would notice: the host without one of its guards must fail the test of that guard.
//!
//! All mutants are one build of the host, with its feature `mutants`; an environment variable says which guard is gone. A test
//! must be green with all guards in place, so that its failing says something.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::shell::{Failure, cargo, output};
use crate::{plugins, setup};

/// The guards of `host/src/mutant.rs`, each with the test that must miss it.
const MUTANTS: &[(&str, &str)] = &[
    ("CompareAndSwap", "lake::tests::of_two_handles_one_wins_a_version"),
    ("CommitIdentity", "lake::tests::a_success_that_arrives_as_an_error_is_recognised"),
    ("FileSync", "lake::tests::a_local_commit_is_synced_before_it_is_named"),
    ("FolderSync", "lake::tests::a_local_commit_is_synced_before_it_is_named"),
    ("WholeEntry", "lake::tests::a_damaged_newest_entry_is_never_read_as_data"),
    ("OwnSpans", "lake::tests::bronze::hosts_share_a_bronze_table_and_no_record_is_added_twice"),
    ("FileSync", "disk::power::a_loss_of_power_after_any_step_loses_nothing"),
    ("FolderSync", "disk::power::a_loss_of_power_after_any_step_loses_nothing"),
    ("CompareAndSwap", "simulation::no_seed_loses_or_repeats_anything"),
    ("OwnSpans", "simulation::no_seed_loses_or_repeats_anything"),
    ("CatchUp", "simulation::no_seed_loses_or_repeats_anything"),
    ("IndexAfterCommit", "foreign::a_foreign_commit_on_any_table_has_a_batch_decided_again"),
    ("DigestsInForce", "killed::a_mapping_changed_between_two_kills_holds_from_its_activation_on"),
    ("CatchUp", "killed::killed_at_random_moments_and_finished_gives_the_same_tables"),
    ("Contradiction", "restored::a_table_that_was_restored_alone_halts_its_tenant"),
    ("LostOffsets", "kafka::losses::records_that_retention_removed_unread_halt_until_somebody_decides"),
    ("CutOff", "source::kafka::verdict::tests::a_partition_is_read_only_where_nothing_is_missing"),
    ("TopicIdentity", "kafka::losses::a_topic_made_again_halts_until_somebody_decides"),
    ("Order", "source::kafka::verdict::tests::offsets_that_are_missing_between_two_records_hold_none"),
    ("Reset", "source::kafka::settings::tests::what_the_protocol_rests_on_is_set"),
    ("OneSettles", "kafka::hosts::one_host_settles_for_all_and_another_takes_over_from_it"),
];

/// Takes each guard away in turn.
pub(crate) fn run() -> Result<(), Failure> {
    setup::all()?;
    let plugins = plugins::build()?;
    let binaries = binaries()?;
    let mut survivors = vec![];
    for (guard, test) in MUTANTS {
        let binary = binaries.iter().find(|binary| has(binary, test));
        let binary =
            binary.ok_or_else(|| Failure(format!("found no test `{test}`, expected one that misses {guard}")))?;
        let mut whole = command(binary, test);
        whole.env("SILVERSMITH_PLUGINS", &plugins).env_remove("SILVERSMITH_MUTANT");
        let mut mutant = command(binary, test);
        mutant.env("SILVERSMITH_PLUGINS", &plugins).env("SILVERSMITH_MUTANT", guard);
        let since = Instant::now();
        if !ends_well(&mut whole)? {
            return Err(Failure(format!("`{test}` fails with every guard in place: mend it first")));
        }
        let missed = !ends_well(&mut mutant)?;
        let verdict = if missed { "missed" } else { "NOT MISSED" };
        println!("{guard:16} {verdict:10} by {test} ({:.1} s)", since.elapsed().as_secs_f64());
        if !missed {
            survivors.push(*guard);
        }
    }
    if !survivors.is_empty() {
        return Err(Failure(format!("no test fails without {}", survivors.join(", "))));
    }
    println!("{} mutants, each missed by its test", MUTANTS.len());
    Ok(())
}

/// The test binaries of the host that can lose guards.
fn binaries() -> Result<Vec<PathBuf>, Failure> {
    let build =
        ["test", "--release", "--workspace", "--features", "silversmith/mutants", "--no-run", "--message-format=json"];
    let said = output(&mut cargo(build))?;
    let messages = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_host = messages.filter(|message| {
        let target = message["target"]["name"].as_str();
        message["profile"]["test"] == true && target.is_some_and(|name| name == "silversmith" || name == "end_to_end")
    });
    Ok(of_host.filter_map(|message| Some(PathBuf::from(message["executable"].as_str()?))).collect())
}

fn has(binary: &PathBuf, test: &str) -> bool {
    let listed = output(Command::new(binary).args([test, "--exact", "--list"]));
    listed.is_ok_and(|listed| listed.lines().any(|line| line == format!("{test}: test")))
}

fn command(binary: &PathBuf, test: &str) -> Command {
    let mut command = Command::new(binary);
    // As cargo would run it: beside the host's own manifest.
    command.args([test, "--exact"]).current_dir(crate::shell::root().join("host"));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn ends_well(command: &mut Command) -> Result<bool, Failure> {
    Ok(command.status().map_err(Failure::io("failed to start a test"))?.success())
}
