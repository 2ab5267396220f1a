//! `cargo xtask`: everything that a person or CI does to this repository, one verb each.
//!
//! Each verb does its own set-up, so that the two commands of README are enough on a fresh machine. The work is
//! done by the programs that own it (cargo, the host, Python); here is only the order.

mod bench;
mod check;
mod demo;
mod lake;
mod mutants;
mod plugins;
mod simulate;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::generate::{self, Plan, Plot};
use xtask::{kafka, setup, shell};

use shell::Failure;

/// The project's tasks.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install what builds and tests need: the wasm target, Debian packages, Python packages.
    Setup,
    /// Build every plugin as a component, into <target folder>/plugins.
    Plugins,
    /// Write records of acme and globex, and the answer that is expected of Silver.
    Generate(Generate),
    /// Take the raw records of four tenants to Silver, and show what became of them.
    Demo(demo::Demo),
    /// Start or stop Kafka brokers to try things on.
    #[command(subcommand)]
    Kafka(Kafka),
    /// Run all tests.
    Test,
    /// Check format, lints, licences and sources.
    Lint,
    /// Measure the host against DuckDB in one run.
    Bench(bench::Bench),
    /// Run all tests, with every repeated trial in full number, then the mutants.
    Soak,
    /// Take each guard of the host away in turn, and see that a test misses it.
    Mutants,
    /// Kill hosts that read from a broker under load, and look whether anything was lost or repeated.
    Chaos {
        /// How many.
        #[arg(long, default_value_t = 300)]
        kills: u64,
    },
    /// Run the pipeline under seeded simulations of store, brokers, clock and hosts.
    Simulate(simulate::Simulate),
}

#[derive(Subcommand)]
enum Kafka {
    /// Start brokers on this machine's loopback, which run until they are stopped.
    Start {
        /// How many.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=3))]
        brokers: u16,
        /// The port of the first; each takes two, one after the other.
        #[arg(long, default_value_t = 9092)]
        port: u16,
    },
    /// Stop them and remove what they hold.
    Stop,
}

#[derive(clap::Args)]
struct Generate {
    /// Records of each tenant.
    #[arg(long, default_value_t = 10_000)]
    records: u64,
    /// The same seed gives the same bytes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where to write: <out>/<tenant>/… and <out>/expected/<tenant>.json.
    #[arg(long, required_unless_present = "samples")]
    out: Option<PathBuf>,
    /// Of these tenants only.
    #[arg(long, value_parser = generate::TENANTS)]
    tenant: Vec<String>,
    /// Ten types of transactions, 5,000 records each, that embed 100 customers with 50 changes.
    #[arg(long, conflicts_with = "records")]
    saving: bool,
    /// Write no expected answer: it takes memory in proportion to the records.
    #[arg(long)]
    no_answer: bool,
    /// Write the samples of the repository instead.
    #[arg(long, conflicts_with_all = ["out", "records", "seed", "tenant", "saving", "no_answer"])]
    samples: bool,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().verb {
        Verb::Setup => setup::all(),
        Verb::Plugins => plugins::build().map(|_| ()),
        Verb::Generate(arguments) => generate_records(&arguments),
        Verb::Demo(demo) => demo.run(),
        Verb::Kafka(Kafka::Start { brokers, port }) => start_kafka(brokers, port),
        Verb::Kafka(Kafka::Stop) => kafka::stop(&kafka_folder()),
        Verb::Test => check::test(check::Trials::Some),
        Verb::Lint => check::lint(),
        Verb::Bench(bench) => bench.run(),
        Verb::Soak => check::test(check::Trials::All).and_then(|()| mutants::run()),
        Verb::Mutants => mutants::run(),
        Verb::Chaos { kills } => check::chaos(kills),
        Verb::Simulate(simulate) => simulate.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(message)) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Where the brokers of `cargo xtask kafka` keep their logs.
fn kafka_folder() -> PathBuf {
    shell::target().join("kafka")
}

fn start_kafka(brokers: u16, port: u16) -> Result<(), Failure> {
    let bootstrap = kafka::start(&setup::kafka()?, &kafka_folder(), brokers, port)?;
    println!("brokers at {bootstrap}; their logs are in {}", kafka_folder().display());
    Ok(())
}

fn generate_records(arguments: &Generate) -> Result<(), Failure> {
    let Some(out) = &arguments.out else {
        generate::write_samples(&shell::root().join("tenants")).map_err(Failure::io("failed to write the samples"))?;
        println!("wrote the samples of acme, globex, github and clinic");
        return Ok(());
    };
    let plan = Plan {
        records: if arguments.saving { 50_000 } else { arguments.records },
        seed: arguments.seed,
        plot: if arguments.saving { Plot::Saving } else { Plot::Lively },
        answer: !arguments.no_answer,
    };
    let chosen = |tenant: &&str| arguments.tenant.is_empty() || arguments.tenant.iter().any(|name| name == tenant);
    for tenant in generate::TENANTS.into_iter().filter(chosen) {
        let (written, _) = generate::write(tenant, plan, out)
            .map_err(Failure::io(format!("failed to write records of {tenant} to {}", out.display())))?;
        println!(
            "{tenant}: {} records, {} bytes, of which {} are copies of customers and products",
            plan.records, written.bytes, written.copies
        );
    }
    Ok(())
}
