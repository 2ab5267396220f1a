//! The mapping language as types, and its JSON Schema.
//!
//! Owns the shape of a mapping file: what [`parse`](crate::parse) makes of YAML and what editors complete. It does
//! not check meaning: a path is text here, a name may be unknown. The schema is derived from these very types, so
//! the comments on them are what an author reads in an editor.

use std::borrow::Cow;

use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::yaml::At;

/// How the records of one schema version of a source become rows of canonical entities.
#[derive(Debug, JsonSchema)]
#[schemars(title = "Silversmith mapping", deny_unknown_fields)]
pub(crate) struct Mapping {
    /// The version of this language: 1.
    #[allow(dead_code, reason = "checked when read; stands here for the schema")]
    #[schemars(range(min = 1, max = 1))]
    pub(crate) mapping: u8,
    /// The source of the tenant that the mapping is for.
    pub(crate) source: Option<At<String>>,
    /// The schema version that the mapping is for, in quotes.
    pub(crate) schema_version: Option<At<String>>,
    /// Records that have deliberately no rows. The first rule that holds gives the reason.
    pub(crate) skip: Option<Vec<Skip>>,
    /// Blocks for tombstones, records without a payload: each makes one row that deletes its key. Without them a
    /// tombstone is filtered.
    pub(crate) tombstone: Option<Vec<Block>>,
    /// What is read out of each record. Several blocks may fill one entity.
    pub(crate) entities: Vec<Block>,
}

/// A record for which the condition holds is filtered.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Skip {
    /// On the record: `@` and `$` are the same here.
    pub(crate) when: At<ConditionText>,
    /// Why, in a word or a few.
    pub(crate) reason: At<String>,
}

/// One row of an entity for each node that `each` selects.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Block {
    /// A canonical entity.
    pub(crate) entity: At<String>,
    /// One path or several; a node counts once. The enclosing node itself if left out.
    pub(crate) each: Option<OneOrMany<At<PathText>>>,
    /// Nodes for which it does not hold are passed over, with the blocks inside.
    pub(crate) when: Option<At<ConditionText>>,
    /// True or a condition: the row is a patch, and absent fields stay as they were.
    pub(crate) partial: Option<At<Toggle>>,
    /// True or a condition: the row only makes the key exist.
    pub(crate) stub: Option<At<Toggle>>,
    /// True or a condition: the key has ended.
    pub(crate) delete: Option<At<Toggle>>,
    /// What a failure refuses. A refused row leaves the rows of the blocks inside it alone.
    pub(crate) on_error: Option<Reach>,
    /// Columns of the entity.
    pub(crate) fields: Option<Named<Value>>,
    /// Links to other entities; each becomes the column `<name>_key`.
    pub(crate) references: Option<Named<Reference>>,
    /// Blocks inside this one: their nodes are looked for from each node of this block.
    pub(crate) entities: Option<Vec<Block>>,
}

/// How far a failure reaches.
#[derive(Clone, Copy, Debug, Default, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(crate) enum Reach {
    /// The record is refused, with all its rows.
    #[default]
    Record,
    /// Only the row is refused.
    Row,
}

/// True, false or a condition on the node.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(crate) enum Toggle {
    Always(bool),
    When(ConditionText),
}

/// The target's key columns; under another name than the target's, with the target named.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(crate) enum Reference {
    Named(NamedReference),
    Plain(Named<Value>),
}

/// A link under a name of its own.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct NamedReference {
    /// The entity linked to.
    pub(crate) entity: At<String>,
    /// Exactly its key columns. A null in any of them makes the link null.
    pub(crate) key: Named<Value>,
}

/// A path, or one source with what is done to it.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(crate) enum Value {
    Path(At<PathText>),
    Full(Box<FullValue>),
}

