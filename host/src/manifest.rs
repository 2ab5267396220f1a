//! The account of one batch: what came in, what became of it, and the digests that prove it.
//!
//! A manifest is assembled from the accounts that the batch's own commits carry ([`account`]), never decided
//! again, so it can be written after a crash by a host that did none of the work. This module owns the shape
//! and the arithmetic; reading commits and writing the table is the pipeline's work.

pub mod account;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::entity::utc_microseconds;

/// How far a batch has come. A manifest is written when the batch is in every table, or when the tenant stops at it: what
/// is between is told by the tables' own transactions, and a row for it would be old when it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// In Bronze.
    Received,
    /// Being turned into Silver.
    Processing,
    /// In every table of its layer.
    Complete,
    /// Waiting for an operator's resume.
    Paused,
    /// Not in every table: the tenant stopped at it, and `accounts` says why. A later row of the same id tells how it went on.
    Failed,
}

impl Status {
    /// The word in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Received => "RECEIVED",
            Self::Processing => "PROCESSING",
            Self::Complete => "COMPLETE",
            Self::Paused => "PAUSED",
            Self::Failed => "FAILED",
        }
    }
}

/// The layer that a manifest speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Records as received.
    Bronze,
    /// Canonical entities.
    Silver,
    /// What consumers derive; written by nobody here.
    Gold,
}

impl Layer {
    /// The word in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bronze => "BRONZE",
            Self::Silver => "SILVER",
            Self::Gold => "GOLD",
        }
    }
}

/// The findings on a batch's quality.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QualityChecks {
    /// No record was refused for its shape: by the plugin, or for a type or value its contract forbids.
    pub schema_valid: bool,
    /// No row lacked a required value.
    pub null_check_pass: bool,
    /// Rows that said nothing new.
    pub duplicate_count: u64,
    /// Records quarantined, by reason.
    pub quarantined: BTreeMap<String, u64>,
    /// Rows refused alone, by reason.
    pub refused_rows: BTreeMap<String, u64>,
    /// References whose target was not in Silver yet, by link (`order.customer`).
    pub dangling_references: BTreeMap<String, u64>,
}

/// One row of the manifests table.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// [`id`] of the batch and layer.
    pub manifest_id: String,
    /// The tenant.
    pub tenant: String,
    /// The source.
    pub source: String,
    /// `<source>@<Bronze version>`.
    pub batch_id: String,
    /// Records in the batch.
    pub record_count: u64,
    /// When work on the layer began, microseconds since the epoch.
    pub start_time: i64,
    /// When it ended.
    pub end_time: i64,
    /// How far it came.
    pub status: Status,
    /// What was checked.
    pub quality_checks: QualityChecks,
    /// Which layer.
    pub layer: Layer,
    /// The manifests this one follows from.
    pub lineage: Vec<String>,
    /// SHA-256 of the plugin, in hexadecimal.
    pub plugin_digest: String,
    /// SHA-256 of the configuration, in hexadecimal.
    pub configuration_digest: String,
    /// The version of each table after the batch.
    pub delta_versions: BTreeMap<String, i64>,
    /// Counts and digests of every outcome, as the batch's commits state them.
    pub accounts: serde_json::Value,
}

/// The name of the manifest of one Bronze version of one source: the same on every host and in every replay.
pub fn id(tenant: &str, source: &str, bronze_version: i64, layer: Layer) -> String {
    let mut hasher = Sha256::new();
    for part in ["manifest", tenant, source, layer.as_str()] {
        hasher.update((part.len() as u32).to_le_bytes());
        hasher.update(part);
    }
    hasher.update(bronze_version.to_le_bytes());
    hasher.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The columns of the manifests table.
pub static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![
        text("manifest_id"),
        text("tenant_id"),
        text("source_system"),
        text("batch_id"),
        Field::new("record_count", DataType::Int64, true),
        Field::new("start_time", utc_microseconds(), true),
        Field::new("end_time", utc_microseconds(), true),
        text("status"),
        text("quality_checks"),
        text("layer"),
        text("lineage"),
        text("plugin_digest"),
        text("configuration_digest"),
        text("delta_versions"),
        text("accounts"),
    ]))
});

