//! `try`: what would come of some records, by the real component, without a lake.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};
use clap::Args;
use serde_json::{Value, json};

use super::output::{self, Listing};
use super::{CliError, Exit, Format, host, read};
use crate::conform::outcome::RecordOutcome;
use crate::pipeline::trial::{Trial, trial};
use crate::registry::tenant::Input;

#[derive(Debug, Args)]
pub(super) struct TryArgs {
    /// The tenant.
    tenant: String,
    /// Records to use instead of the source's own.
    file: Option<PathBuf>,
    /// The folder of tenants.
    #[arg(long, value_name = "FOLDER", default_value = "tenants")]
    tenants: PathBuf,
    /// This source, where the tenant has several.
    #[arg(long)]
    source: Option<String>,
    /// Records to try, at most.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    limit: usize,
    /// Rows of each entity, and refusals, to show.
    #[arg(long, value_name = "N", default_value_t = 5)]
    rows: usize,
}

pub(super) fn run(args: TryArgs, format: Format) -> Result<Exit, CliError> {
    let (tenants, _) = super::tenants(&args.tenants, std::slice::from_ref(&args.tenant))?;
    let Some(tenant) = tenants.into_iter().next() else { return Ok(Exit::Failed) };
    let mut tenant = Arc::unwrap_or_clone(tenant);
    let names = tenant.sources.iter().map(|source| source.name.clone()).collect::<Vec<_>>().join(", ");
    let place = match &args.source {
        Some(name) => tenant.sources.iter().position(|source| source.name == *name),
        None if tenant.sources.len() == 1 => Some(0),
        None => None,
    };
    let Some(place) = place else {
        return Err(CliError::Usage(format!("expected --source with one of {names}")));
    };
    if let Some(file) = &args.file {
        let replaced = tenant.sources[place].read_from(file);
        replaced.map_err(|error| CliError::caused(format!("failed to find `{}`", file.display()), error))?;
    }
    if matches!(tenant.sources[place].input, Input::Kafka(_)) {
        return Err(CliError::Usage(format!(
            "source `{}` reads Kafka, expected a file with some of its records, one a line: `silversmith try {} FILE`",
            tenant.sources[place].name, tenant.name
        )));
    }
    let found = super::runtime()?.block_on(async {
        let machine = host::machine(None)?;
        let tried = trial(&machine, &tenant, &tenant.sources[place], args.limit).await;
        tried.map_err(|error| CliError::caused(format!("failed to try tenant `{}`", tenant.name), error))
    })?;
    match format {
        Format::Text => output::print_text(&text(&found, args.rows))?,
        Format::Json => output::print_json(&report(&found, args.rows))?,
    }
    let refused = found.conformed.records.iter().any(|record| matches!(record, RecordOutcome::Quarantined(_)));
    Ok(if refused || !found.conformed.refused.is_empty() { Exit::Failed } else { Exit::Done })
}

fn counts(trial: &Trial) -> (usize, BTreeMap<&str, usize>, usize) {
    let (mut transformed, mut quarantined) = (0, 0);
    let mut filtered = BTreeMap::new();
    for record in &trial.conformed.records {
        match record {
            RecordOutcome::Transformed => transformed += 1,
            RecordOutcome::Filtered(reason) => *filtered.entry(reason.as_str()).or_insert(0) += 1,
            RecordOutcome::Quarantined(_) => quarantined += 1,
        }
    }
    (transformed, filtered, quarantined)
}

/// The first rows of each entity.
fn samples(trial: &Trial, limit: usize) -> Vec<(String, usize, Listing)> {
    let entities = trial.plan.entities().iter().zip(&trial.conformed.entities);
    let listings = entities.map(|(plan, rows)| {
        let fields: Vec<Field> = rows
            .columns
            .iter()
            .enumerate()
            .map(|(index, values)| Field::new(plan.column_name(index), values.data_type().clone(), true))
            .collect();
        let columns = rows.columns.iter().map(|values| values.slice(0, values.len().min(limit))).collect();
        let sample = RecordBatch::try_new(std::sync::Arc::new(Schema::new(fields)), columns);
        let sample = sample.expect("each field has its column's type, and all columns one length");
        (plan.contract.entity.clone(), rows.len(), read::listing(&[sample], &[]))
    });
    listings.collect()
}

fn refusals(trial: &Trial, limit: usize) -> Listing {
    let mut listing = Listing::new(["position", "code", "entity", "field", "path", "step", "value", "message"]);
    let records = trial.conformed.records.iter().enumerate().filter_map(|(record, outcome)| match outcome {
        RecordOutcome::Quarantined(refusal) => Some((record, refusal)),
        _ => None,
    });
    let rows = trial.conformed.refused.iter().map(|row| (row.record as usize, &row.refusal));
    for (record, refusal) in records.chain(rows).take(limit) {
        listing.push(vec![
            json!(trial.batch.position_text(record)),
            json!(refusal.code),
            json!(refusal.entity),
            json!(refusal.field),
            json!(refusal.path),
            json!(refusal.step),
            json!(refusal.value),
            json!(refusal.message),
        ]);
    }
    listing
}

fn never_hit(trial: &Trial) -> Vec<&str> {
    trial.paths.iter().filter(|(_, hits)| *hits == 0).map(|(path, _)| path.as_str()).collect()
}

fn text(trial: &Trial, limit: usize) -> String {
    let (transformed, filtered, quarantined) = counts(trial);
    let mut parts = vec![format!(
        "{} records: {transformed} transformed, {} filtered, {quarantined} quarantined, {} rows refused alone",
        trial.batch.len(),
        filtered.values().sum::<usize>(),
        trial.conformed.refused.len()
    )];
    for (reason, count) in filtered {
        parts.push(format!("filtered `{reason}`: {count}"));
    }
    for (entity, rows, sample) in samples(trial, limit) {
        let table = if rows == 0 { "no rows".to_owned() } else { sample.to_text() };
        parts.push(format!("{entity}: {rows} rows\n{table}"));
    }
    let refusals = refusals(trial, limit);
    if !refusals.is_empty() {
        parts.push(format!("refused (first {limit})\n{}", refusals.to_text()));
    }
    if !never_hit(trial).is_empty() {
        parts.push(format!("paths never hit\n  {}", never_hit(trial).join("\n  ")));
    }
    for (link, count) in trial.dangling() {
        parts.push(format!("dangling reference `{link}`: {count} rows refer to a key that no row here has"));
    }
    parts.join("\n\n")
}

fn report(trial: &Trial, limit: usize) -> Value {
    let (transformed, filtered, quarantined) = counts(trial);
    let entities: serde_json::Map<String, Value> = samples(trial, limit)
        .into_iter()
        .map(|(entity, rows, sample)| (entity, json!({"rows": rows, "sample": sample.to_json()})))
        .collect();
    json!({
        "records": trial.batch.len(),
        "transformed": transformed,
        "filtered": filtered,
        "quarantined": quarantined,
        "entities": entities,
        "refusals": refusals(trial, limit).to_json(),
        "paths_never_hit": never_hit(trial),
        "dangling_references": trial.dangling(),
    })
}