/// Exactly one source, then the normalisers in their order, then the default.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, transform = exactly_one)]
pub(crate) struct FullValue {
    #[schemars(flatten)]
    pub(crate) source: Source,
    /// Steps from value to value. An absent value and null pass all of them.
    pub(crate) normalize: Option<Vec<At<Step>>>,
    /// Taken where the value is absent or null after all steps.
    pub(crate) default: Option<At<Scalar>>,
}

/// Where a value comes from.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(crate) enum Source {
    /// The one node that a path selects; several refuse the row.
    Path(At<PathText>),
    /// The first node of any of the paths that is not null.
    First(Vec<At<PathText>>),
    /// The first branch whose condition holds.
    Case(Vec<Branch>),
    /// Always the same.
    Const(At<Scalar>),
    /// The name of a node in its object.
    Key(At<PathText>),
    /// How many nodes a path selects.
    Count(At<PathText>),
    /// What is known of the record as a whole.
    Record(Property),
    /// The values of all nodes of all paths, null ones left out.
    #[schemars(untagged)]
    Join(Join),
    /// The place of a node in its array.
    #[schemars(untagged)]
    Index(Index),
}

/// Texts joined to one.
#[derive(Debug, JsonSchema)]
pub(crate) struct Join {
    /// In this order.
    pub(crate) join: Vec<At<PathText>>,
    /// Between two values; one space if left out.
    pub(crate) separator: Option<String>,
}

/// A running number in an array.
#[derive(Debug, JsonSchema)]
pub(crate) struct Index {
    /// The node, most often `.`.
    pub(crate) index: At<PathText>,
    /// The number of the first element; 0 if left out.
    pub(crate) start: Option<i64>,
}

/// A value under a condition.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Branch {
    /// On the node.
    pub(crate) when: At<ConditionText>,
    /// The value then.
    pub(crate) then: Value,
}

/// A property of a record.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(crate) enum Property {
    /// SHA-256 of the payload, in hexadecimal digits.
    Checksum,
    /// Where the record stands in its source.
    Position,
    /// The key it came with.
    Key,
    /// The topic, or the source's name.
    Topic,
    /// The file it was read from.
    File,
    /// The broker's time.
    EventTime,
    /// The schema version that a header or the source declares.
    SchemaVersion,
    /// The last header of this name.
    Header(String),
}

/// A normaliser.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(crate) enum Step {
    Plain(PlainStep),
    With(StepWith),
}

/// A normaliser without settings.
#[derive(Clone, Copy, Debug, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(crate) enum PlainStep {
    /// Takes white space off both ends.
    Trim,
    /// To lower case.
    Lowercase,
    /// To upper case.
    Uppercase,
    /// To Unicode normalisation form C.
    Nfc,
    /// Makes each run of white space one space.
    CollapseSpaces,
    /// Makes the empty text null.
    EmptyToNull,
    /// Text to a number: `1667.80`.
    Decimal,
    /// RFC 3339 text to an instant.
    Timestamp,
    /// ISO 8601 text to a day.
    Date,
    /// `true`, `false`, `yes`, `no`, 1, 0 … to true and false.
    Boolean,
    /// A country's code or name to ISO 3166 alpha-2.
    Country,
    /// A currency's code to ISO 4217.
    Currency,
}

/// A normaliser with settings.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(crate) enum StepWith {
    /// Text to the value listed for it. What is not listed refuses, or is null where the value has a default.
    Lookup(Named<At<Scalar>>),
    /// Text with separators to a number.
    Decimal(DecimalWith),
    /// Minor units to major units: by so many digits, or by a currency's.
    Scale(Scale),
    /// Text or a number to an instant, by the first form that fits.
    Timestamp(Timestamp),
    /// Text or an instant to a day, by the first form that fits.
    Date(OneOrMany<At<FormText>>),
    /// Text to true and false, by its own words.
    Boolean(Words),
    /// Text to what the first group of a regular expression matches, or to the whole match.
    Extract(At<String>),
}

/// The forms of an instant.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(crate) enum Timestamp {
    Forms(OneOrMany<At<FormText>>),
    Zoned(ZonedForms),
}

