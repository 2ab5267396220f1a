//! `run`: tenants from their sources to Silver.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::output::{self, Listing};
use super::{CliError, Exit, Format, host};
use crate::pipeline::{self, Observer, Settings, Tally, TenantReport};
use crate::registry::tenant::Tenant;

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The folder that holds one folder a tenant, and `canonical`.
    #[arg(value_name = "TENANTS")]
    tenants: PathBuf,
    #[command(flatten)]
    lake: super::LakeArgs,
    /// Run this tenant only; may be repeated.
    #[arg(long, value_name = "TENANT")]
    tenant: Vec<String>,
    /// Read a source's records from here instead, a file, a folder with all its files or a glob; may be repeated.
    #[arg(long, value_name = "TENANT/SOURCE=PATH", value_parser = parse_input)]
    input: Vec<Input>,
    /// Go on when the input has ended, and look for more every so many seconds.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1")]
    follow: Option<f64>,
    /// Cores to compute on; all of the machine's when not stated.
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Records in a batch, at most, whatever the tenants state.
    #[arg(long, value_name = "N")]
    batch_records: Option<usize>,
    /// Seconds between two folds of a dimension.
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    fold_every: f64,
}

/// `TENANT/SOURCE=PATH`.
#[derive(Clone, Debug)]
struct Input {
    tenant: String,
    source: String,
    path: PathBuf,
}

fn parse_input(text: &str) -> Result<Input, String> {
    let parsed = text.split_once('=').and_then(|(name, path)| {
        let (tenant, source) = name.split_once('/')?;
        Some(Input { tenant: tenant.to_owned(), source: source.to_owned(), path: path.into() })
    });
    parsed.ok_or_else(|| format!("found `{text}`, expected TENANT/SOURCE=PATH"))
}

