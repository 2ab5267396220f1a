//! The guest's two rows: the mapping component against `Value` and `jsonpath-rust`, and the sandbox against native code.
//!
//! All runs get the same orders and the same mapping of twelve paths. The host's library makes the calls, through the
//! example `guest` of its crate; the native run is the example `orders` of the mapping crate, built as guests are, with
//! what the component prepared. Both cut calls alike and start an instance for each.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use crate::plugins;
use crate::shell::{Failure, cargo, output, program, root, run, target};

/// Orders that are timed: more than any cache holds.
const RECORDS: usize = 20_000;

/// The canonical columns that the mapping fills.
const ENTITIES: &str = "customer *external_id email segment country; \
    order *external_id ordered_at:timestamp channel currency; \
    order_line *line_no:int64 sku qty:int64 unit_price:decimal";

/// Prints both rows for the first of `orders`.
pub(super) fn measure(orders: &Path) -> Result<(), Failure> {
    let folder = target().join("bench-guest");
    fs::create_dir_all(&folder).map_err(Failure::io(format!("failed to make {}", folder.display())))?;
    let sample = folder.join("orders.ndjson");
    first_lines(orders, &sample).map_err(Failure::io(format!("failed to write {}", sample.display())))?;
    let mapping = plugins::build()?.join("mapping.wasm");
    let baseline = plugins::build_others("xtask/baseline", folder.clone())?.join("baseline.wasm");

    run(&mut cargo(["build", "--release", "--workspace", "--example", "guest"]))?;
    let mut sandbox = pinned(&target().join("release/examples/guest"));
    sandbox.arg(&sample).arg(&folder).arg(root().join("xtask/src/bench/orders.yaml")).arg(ENTITIES);
    let text = output(sandbox.arg(mapping).arg(baseline))?;
    let (mapping, baseline) = (nanoseconds(&text, "mapping")?, nanoseconds(&text, "baseline")?);

    run(&mut cargo([
        "build",
        "--profile",
        plugins::PROFILE,
        "--package",
        "silversmith-plugin-mapping",
        "--example",
        "orders",
    ]))?;
    let mut native = pinned(&target().join(plugins::PROFILE).join("examples/orders"));
    let text = output(native.arg(&sample).arg(folder.join("mapping.prepared")))?;
    let native = nanoseconds(&text, "native")?;

    println!(
        "12 paths, one core, nanoseconds a record: mapping {mapping}, baseline {baseline}, native mapping {native}"
    );
    println!("mapping ÷ `Value` and jsonpath-rust, both in the sandbox: {:.2} × the records", baseline / mapping);
    println!("sandbox ÷ native, the mapping component: {:.2} × the time", mapping / native);
    Ok(())
}

/// One core, whatever the other does.
fn pinned(binary: &Path) -> std::process::Command {
    let mut command = program("taskset", ["--cpu-list", "0"]);
    command.arg(binary);
    command
}

fn first_lines(from: &Path, to: &Path) -> std::io::Result<()> {
    let mut sample = Vec::new();
    for line in BufReader::new(fs::File::open(from)?).split(b'\n').take(RECORDS) {
        sample.write_all(&line?)?;
        sample.push(b'\n');
    }
    fs::write(to, sample)
}

/// The number behind a name at the start of a line.
fn nanoseconds(text: &str, name: &str) -> Result<f64, Failure> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| Failure(format!("found no time of `{name}` in `{}`", text.trim())))
}
