//! Measurements against work that others do, in one run on one machine, as ratios.
//!
//! Each side gets the same files; the baseline is `duckdb_job.py`, which has an easier life than the host.

mod guest;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use xtask::generate::{self, Plan, Plot};

use crate::shell::{Failure, program, root, run, target};
use crate::{lake, plugins, setup};

/// Measure the host against DuckDB in one run.
#[derive(clap::Args)]
pub(crate) struct Bench {
    /// Orders of acme.
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// The folder of `orders.py` and `duckdb_job.py`; without it the host is measured alone.
    #[arg(long, default_value = "../shared/bench")]
    baseline: PathBuf,
}

impl Bench {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let cores = std::thread::available_parallelism().map_err(Failure::io("failed to count the cores"))?;
        println!("{} records, {cores} cores", self.records);
        let baseline = root().join(&self.baseline);
        let input = target().join(format!("bench-{}", self.records));
        std::fs::create_dir_all(&input).map_err(Failure::io(format!("failed to make {}", input.display())))?;
        let orders = input.join("orders.ndjson");
        let python = setup::python()?;
        if !baseline.is_dir() {
            println!("found no baseline in {}: the host is measured alone, on records of its own", baseline.display());
            let plan = Plan { records: self.records, seed: 1, plot: Plot::Lively, answer: false };
            generate::write("acme", plan, &input).map_err(Failure::io("failed to write the records"))?;
        } else if !orders.exists() {
            let script = baseline.join("orders.py");
            run(program(&python, [script.as_path()]).arg(self.records.to_string()).arg(&orders))?;
        }

        if baseline.is_dir() {
            guest::measure(&orders)?;
        }
        let host = self.host(if baseline.is_dir() { &orders } else { &input })?;
        report("host", self.records, host);
        if baseline.is_dir() {
            let started = Instant::now();
            let script = baseline.join("duckdb_job.py");
            run(program(&python, [script.as_path(), &orders, &target().join("bench-duckdb")]).arg("1"))?;
            let duckdb = started.elapsed();
            report("duckdb", self.records, duckdb);
            println!("host ÷ duckdb: {:.2} ×", duckdb.as_secs_f64() / host.as_secs_f64());
        }
        Ok(())
    }

    /// From files to Bronze, Silver and manifests, on one core.
    fn host(&self, input: &std::path::Path) -> Result<Duration, Failure> {
        let lake = lake::fresh("bench-lake")?;
        let host = lake::host(&plugins::build()?, &lake)?;
        // Pinned from outside, so that every thread of the host shares the one core.
        let mut pinned = program("taskset", ["--cpu-list", "0"]);
        pinned.arg(host.get_program()).args(host.get_args()).args(["--tenant", "acme", "--input"]);
        pinned.arg(format!("acme/orders={}", input.display()));
        for (name, value) in host.get_envs() {
            pinned.env(name, value.unwrap_or_default());
        }
        let started = Instant::now();
        run(&mut pinned)?;
        Ok(started.elapsed())
    }
}

fn report(name: &str, records: u64, took: Duration) {
    println!("{name:<8} {:>8.2} s  {:>10.0} records/s", took.as_secs_f64(), records as f64 / took.as_secs_f64());
}
