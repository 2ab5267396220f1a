//! The demo: four tenants' raw JSON becomes Silver, in one command from a fresh clone.
//!
//! Shows what the host says of itself and adds only what it cannot know: what the copies of master data weighed
//! before, and how to go on from here.

pub(crate) mod live;

use std::path::{Path, PathBuf};

use xtask::generate::{self, Plan, Plot};

use crate::shell::{Failure, data, program, root, run, target};
use crate::{lake, plugins};

/// Take the raw records of four tenants to Silver, and show what became of them.
#[derive(clap::Args)]
pub(crate) struct Demo {
    /// Where the tables go. Run it again and it goes on where it stands.
    #[arg(long, default_value = "demo-lake")]
    lake: PathBuf,
    /// Records of acme and of globex.
    #[arg(long, default_value_t = 20_000)]
    records: u64,
    /// Let acme's records come through a Kafka broker, bit by bit, and watch Silver grow.
    #[arg(long)]
    kafka: bool,
}

impl Demo {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        if self.kafka {
            return live::run(&root().join(&self.lake), self.records);
        }
        let plugins = plugins::build()?;
        let lake = root().join(&self.lake);
        let mut host = lake::host(&plugins, &lake)?;

        // The records of a seed are always the same, so a second run finds nothing new.
        let input = target().join(format!("demo-input-{}", self.records));
        let plan = Plan { records: self.records, seed: 1, plot: Plot::Lively, answer: false };
        let mut before = vec![];
        for tenant in generate::TENANTS {
            let (written, _) =
                generate::write(tenant, plan, &input).map_err(Failure::io("failed to write the demo's records"))?;
            before.push((tenant, written.copies));
        }
        host.arg("--input").arg(input_of("acme/orders", &input.join("acme")));
        host.arg("--input").arg(input_of("globex/sales", &input.join("globex")));
        let data = data();
        if let Some(data) = &data {
            host.arg("--input").arg(input_of("github/deliveries", &data.join("github-events/*.ndjson")));
            host.arg("--input").arg(input_of("clinic/bundles", &data.join("fhir-synthea-hiv/**/*.json")));
        }
        run(&mut host)?;

        let binary = lake::binary()?;
        println!();
        run(program(&binary, ["status", "--lake"]).arg(&lake))?;
        println!("\nThe history of one customer of acme:\n");
        run(program(&binary, ["show", "acme", "customer", "C0000000", "--lake"]).arg(&lake))?;
        println!("\nCopies of customers and products, in the records and in Silver:");
        for (tenant, copies) in before {
            let silver = lake.join(tenant).join("silver");
            let tables = ["customer", "customer_changes", "product", "product_changes"];
            let bytes: u64 = tables
                .iter()
                .map(|table| lake::parquet_bytes(&silver.join(table)))
                .sum::<Result<_, _>>()
                .map_err(Failure::io(format!("failed to measure {}", silver.display())))?;
            println!("  {tenant:<8} {copies:>12} bytes before, {bytes:>10} after, history included");
        }
        match data {
            Some(data) => {
                println!("\nacme and globex are generated; github and clinic are recorded, from {}", data.display())
            }
            None => println!("\nacme and globex are generated; github and clinic are samples written for this project"),
        }
        farewell(&binary, &lake);
        Ok(())
    }
}

fn input_of(source: &str, folder: &Path) -> String {
    format!("{source}={}", folder.display())
}

fn farewell(binary: &Path, lake: &Path) {
    let (binary, lake) = (binary.display(), lake.display());
    println!(
        "
The tables lie in {lake}/<tenant>/silver/<entity>.
  {binary} --help
  {binary} quarantine list acme --lake {lake}
  python3 -c \"import polars; print(polars.read_delta('{lake}/acme/silver/customer'))\"
  python3 -c \"import deltalake; print(deltalake.DeltaTable('{lake}/acme/silver/order').to_pyarrow_table())\"
  duckdb -c \"from delta_scan('{lake}/globex/silver/product') limit 10\""
    );
}
