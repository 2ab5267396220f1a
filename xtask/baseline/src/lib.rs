//! The yardstick of `cargo xtask bench`: a plugin as one would write it without the kit's single pass.
//!
//! Each record becomes a `serde_json::Value`, and each field is one query of `jsonpath-rust`, compiled beforehand. It
//! gives the rows that the mapping component gives by `orders.yaml` beside the benchmark, with the kit's normalisers
//! and columns, so that what is compared is the reading alone. It is no part of the product.

use std::borrow::Cow;

use jsonpath_rust::parser::model::JpQuery;
use jsonpath_rust::parser::parse_json_path;
use jsonpath_rust::query::js_path_process;
use silversmith_sdk::columns::AnswerBuilder;
use silversmith_sdk::normalise::{Step, TimeForm, TimeForms, coerce};
use silversmith_sdk::plugin::{
    Batch, Configuration, DataType, DecimalType, Descriptor, Diagnostic, Field, OnError, Operation, Output, Plugin,
    Refusal,
};
use silversmith_sdk::value::Value;

silversmith_sdk::export!(Baseline);

const MONEY: DataType = DataType::Decimal(DecimalType { precision: 18, scale: 2 });

/// An entity's name, and the name, type and path of its columns.
type Entity = (&'static str, [(&'static str, DataType, &'static str); 4]);

/// What is filled. The nth row takes the nth node of each path.
const ENTITIES: [Entity; 3] = [
    (
        "customer",
        [
            ("external_id", DataType::Text, "$.cust.ref_id"),
            ("email", DataType::Text, "$.cust.contact.email"),
            ("segment", DataType::Text, "$.cust.seg"),
            ("country", DataType::Text, "$.cust.address.country"),
        ],
    ),
    (
        "order",
        [
            ("external_id", DataType::Text, "$.order_id"),
            ("ordered_at", DataType::Timestamp, "$.ts"),
            ("channel", DataType::Text, "$.channel"),
            ("currency", DataType::Text, "$.currency"),
        ],
    ),
    (
        "order_line",
        [
            ("line_no", DataType::Int64, "$.items[*].line"),
            ("sku", DataType::Text, "$.items[*].product.sku"),
            ("qty", DataType::Int64, "$.items[*].qty"),
            ("unit_price", MONEY, "$.items[*].price_cents"),
        ],
    ),
];

/// What `orders.yaml` does to a column's values.
fn steps(entity: &str, column: &str) -> Vec<Step> {
    match (entity, column) {
        ("customer", "external_id" | "country") => vec![Step::Trim, Step::Uppercase],
        ("customer", "email") => vec![Step::Trim, Step::Lowercase],
        ("order", "ordered_at") => {
            vec![Step::Timestamp(TimeForms { forms: vec![TimeForm::EpochMs], offset_seconds: 0 })]
        }
        ("order", "currency") => vec![Step::Currency],
        ("order_line", "unit_price") => vec![Step::Scale(2)],
        _ => vec![],
    }
}

struct Column {
    query: JpQuery,
    data_type: DataType,
    steps: Vec<Step>,
}

/// The plugin.
pub struct Baseline {
    outputs: Vec<Vec<Column>>,
}

impl Plugin for Baseline {
    fn describe(_: &Configuration) -> Result<Descriptor, Vec<Diagnostic>> {
        let field = |(name, data_type, path): &(&str, DataType, &str)| Field {
            name: (*name).to_owned(),
            data_type: *data_type,
            source: Some((*path).to_owned()),
        };
        let outputs = ENTITIES.iter().map(|(entity, columns)| Output {
            entity: (*entity).to_owned(),
            on_error: OnError::Record,
            fields: columns.iter().map(field).collect(),
            references: vec![],
        });
        Ok(Descriptor {
            name: "baseline".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            outputs: outputs.collect(),
            properties: vec![],
            paths: vec![],
            prepared: vec![],
            warnings: vec![],
        })
    }

    fn configure(_: &[u8]) -> Result<Self, String> {
        let column = |entity: &str, (name, data_type, path): &(&str, DataType, &str)| {
            let query = parse_json_path(path).map_err(|error| error.to_string())?;
            Ok(Column { query, data_type: *data_type, steps: steps(entity, name) })
        };
        let outputs = ENTITIES.iter().map(|(entity, columns)| columns.iter().map(|it| column(entity, it)).collect());
        Ok(Self { outputs: outputs.collect::<Result<_, String>>()? })
    }

    fn transform(&mut self, batch: &Batch<'_>, answer: &mut AnswerBuilder) -> Result<(), String> {
        for index in 0..batch.len() {
            let payload = batch.payload(index).unwrap_or_default();
            match self.record(payload, answer) {
                Ok(()) => answer.transformed(),
                Err(message) => answer.refused(Refusal::of_record("refused", message)),
            }
        }
        Ok(())
    }
}

impl Baseline {
    fn record(&self, payload: &[u8], answer: &mut AnswerBuilder) -> Result<(), String> {
        let record: serde_json::Value = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
        for (output, columns) in self.outputs.iter().enumerate() {
            let nodes = columns.iter().map(|column| js_path_process(&column.query, &record));
            let nodes = nodes.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
            for number in 0..nodes[0].len() {
                let mut row = answer.row(output);
                for (column, nodes) in columns.iter().zip(&nodes) {
                    let Some(node) = nodes.get(number) else {
                        row.push_null();
                        continue;
                    };
                    let value =
                        column.steps.iter().try_fold(value(node.clone().val()), |value, step| step.apply(value));
                    let cell = value.and_then(|value| coerce(value, column.data_type));
                    row.push_cell(&cell.map_err(|error| error.message)?);
                }
                row.finish(Operation::Upsert);
            }
        }
        Ok(())
    }
}

fn value(value: &serde_json::Value) -> Value<'_> {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Boolean(*value),
        serde_json::Value::Number(number) => Value::Number(Cow::Borrowed(number.as_str())),
        serde_json::Value::String(text) => Value::Text(Cow::Borrowed(text)),
        container => Value::Json(Cow::Owned(container.to_string())),
    }
}
