//! From files to Bronze, Silver and manifests: against DuckDB on one core, on two cores, and the host's memory.
//!
//! DuckDB has an easier life: one shot into empty plain files, in memory, without quarantine, accounts or `fsync`. Each
//! side starts as its user starts it, and the time is that of the whole process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::shell::{Failure, program, target};
use crate::{lake, setup};

/// So many orders, in this file.
type Orders = (u64, PathBuf);

/// What one run took.
struct Taken {
    time: Duration,
    /// The most memory that was resident at once.
    memory_bytes: u64,
}

/// Prints the rows for all orders; `fifth` is for the row of memory.
pub(super) fn measure(plugins: &Path, baseline: &Path, all: &Orders, fifth: &Orders) -> Result<(), Failure> {
    // The component is compiled once in a host's life, not once a run.
    timed(&mut host(plugins, "0", fifth)?)?;
    let (script, out) = (baseline.join("duckdb_job.py"), target().join("bench-duckdb"));
    let mut duckdb = pinned("0");
    duckdb.arg(setup::python()?).arg(script).arg(&all.1).arg(out).arg("1");

    let one = timed(&mut host(plugins, "0", all)?)?;
    report("host, one core", all.0, &one);
    let theirs = timed(&mut ("duckdb", duckdb))?;
    report("duckdb, one core", all.0, &theirs);
    let two = timed(&mut host(plugins, "0,1", all)?)?;
    report("host, two cores", all.0, &two);
    let small = timed(&mut host(plugins, "0", fifth)?)?;
    report("host, one core", fifth.0, &small);

    let seconds = |taken: &Taken| taken.time.as_secs_f64();
    println!("host ÷ duckdb, one core: {:.2} × the records", seconds(&theirs) / seconds(&one));
    println!("two cores ÷ one core: {:.2} × the records", seconds(&one) / seconds(&two));
    println!(
        "memory at {} ÷ at {} records, one core: {:.2} ×",
        all.0,
        fifth.0,
        one.memory_bytes as f64 / small.memory_bytes as f64
    );
    Ok(())
}

/// The host on the tenant acme and an empty lake, not yet started, pinned from outside so that all its threads share `cores`.
fn host(plugins: &Path, cores: &str, orders: &Orders) -> Result<(&'static str, Command), Failure> {
    let lake = lake::fresh("bench-lake")?;
    let host = lake::host(plugins, &lake)?;
    let mut command = pinned(cores);
    command.arg(host.get_program()).args(host.get_args()).args(["--tenant", "acme", "--input"]);
    command.arg(format!("acme/orders={}", orders.1.display()));
    command.arg("--workers").arg(cores.split(',').count().to_string());
    for (name, value) in host.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    Ok(("the host", command))
}

fn pinned(cores: &str) -> Command {
    program("taskset", ["--cpu-list", cores])
}

/// Runs a command to its end.
fn timed((name, command): &mut (&str, Command)) -> Result<Taken, Failure> {
    let started = Instant::now();
    let failed = |doing: &str| Failure::io(format!("failed to {doing} {name}"));
    let mut child = command.stdout(std::process::Stdio::null()).spawn().map_err(failed("start"))?;
    let mut memory_bytes = 0;
    // Linux forgets the peak with the process, so it is asked until then.
    let status = loop {
        memory_bytes = peak(child.id()).unwrap_or(memory_bytes);
        match child.try_wait().map_err(failed("wait for"))? {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    if !status.success() {
        return Err(Failure(format!("{name} ended with {status}; run it by hand to see why: {command:?}")));
    }
    Ok(Taken { time: started.elapsed(), memory_bytes })
}

/// The most memory that a process had resident so far, in bytes.
fn peak(process: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

fn report(name: &str, records: u64, taken: &Taken) {
    let seconds = taken.time.as_secs_f64();
    println!(
        "{name:<16} {records:>9} records {seconds:>7.2} s {:>8.0} records/s {:>6} MB",
        records as f64 / seconds,
        taken.memory_bytes / 1_000_000
    );
}
