//! Seeded simulations of everything around the pipeline, more of them than CI runs, or one again.
//!
//! The tests' own program runs them; here is only which.

use crate::plugins;
use crate::shell::{Failure, cargo, run};

/// What to simulate.
#[derive(clap::Args)]
pub(crate) struct Simulate {
    /// How many seeds.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// The first.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// What the seeds show more of than chance would.
    #[arg(long, default_value = "everything", value_parser = ["everything", "activations", "commits"])]
    focus: String,
}

impl Simulate {
    /// Runs the seeds.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let plugins = plugins::build()?;
        let test = match self.focus.as_str() {
            "activations" => "rows_are_by_the_mapping_in_force_whoever_crashed_around_its_activation",
            "commits" => "commits_whose_success_is_an_error_or_comes_late_count_once",
            _ => "no_seed_loses_or_repeats_anything",
        };
        let mut tests = cargo(["test", "--release", "--workspace", "--test", "end_to_end", "--"]);
        tests.args(["--exact", &format!("simulation::{test}"), "--nocapture"]).env("SILVERSMITH_PLUGINS", plugins);
        tests.env("SILVERSMITH_SEEDS", format!("{}..{}", self.seed, self.seed.saturating_add(self.seeds)));
        run(&mut tests)
    }
}
