//! `validate`: tenants' configuration, checked by the code that runs it.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::output::{self, Listing};
use super::{CliError, Exit, Format, host};
use crate::pipeline;

#[derive(Debug, Args)]
pub(super) struct ValidateArgs {
    /// The folder of tenants.
    #[arg(value_name = "TENANTS")]
    tenants: PathBuf,
    /// This tenant only; may be repeated.
    #[arg(long, value_name = "TENANT")]
    tenant: Vec<String>,
    /// Print the configuration in force, every default written out.
    #[arg(long)]
    effective: bool,
}

pub(super) fn run(args: ValidateArgs, format: Format) -> Result<Exit, CliError> {
    let (tenants, mut refused) = super::tenants(&args.tenants, &args.tenant)?;
    let machine = host::machine(None)?;
    let runtime = super::runtime()?;
    let mut listing = Listing::new(["tenant", "source", "plugin", "entities", "warnings", "state"]);
    let mut effective = Vec::new();
    for tenant in &tenants {
        for source in &tenant.sources {
            match runtime.block_on(pipeline::check(&machine, tenant, source)) {
                Ok(checked) => {
                    for warning in &checked.warnings {
                        eprintln!("{warning}");
                    }
                    listing.push(vec![
                        json!(tenant.name),
                        json!(source.name),
                        json!(checked.plugin),
                        json!(checked.entities.join(", ")),
                        json!(checked.warnings.len()),
                        json!("valid"),
                    ]);
                    effective.push(json!({
                        "tenant": tenant.name,
                        "source": source.name,
                        "plugin": checked.plugin,
                        "configuration": checked.effective,
                    }));
                }
                Err(error) => {
                    refused += 1;
                    eprintln!("{}", super::chain(&error));
                    let row = [
                        json!(tenant.name),
                        json!(source.name),
                        Value::Null,
                        Value::Null,
                        Value::Null,
                        json!("refused"),
                    ];
                    listing.push(row.to_vec());
                }
            }
        }
    }
    if args.effective {
        output::print_json(&Value::Array(effective))?;
    } else {
        listing.print(format)?;
    }
    Ok(if refused == 0 { Exit::Done } else { Exit::Failed })
}
