//! The schema of a table: from Arrow to Delta and back, and what may change in it.
//!
//! Owns what is refused: any type, property or protocol that some reader of the lake does not know, or that would
//! make progress vanish. Columns are only ever added, and nullable, so files written before stay readable.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use deltalake::kernel::StructType;
use deltalake::kernel::engine::arrow_conversion::{TryIntoArrow, TryIntoKernel};
use serde_json::json;

use super::log::{Metadata, Protocol};
use super::table::TableSpec;
use super::{LakeError, Place};

/// The protocol of every table here: no feature that needs a newer reader or writer.
pub(super) const PROTOCOL: Protocol = Protocol { min_reader_version: 1, min_writer_version: 2 };
const APPEND_ONLY: &str = "delta.appendOnly";

/// The metadata of a new table.
pub(super) fn create(place: &Place, spec: &TableSpec) -> Result<Metadata, LakeError> {
    for name in &spec.partition_by {
        if spec.schema.index_of(name).is_err() {
            return Err(incompatible(
                place,
                "partition columns",
                &spec.schema.fields().iter().map(|f| f.name()).collect::<Vec<_>>(),
                name,
            ));
        }
    }
    let mut configuration: BTreeMap<String, String> = spec.properties.iter().cloned().collect();
    if spec.append_only {
        configuration.insert(APPEND_ONLY.to_owned(), "true".to_owned());
    }
    Ok(Metadata {
        id: place.lake.world.unique().to_string(),
        name: None,
        description: None,
        format: json!({ "provider": "parquet", "options": {} }),
        schema_string: to_delta(place, &spec.schema)?,
        partition_columns: spec.partition_by.clone(),
        configuration,
        created_time: Some(place.lake.world.now() / 1000),
    })
}

/// The metadata that gives a table the columns of `spec` that it lacks; none if it lacks none.
pub(super) fn evolve(place: &Place, metadata: &Metadata, spec: &TableSpec) -> Result<Option<Metadata>, LakeError> {
    if metadata.partition_columns != spec.partition_by {
        return Err(incompatible(place, "partition columns", &metadata.partition_columns, &spec.partition_by));
    }
    if append_only(metadata) != spec.append_only {
        return Err(incompatible(place, APPEND_ONLY, &append_only(metadata), &spec.append_only));
    }
    let table = to_arrow(place, metadata)?;
    let mut fields = table.fields().to_vec();
    for wanted in spec.schema.fields() {
        let kind = |field: &Field| (normal(field.data_type()), field.is_nullable());
        match table.field_with_name(wanted.name()) {
            Ok(found) if kind(found) == kind(wanted) => {}
            Ok(found) => {
                return Err(incompatible(
                    place,
                    &format!("column `{}` as", wanted.name()),
                    &kind(found),
                    &kind(wanted),
                ));
            }
            Err(_) if wanted.is_nullable() => fields.push(wanted.clone()),
            Err(_) => {
                return Err(incompatible(place, &format!("column `{}`", wanted.name()), &"absent", &kind(wanted)));
            }
        }
    }
    // Columns of the table that `spec` does not know stay: an older configuration leaves them null.
    for found in table.fields() {
        if spec.schema.index_of(found.name()).is_err() && !found.is_nullable() {
            return Err(incompatible(place, &format!("column `{}` as", found.name()), &"required", &"absent"));
        }
    }
    if fields.len() == table.fields().len() {
        return Ok(None);
    }
    let schema_string = to_delta(place, &Schema::new(fields))?;
    Ok(Some(Metadata { schema_string, ..metadata.clone() }))
}

/// Whether files may only be added.
pub(super) fn append_only(metadata: &Metadata) -> bool {
    metadata.configuration.get(APPEND_ONLY).is_some_and(|value| value == "true")
}

/// The columns of the table in order, in the Arrow types that files have; refuses what not every reader knows.
pub(super) fn check(place: &Place, metadata: &Metadata, protocol: &Protocol) -> Result<SchemaRef, LakeError> {
    let unsupported = |found, expected| LakeError::Unsupported { table: place.name.clone(), found, expected };
    if protocol.min_reader_version != 1 || !(1..=2).contains(&protocol.min_writer_version) {
        let found = format!("protocol {}/{}", protocol.min_reader_version, protocol.min_writer_version);
        return Err(unsupported(found, "protocol 1/2"));
    }
    for (property, value) in &metadata.configuration {
        match property.as_str() {
            // Progress lies in transactions: with a retention, a checkpoint would drop them.
            "delta.setTransactionRetentionDuration" => {
                return Err(unsupported(format!("property `{property}`"), "transactions that never expire"));
            }
            "delta.columnMapping.mode" if value != "none" => {
                return Err(unsupported(format!("property `{property}` = `{value}`"), "no column mapping"));
            }
            _ => {}
        }
    }
    let schema = to_arrow(place, metadata)?;
    match schema.fields().iter().find(|field| holds_local_time(field.data_type())) {
        Some(field) => Err(unsupported(format!("column `{}` in local time", field.name()), "timestamps in UTC")),
        None => Ok(schema),
    }
}

fn holds_local_time(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(_, zone) => zone.is_none(),
        DataType::List(field) | DataType::Map(field, _) => holds_local_time(field.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| holds_local_time(field.data_type())),
        _ => false,
    }
}

/// Types compare by what they hold: the name that a list gives its elements does not matter.
fn normal(data_type: &DataType) -> DataType {
    let inner = |field: &Field| Field::new(field.name(), normal(field.data_type()), field.is_nullable());
    match data_type {
        DataType::List(field) => DataType::List(Arc::new(inner(field).with_name("element"))),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|field| inner(field)).collect()),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => crate::entity::utc_microseconds(),
        other => other.clone(),
    }
}

fn to_delta(place: &Place, schema: &Schema) -> Result<String, LakeError> {
    let delta: Result<StructType, _> = schema.try_into_kernel();
    let text = delta
        .map_err(|error| error.to_string())
        .and_then(|delta| serde_json::to_string(&delta).map_err(|error| error.to_string()));
    text.map_err(|error| incompatible(place, "a schema that Delta cannot hold:", &error, &"types of a contract"))
}

fn to_arrow(place: &Place, metadata: &Metadata) -> Result<SchemaRef, LakeError> {
    let delta: Result<StructType, _> = serde_json::from_str(&metadata.schema_string);
    let arrow = delta.map_err(|error| error.to_string()).and_then(|delta| {
        let arrow: Result<Schema, _> = (&delta).try_into_arrow();
        arrow.map_err(|error| error.to_string())
    });
    arrow
        .map(Arc::new)
        .map_err(|error| incompatible(place, "a schema that is not readable:", &error, &"a Delta schema"))
}

fn incompatible(place: &Place, what: &str, found: &dyn std::fmt::Debug, expected: &dyn std::fmt::Debug) -> LakeError {
    LakeError::Incompatible {
        table: place.name.clone(),
        what: what.to_owned(),
        found: format!("{found:?}"),
        expected: format!("{expected:?}"),
    }
}
