//! Measurements against work that others do, in one run on one machine, as ratios.
//!
//! Each side gets the same files. Nothing is compared with a figure from another machine or another day.

mod end_to_end;
mod guest;
mod kafka;

use std::path::{Path, PathBuf};

use crate::shell::{Failure, cargo, program, root, run, target};
use crate::{plugins, setup};

/// Measure the host against DuckDB, deltalake, jsonpath-rust and itself, in one run.
#[derive(clap::Args)]
pub(crate) struct Bench {
    /// Orders of the end-to-end rows; memory is compared with that at a fifth of them.
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// The folder of `orders.py`, which makes the orders, and `duckdb_job.py`.
    #[arg(long, default_value = "../shared/bench")]
    baseline: PathBuf,
    /// These rows only.
    #[arg(long, value_enum)]
    only: Vec<Rows>,
}

/// Rows that are measured together.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Rows {
    /// The mapping component in the sandbox against `Value` and `jsonpath-rust`, and against native code.
    Guest,
    /// From files to Silver: against DuckDB, on two cores, and its memory.
    EndToEnd,
    /// A commit as the table grows, against `CommitBuilder`.
    Commit,
    /// From a topic to Silver while records come, and how soon a host is back.
    Kafka,
}

impl Bench {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let baseline = root().join(&self.baseline);
        if !baseline.join("orders.py").is_file() {
            return Err(Failure(format!(
                "found no `orders.py` in {}, expected the folder of the baselines: name it with --baseline",
                baseline.display()
            )));
        }
        let cores = std::thread::available_parallelism().map_err(Failure::io("failed to count the cores"))?;
        println!("{cores} cores, {}", processor());
        let wanted = |rows| self.only.is_empty() || self.only.contains(&rows);
        if wanted(Rows::Guest) {
            guest::measure(&self.orders(&baseline, self.records)?)?;
        }
        if wanted(Rows::EndToEnd) {
            let inputs =
                [self.records, self.records / 5].map(|records| Ok((records, self.orders(&baseline, records)?)));
            let [all, fifth] = inputs;
            end_to_end::measure(&plugins::build()?, &baseline, &all?, &fifth?)?;
        }
        if wanted(Rows::Commit) {
            run(&mut cargo(["build", "--release", "--workspace", "--example", "commit_latency"]))?;
            run(&mut program(target().join("release/examples/commit_latency"), [""; 0]))?;
        }
        if wanted(Rows::Kafka) {
            kafka::measure(&self.orders(&baseline, self.records / 5)?)?;
        }
        Ok(())
    }

    /// So many orders; made once.
    fn orders(&self, baseline: &Path, records: u64) -> Result<PathBuf, Failure> {
        let folder = target().join(format!("bench-{records}"));
        let orders = folder.join("orders.ndjson");
        if !orders.exists() {
            std::fs::create_dir_all(&folder).map_err(Failure::io(format!("failed to make {}", folder.display())))?;
            // Renamed when whole: a run that was cut short leaves no short file.
            let begun = folder.join("orders.begun");
            let script = baseline.join("orders.py");
            run(program(setup::python()?, [script.as_path()]).arg(records.to_string()).arg(&begun))?;
            std::fs::rename(&begun, &orders).map_err(Failure::io(format!("failed to make {}", orders.display())))?;
        }
        Ok(orders)
    }
}

/// What Linux calls the processor.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| "a processor without a name".to_owned(), |(_, name)| name.to_owned())
}