pub(super) fn run(args: RunArgs, format: Format) -> Result<Exit, CliError> {
    let (tenants, refused) = super::tenants(&args.tenants, &args.tenant)?;
    let tenants = with_inputs(tenants, &args.input)?;
    let settings = Settings {
        records_max: args.batch_records.map(|records| records.max(1)),
        fold_every: Duration::from_secs_f64(args.fold_every.max(0.0)),
        follow: args.follow.map(Duration::from_secs_f64),
    };
    let runtime = super::runtime()?;
    let reports = runtime.block_on(async {
        let host = Arc::new(host::open(&args.lake.lake, args.workers, settings).await?);
        tokio::spawn(stop_on_signal(host.stop.clone()));
        let progress: Arc<dyn Observer> = Arc::new(Progress::new());
        Ok::<_, CliError>(pipeline::run(&host, tenants, &progress).await)
    })?;
    match format {
        Format::Text => output::print_text(&summary(&reports))?,
        Format::Json => output::print_json(&Value::Array(reports.iter().map(to_json).collect()))?,
    }
    for report in &reports {
        if let Some(error) = &report.error {
            super::complain(&format!("tenant `{}` stopped", report.tenant), error);
        }
    }
    let failed = refused > 0 || reports.iter().any(|report| report.error.is_some());
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

fn with_inputs(mut tenants: Vec<Arc<Tenant>>, inputs: &[Input]) -> Result<Vec<Arc<Tenant>>, CliError> {
    for input in inputs {
        let tenant = tenants.iter_mut().find(|tenant| tenant.name == input.tenant).map(Arc::make_mut);
        let source = tenant.and_then(|tenant| tenant.sources.iter_mut().find(|source| source.name == input.source));
        let Some(source) = source else {
            return Err(CliError::Usage(format!(
                "--input names `{}/{}`, which is not among the tenants to run",
                input.tenant, input.source
            )));
        };
        let replaced = source.read_from(&input.path);
        replaced
            .map_err(|error| CliError::caused(format!("failed to find the input `{}`", input.path.display()), error))?;
    }
    Ok(tenants)
}

/// Finishes the batch in hand on the first interrupt or termination signal; a second one ends the process.
async fn stop_on_signal(stop: pipeline::Stop) {
    let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else { return };
    for signals in 0.. {
        tokio::select! {
            _ = terminate.recv() => {}
            interrupt = tokio::signal::ctrl_c() => if interrupt.is_err() { return },
        }
        if signals > 0 {
            std::process::exit(130);
        }
        eprintln!("stopping after the batch in hand; once more to stop at once (nothing is lost either way)");
        stop.request();
    }
}

/// One bar a tenant on a terminal, silence elsewhere.
struct Progress {
    bars: MultiProgress,
    by_tenant: std::sync::Mutex<BTreeMap<String, ProgressBar>>,
}

impl Progress {
    fn new() -> Self {
        let bars = MultiProgress::new();
        if !std::io::stderr().is_terminal() {
            bars.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        }
        Self { bars, by_tenant: std::sync::Mutex::default() }
    }
}

impl Observer for Progress {
    fn settled(&self, tenant: &str, tally: &Tally, progress: Option<(u64, u64)>) {
        let mut bars = self.by_tenant.lock().expect("nobody panics while holding the bars");
        let bar = bars.entry(tenant.to_owned()).or_insert_with(|| {
            let style = ProgressStyle::with_template("{prefix:16} {bar:30} {bytes:>10}/{total_bytes:10} {msg}")
                .expect("the template is a constant and valid");
            self.bars.add(ProgressBar::new(0)).with_style(style).with_prefix(tenant.to_owned())
        });
        if let Some((total, read)) = progress {
            bar.set_length(total);
            bar.set_position(read);
        }
        let quarantined: u64 = tally.quarantined.values().sum();
        bar.set_message(format!("{} records, {quarantined} quarantined", tally.records));
    }
}

fn summary(reports: &[TenantReport]) -> String {
    let mut records = Listing::new(["tenant", "records", "transformed", "filtered", "quarantined", "batches", "state"]);
    let mut entities = Listing::new(["tenant", "entity", "rows", "kept", "duplicate", "refused"]);
    for TenantReport { tenant, tally, error } in reports {
        records.push(vec![
            json!(tenant),
            json!(tally.records),
            json!(tally.transformed),
            json!(tally.filtered.values().sum::<u64>()),
            json!(tally.quarantined.values().sum::<u64>()),
            json!(tally.batches),
            json!(if error.is_some() { "stopped" } else { "done" }),
        ]);
        for (entity, rows) in &tally.entities {
            entities.push(vec![
                json!(tenant),
                json!(entity),
                json!(rows.emitted),
                json!(rows.kept),
                json!(rows.duplicate),
                json!(rows.refused),
            ]);
        }
    }
    if entities.is_empty() { records.to_text() } else { format!("{}\n\n{}", records.to_text(), entities.to_text()) }
}

fn to_json(TenantReport { tenant, tally, error }: &TenantReport) -> Value {
    let entities: serde_json::Map<String, Value> = tally
        .entities
        .iter()
        .map(|(entity, rows)| {
            let rows = json!({"emitted": rows.emitted, "kept": rows.kept, "duplicate": rows.duplicate, "refused": rows.refused});
            (entity.clone(), rows)
        })
        .collect();
    json!({
        "tenant": tenant,
        "records": tally.records,
        "transformed": tally.transformed,
        "filtered": tally.filtered,
        "quarantined": tally.quarantined,
        "batches": tally.batches,
        "entities": entities,
        "error": error.as_ref().map(|error| super::chain(error)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_names_tenant_source_and_path() {
        let input = parse_input("acme/orders=/tmp/a=b.ndjson").unwrap();
        assert_eq!((input.tenant.as_str(), input.source.as_str()), ("acme", "orders"));
        assert_eq!(input.path, PathBuf::from("/tmp/a=b.ndjson"));
        assert!(parse_input("acme=/tmp/x").unwrap_err().contains("expected TENANT/SOURCE=PATH"));
    }
}