/// The rows of `manifests`, in [`SCHEMA`].
pub fn to_records(manifests: &[Manifest]) -> RecordBatch {
    let text = |value: fn(&Manifest) -> String| -> ArrayRef {
        Arc::new(manifests.iter().map(|m| Some(value(m))).collect::<StringArray>())
    };
    let time = |value: fn(&Manifest) -> i64| -> ArrayRef {
        Arc::new(manifests.iter().map(|m| Some(value(m))).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
    };
    let columns = vec![
        text(|m| m.manifest_id.clone()),
        text(|m| m.tenant.clone()),
        text(|m| m.source.clone()),
        text(|m| m.batch_id.clone()),
        Arc::new(manifests.iter().map(|m| Some(m.record_count as i64)).collect::<Int64Array>()),
        time(|m| m.start_time),
        time(|m| m.end_time),
        text(|m| m.status.as_str().to_owned()),
        text(|m| json(&m.quality_checks)),
        text(|m| m.layer.as_str().to_owned()),
        text(|m| json(&m.lineage)),
        text(|m| m.plugin_digest.clone()),
        text(|m| m.configuration_digest.clone()),
        text(|m| json(&m.delta_versions)),
        text(|m| m.accounts.to_string()),
    ];
    RecordBatch::try_new(SCHEMA.clone(), columns).expect("the columns follow SCHEMA, one value a manifest each")
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain maps and lists with text keys always serialise")
}

/// A row of the manifests table as a reader sees it: what `manifests list` and `status` show.
#[derive(Clone, Debug, Serialize)]
pub struct ManifestRow {
    /// As in [`Manifest`].
    pub manifest_id: String,
    /// As in [`Manifest`].
    pub source: String,
    /// As in [`Manifest`].
    pub batch_id: String,
    /// As in [`Manifest`].
    pub record_count: i64,
    /// As in [`Manifest`].
    pub start_time: i64,
    /// As in [`Manifest`].
    pub end_time: i64,
    /// As in [`Manifest`].
    pub status: String,
    /// As in [`Manifest`].
    pub layer: String,
    /// As in [`Manifest`].
    pub quality_checks: serde_json::Value,
    /// As in [`Manifest`].
    pub lineage: serde_json::Value,
    /// As in [`Manifest`].
    pub plugin_digest: String,
    /// As in [`Manifest`].
    pub configuration_digest: String,
    /// As in [`Manifest`].
    pub delta_versions: serde_json::Value,
    /// As in [`Manifest`].
    pub accounts: serde_json::Value,
}

/// Reads rows back from [`SCHEMA`].
pub fn from_records(records: &RecordBatch) -> Vec<ManifestRow> {
    let text = |column: usize, row: usize| records.column(column).as_string::<i32>().value(row).to_owned();
    let parsed = |column: usize, row: usize| {
        serde_json::from_str(&text(column, row)).unwrap_or_else(|_| serde_json::Value::String(text(column, row)))
    };
    let time = |column: usize, row: usize| records.column(column).as_primitive::<TimestampMicrosecondType>().value(row);
    (0..records.num_rows())
        .map(|row| ManifestRow {
            manifest_id: text(0, row),
            source: text(2, row),
            batch_id: text(3, row),
            record_count: records.column(4).as_primitive::<Int64Type>().value(row),
            start_time: time(5, row),
            end_time: time(6, row),
            status: text(7, row),
            quality_checks: parsed(8, row),
            layer: text(9, row),
            lineage: parsed(10, row),
            plugin_digest: text(11, row),
            configuration_digest: text(12, row),
            delta_versions: parsed(13, row),
            accounts: parsed(14, row),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_has_the_same_name_on_every_host_and_another_for_every_batch() {
        let name = id("acme", "orders", 7, Layer::Silver);
        assert_eq!(name, id("acme", "orders", 7, Layer::Silver));
        assert_eq!(name.len(), 32);
        let others = [
            id("acme", "orders", 8, Layer::Silver),
            id("acme", "orders", 7, Layer::Bronze),
            id("acmeo", "rders", 7, Layer::Silver),
        ];
        assert!(others.iter().all(|other| *other != name));
    }

    #[test]
    fn a_row_reads_back_as_written() {
        let manifest = Manifest {
            manifest_id: "m".into(),
            tenant: "acme".into(),
            source: "orders".into(),
            batch_id: "orders@3".into(),
            record_count: 5,
            start_time: 1,
            end_time: 2,
            status: Status::Complete,
            quality_checks: QualityChecks { schema_valid: true, ..QualityChecks::default() },
            layer: Layer::Silver,
            lineage: vec!["b".into()],
            plugin_digest: "p".into(),
            configuration_digest: "c".into(),
            delta_versions: BTreeMap::from([("silver/order".into(), 4)]),
            accounts: serde_json::json!({"records": 5}),
        };
        let rows = from_records(&to_records(std::slice::from_ref(&manifest)));
        assert_eq!((rows[0].record_count, rows[0].status.as_str(), rows[0].end_time), (5, "COMPLETE", 2));
        assert_eq!(rows[0].delta_versions["silver/order"], 4);
        assert_eq!(rows[0].quality_checks["schema_valid"], true);
    }
}