/// Forms without an offset of their own, and the offset they mean.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct ZonedForms {
    /// The first that fits.
    pub(crate) forms: OneOrMany<At<FormText>>,
    /// `+02:00`; for texts that state none.
    pub(crate) offset: Option<At<String>>,
}

/// How numbers are written.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct DecimalWith {
    /// Between groups of three digits.
    pub(crate) thousands: Option<char>,
    /// Before the fraction; `.` if left out.
    pub(crate) point: Option<char>,
}

/// By how much minor units are scaled.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(crate) enum Scale {
    Digits(u8),
    Currency(CurrencyOf),
}

/// The currency that says how many digits its minor unit has.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct CurrencyOf {
    /// A path to its ISO 4217 code, or a value.
    pub(crate) currency: Value,
}

/// What means true and what means false.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Words {
    /// These mean true.
    pub(crate) r#true: Vec<At<String>>,
    /// These mean false.
    pub(crate) r#false: Vec<At<String>>,
}

/// Text, a number in its digits, true, false or null.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar {
    Null,
    Boolean(bool),
    Number(String),
    Text(String),
}

/// One item or a list of them.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(crate) enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    pub(crate) fn as_slice(&self) -> &[T] {
        match self {
            Self::One(item) => std::slice::from_ref(item),
            Self::Many(items) => items,
        }
    }
}

/// An object whose keys the author chooses, in their order.
#[derive(Debug)]
pub(crate) struct Named<T>(pub(crate) Vec<(At<String>, T)>);

/// A JSONPath that starts with `$` (the record), `.` (the node) or `^` (the enclosing node).
#[derive(Clone, Debug)]
pub(crate) struct PathText(pub(crate) String);

/// An RFC 9535 filter condition: `@` is the node, `$` the record.
#[derive(Clone, Debug)]
pub(crate) struct ConditionText(pub(crate) String);

/// A form of time: `rfc3339`, `epoch_s`, `epoch_ms`, `epoch_us`, `epoch_ns` or a pattern.
#[derive(Clone, Debug)]
pub(crate) struct FormText(pub(crate) String);

/// The JSON Schema of mapping files.
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(Mapping);
    RecursiveTransform(left_out_not_null).transform(&mut schema);
    schema.to_value()
}

/// What is optional may be left out; writing null instead is a mistake, often a key whose value was forgotten.
fn left_out_not_null(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(serde_json::Value::Array(types)) = object.get_mut("type")
        && types.len() == 2
    {
        types.retain(|name| name != "null");
    }
    if let Some(serde_json::Value::Array(choices)) = object.get_mut("anyOf")
        && choices.len() == 2
    {
        choices.retain(|choice| *choice != serde_json::json!({ "type": "null" }));
    }
}

/// Of the sources of a value there is exactly one.
fn exactly_one(schema: &mut Schema) {
    if let Some(sources) = schema.remove("anyOf") {
        schema.insert("oneOf".to_owned(), sources);
    }
}

/// Schemas of types whose Rust shape is not their YAML shape.
macro_rules! inline_schema {
    ($(($($generics:tt)*) $type:ty, $name:expr, |$generator:ident| $schema:expr;)*) => {$(
        impl $($generics)* JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    )*};
}

inline_schema! {
    (<T: JsonSchema>) At<T>, T::schema_name(), |generator| generator.subschema_for::<T>();
    (<T: JsonSchema>) Named<T>, format!("Named_{}", T::schema_name()), |generator| {
        let item = generator.subschema_for::<T>();
        json_schema!({ "type": "object", "additionalProperties": item })
    };
    () Scalar, "Scalar", |_generator| json_schema!({ "type": ["string", "number", "boolean", "null"] });
    () PathText, "Path", |_generator| json_schema!({ "type": "string", "pattern": "^[$.^]" });
    () ConditionText, "Condition", |_generator| json_schema!({ "type": "string" });
    () FormText, "Form", |_generator| json_schema!({ "type": "string" });
}
