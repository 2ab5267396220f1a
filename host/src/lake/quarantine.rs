//! The quarantine table: every record and row that was refused, with its reason.
//!
//! The bytes of a record stand once, in the first row about it; the details never hold a value that its
//! contract classifies. What is here can be replayed: the position leads to Bronze.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, BinaryBuilder, Int32Builder, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::entity::{Refusal, utc_microseconds};
use crate::record::Batch;

/// The columns of the table.
pub static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![
        text("source_system"),
        Field::new("bronze_version", DataType::Int64, true),
        text("_position"),
        Field::new("_checksum", DataType::Binary, true),
        text("file"),
        Field::new("line", DataType::Int64, true),
        Field::new("row_index", DataType::Int32, true),
        text("scope"),
        text("stage"),
        text("code"),
        text("message"),
        text("entity"),
        text("field"),
        text("path"),
        text("value"),
        text("step"),
        Field::new("raw_payload", DataType::Binary, true),
        text("plugin_digest"),
        text("configuration_digest"),
        text("_manifest_id"),
        Field::new("ingestion_timestamp", utc_microseconds(), true),
    ]))
});

/// How far a refusal reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The record, with all its rows.
    Record,
    /// One row; the number is its place among the rows of its record, where it became a row at all.
    Row(Option<u32>),
}

/// Who refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The plugin, or the sandbox on its behalf.
    Plugin,
    /// The contract.
    Contract,
    /// The decision against the rows kept before.
    Dedup,
}

impl Stage {
    fn as_str(self) -> &'static str {
        match self {
            Self::Plugin => "plugin",
            Self::Contract => "contract",
            Self::Dedup => "dedup",
        }
    }
}

/// One refused record or row.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The record, counted in its batch.
    pub record: u32,
    /// How far it reaches.
    pub scope: Scope,
    /// Who refused.
    pub stage: Stage,
    /// Why.
    pub refusal: Refusal,
}

/// What is the same for all that was refused of one batch.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// The Bronze version.
    pub bronze_version: i64,
    /// SHA-256 of the plugin, in hexadecimal.
    pub plugin_digest: String,
    /// SHA-256 of the configuration, in hexadecimal.
    pub configuration_digest: String,
    /// The batch's Silver manifest.
    pub manifest_id: String,
    /// When Bronze received the batch, microseconds since the epoch.
    pub ingestion_time: i64,
}

/// The rows about `refused`, which is ordered by record, in [`SCHEMA`].
pub fn to_records(batch: &Batch, refused: &[Refused], of: &Circumstances) -> RecordBatch {
    let text = || StringBuilder::new();
    let [mut source, mut position, mut file, mut scope, mut stage, mut code, mut message] = [(); 7].map(|()| text());
    let [mut entity, mut field, mut path, mut value, mut step, mut plugin, mut configuration, mut manifest] =
        [(); 8].map(|()| text());
    let (mut version, mut line, mut row_index) = (Int64Builder::new(), Int64Builder::new(), Int32Builder::new());
    let (mut checksum, mut payload) = (BinaryBuilder::new(), BinaryBuilder::new());
    let mut ingestion = TimestampMicrosecondBuilder::new().with_timezone("UTC");
    let mut last = None;
    for Refused { record, scope: reach, stage: who, refusal } in refused {
        let index = *record as usize;
        source.append_value(&batch.source);
        version.append_value(of.bronze_version);
        position.append_value(batch.position_text(index));
        checksum.append_value(batch.checksum(index));
        file.append_option(batch.file(index));
        line.append_option(batch.line(index));
        let (word, row) = match reach {
            Scope::Record => ("record", None),
            Scope::Row(row) => ("row", *row),
        };
        scope.append_value(word);
        row_index.append_option(row.map(|row| row as i32));
        stage.append_value(who.as_str());
        code.append_value(&refusal.code);
        message.append_value(&refusal.message);
        entity.append_option(refusal.entity.as_deref());
        field.append_option(refusal.field.as_deref());
        path.append_option(refusal.path.as_deref());
        value.append_option(refusal.value.as_deref());
        step.append_option(refusal.step.as_deref());
        let payloads = batch.payloads();
        let first = last.replace(index) != Some(index);
        payload.append_option((first && arrow::array::Array::is_valid(payloads, index)).then(|| payloads.value(index)));
        plugin.append_value(&of.plugin_digest);
        configuration.append_value(&of.configuration_digest);
        manifest.append_value(&of.manifest_id);
        ingestion.append_value(of.ingestion_time);
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(source.finish()),
        Arc::new(version.finish()),
        Arc::new(position.finish()),
        Arc::new(checksum.finish()),
        Arc::new(file.finish()),
        Arc::new(line.finish()),
        Arc::new(row_index.finish()),
        Arc::new(scope.finish()),
        Arc::new(stage.finish()),
        Arc::new(code.finish()),
        Arc::new(message.finish()),
        Arc::new(entity.finish()),
        Arc::new(field.finish()),
        Arc::new(path.finish()),
        Arc::new(value.finish()),
        Arc::new(step.finish()),
        Arc::new(payload.finish()),
        Arc::new(plugin.finish()),
        Arc::new(configuration.finish()),
        Arc::new(manifest.finish()),
        Arc::new(ingestion.finish()),
    ];
    RecordBatch::try_new(SCHEMA.clone(), columns).expect("the builders follow SCHEMA, one value a refusal each")
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};

    use super::*;
    use crate::record::{BatchBuilder, Received};

    #[test]
    fn the_bytes_of_a_record_stand_once() {
        let mut builder = BatchBuilder::new("orders");
        for offset in 0..2 {
            builder.push(&Received { payload: Some(b"{}"), offset, ..Received::default() });
        }
        let batch = builder.finish(vec![], serde_json::Value::Null);
        let refused = |record, scope| Refused {
            record,
            scope,
            stage: Stage::Contract,
            refusal: Refusal::of_record("required", "found null, expected a value"),
        };
        let of = Circumstances {
            bronze_version: 3,
            plugin_digest: "p".into(),
            configuration_digest: "c".into(),
            manifest_id: "m".into(),
            ingestion_time: 9,
        };
        let all = [refused(0, Scope::Row(Some(4))), refused(0, Scope::Row(None)), refused(1, Scope::Record)];
        let records = to_records(&batch, &all, &of);
        let payloads = records.column(16).as_binary::<i32>();
        assert_eq!((payloads.is_valid(0), payloads.is_valid(1), payloads.is_valid(2)), (true, false, true));
        assert_eq!(records.column(2).as_string::<i32>().value(2), "orders#1");
        assert_eq!(records.column(7).as_string::<i32>().value(2), "record");
    }
}
