//! `doctor`: whether this machine and a lake are fit to work.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::output::Listing;
use super::{CliError, Exit, Format, host, read};
use crate::registry::plugin;

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// The lake's folder, if that is to be checked too.
    #[arg(long, value_name = "FOLDER", env = "SILVERSMITH_LAKE")]
    lake: Option<PathBuf>,
}

pub(super) fn run(args: DoctorArgs, format: Format) -> Result<Exit, CliError> {
    let mut checks: Vec<(String, Result<String, String>)> = Vec::new();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    checks.push(("cores".into(), Ok(cores.to_string())));
    checks.push((
        "sandbox".into(),
        host::machine(None).map(|_| "the engine starts".into()).map_err(|error| super::chain(&error)),
    ));
    for name in ["mapping", "github"] {
        let wanted = plugin::PluginName { name: name.to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
        let found = plugin::find(&wanted, &plugin::places(std::path::Path::new("tenants")))
            .map(|found| found.path.display().to_string());
        checks.push((format!("plugin {name}"), found.map_err(|error| super::chain(&error))));
    }
    if let Some(folder) = &args.lake {
        let lake = read::open(folder)?;
        super::runtime()?.block_on(async {
            let tenants = lake.tenants().await.map_err(|error| read::failed("the lake", error))?;
            for tenant in tenants {
                let tables = lake.tables(&tenant).await.map_err(|error| read::failed(&tenant, error))?;
                for name in tables {
                    let found = match read::table(&lake, &tenant, &name).await {
                        Ok(table) => {
                            read::count(&table).await.map(|rows| format!("version {}, {rows} rows", table.version()))
                        }
                        Err(error) => Err(error),
                    };
                    checks.push((format!("{tenant}/{name}"), found.map_err(|error| super::chain(&error))));
                }
            }
            Ok::<_, CliError>(())
        })?;
    }
    let failed = checks.iter().any(|(_, found)| found.is_err());
    let mut listing = Listing::new(["check", "state", "found"]);
    for (check, found) in checks {
        let (state, found) = match found {
            Ok(found) => ("ok", found),
            Err(found) => ("failed", found),
        };
        listing.push(vec![json!(check), json!(state), json!(found)]);
    }
    listing.print(format)?;
    Ok(if failed { Exit::Failed } else { Exit::Done })
}
