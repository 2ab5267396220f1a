//! `status`: where every tenant stands.

use clap::Args;
use serde_json::{Value, json};

use super::output::Listing;
use super::read::{self, failed};
use super::{CliError, Exit, Format, LakeArgs};

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// This tenant only.
    tenant: Option<String>,
    #[command(flatten)]
    lake: LakeArgs,
}

pub(super) fn run(args: StatusArgs, format: Format) -> Result<Exit, CliError> {
    let lake = read::open(&args.lake.lake)?;
    let mut listing =
        Listing::new(["tenant", "source", "records", "quarantined", "bronze_version", "silver_version", "state"]);
    super::runtime()?.block_on(async {
        for tenant in &read::tenants(&lake, args.tenant.as_deref()).await? {
            let tables = lake.tables(tenant).await.map_err(|error| failed(tenant, error))?;
            let manifests = lake.find(&format!("{tenant}/manifests")).await.map_err(|error| failed(tenant, error))?;
            for name in tables.iter().filter(|name| name.starts_with("bronze/")) {
                let source = name.trim_start_matches("bronze/");
                let bronze = read::table(&lake, tenant, name).await?;
                let settled = manifests.as_ref().and_then(|table| table.transaction(source));
                let quarantined = quarantined(&lake, tenant, source).await?;
                let newest = newest_batch(&bronze).await?;
                let state = match (settled, newest) {
                    (_, None) => "empty",
                    (Some(settled), Some(newest)) if settled >= newest => "current",
                    _ => "behind",
                };
                listing.push(vec![
                    json!(tenant),
                    json!(source),
                    json!(read::count(&bronze).await?),
                    json!(quarantined),
                    json!(bronze.version()),
                    settled.map_or(Value::Null, |version| json!(version)),
                    json!(state),
                ]);
            }
        }
        Ok::<_, CliError>(())
    })?;
    listing.print(format)?;
    Ok(Exit::Done)
}

/// The newest Bronze version that holds records.
async fn newest_batch(bronze: &crate::lake::Table) -> Result<Option<i64>, CliError> {
    let files = bronze.files().await.map_err(|error| failed(bronze.name(), error))?;
    Ok(files.iter().filter_map(|file| file.tag("bronze_version")?.parse().ok()).max())
}

/// Records of a source that lie in quarantine.
async fn quarantined(lake: &crate::lake::Lake, tenant: &str, source: &str) -> Result<u64, CliError> {
    let path = format!("{tenant}/quarantine");
    let Some(table) = lake.find(&path).await.map_err(|error| failed(&path, error))? else { return Ok(0) };
    let filter = read::matching("source_system", Some(source.to_owned()));
    let rows = read::rows(&table, Some(&["scope"]), filter, usize::MAX).await?;
    let records = |batch: &arrow::array::RecordBatch| {
        let scopes = read::Texts::new(batch.column(0));
        (0..batch.num_rows()).filter(|row| scopes.get(*row).as_deref() == Some("record")).count() as u64
    };
    Ok(rows.iter().map(records).sum())
}
