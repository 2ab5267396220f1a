//! The shape of `tenant.yaml`, for the YAML parser and for its JSON Schema.
//!
//! Says which keys there are and of which type; `tenant` says what they mean. Values keep their places, so that
//! every later finding can show its line.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::conform::pii::Treatment;
use crate::excerpt::A_NUMBER;
use crate::sandbox::Limits;

/// A tenant: its name and its sources. Paths are relative to the tenant's folder.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    /// The name of the tenant, which is the name of its folder.
    #[schemars(with = "String", regex(pattern = r"^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$"))]
    pub(super) tenant: Spanned<String>,
    /// The contracts of the tenant's own entities. Default `contracts/*.odcs.yaml`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub(super) contracts: Option<Spanned<String>>,
    /// The entities that the tenant may fill. Default: all canonical ones and its own.
    #[serde(default)]
    #[schemars(with = "Option<Vec<String>>")]
    pub(super) entities: Option<Vec<Spanned<String>>>,
    /// The sources by name.
    #[schemars(with = "BTreeMap<String, SourceDocument>")]
    pub(super) sources: Spanned<BTreeMap<String, Spanned<SourceDocument>>>,
    /// What plugins may use; `validate --effective` prints all limits with their values.
    #[serde(default)]
    pub(super) limits: Limits,
    /// What becomes of classified columns.
    #[serde(default)]
    pub(super) pii: Option<PiiDocument>,
}

/// A source: `files` or `documents`, and `mapping`, `mappings` or `plugin`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceDocument {
    /// NDJSON files: paths or globs; each line is a record. Plain, gzip or zstd.
    #[serde(default)]
    #[schemars(with = "Option<Paths>")]
    pub(super) files: Option<Spanned<Paths>>,
    /// JSON documents: paths or globs; each file is a record. Plain, gzip or zstd.
    #[serde(default)]
    #[schemars(with = "Option<Paths>")]
    pub(super) documents: Option<Spanned<Paths>>,
    /// Not in this version.
    #[serde(default)]
    #[schemars(skip)]
    pub(super) kafka: Option<Spanned<de::IgnoredAny>>,
    /// Where a record states the version of its schema, or the version of all records.
    #[serde(default)]
    #[schemars(with = "Option<SchemaVersionRule>")]
    pub(super) schema_version: Option<Spanned<SchemaVersionRule>>,
    /// One mapping file for all records.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub(super) mapping: Option<Spanned<String>>,
    /// A mapping file for each schema version.
    #[serde(default)]
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub(super) mappings: Option<Spanned<BTreeMap<String, Spanned<String>>>>,
    /// A plugin as `<name>@<version>`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub(super) plugin: Option<Spanned<String>>,
    /// Settings of the plugin.
    #[serde(default)]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub(super) config: Option<Spanned<serde_json::Value>>,
    /// Where batches are cut.
    #[serde(default)]
    pub(super) batch: Option<BatchDocument>,
}

/// Paths or globs.
#[derive(Debug)]
pub(super) struct Paths(pub(super) Vec<String>);

impl JsonSchema for Paths {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Paths".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" }, "minItems": 1 }] })
    }
}

impl<'de> Deserialize<'de> for Paths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PathsVisitor;

        impl<'de> Visitor<'de> for PathsVisitor {
            type Value = Paths;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path or a list of paths")
            }

            fn visit_str<E: de::Error>(self, path: &str) -> Result<Paths, E> {
                Ok(Paths(vec![path.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Paths, A::Error> {
                let mut paths = Vec::new();
                while let Some(path) = list.next_element()? {
                    paths.push(path);
                }
                Ok(Paths(paths))
            }
        }

        deserializer.deserialize_any(PathsVisitor)
    }
}

/// How the schema version of a record is known.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(super) enum SchemaVersionRule {
    /// All records have this one.
    Declared(String),
    /// A record states it.
    Detected {
        /// A JSONPath.
        path: String,
        /// For a record that states none; without it, such a record is quarantined.
        default: Option<String>,
    },
}

impl SchemaVersionRule {
    /// The version of a record that states none.
    pub(super) fn default(&self) -> Option<&str> {
        match self {
            Self::Declared(version) => Some(version),
            Self::Detected { default, .. } => default.as_deref(),
        }
    }

    /// As the mapping component is told.
    pub(super) fn setting(&self) -> serde_json::Value {
        match self {
            Self::Declared(version) => serde_json::json!(version),
            Self::Detected { path, default: None } => serde_json::json!({ "path": path }),
            Self::Detected { path, default: Some(default) } => serde_json::json!({ "path": path, "default": default }),
        }
    }
}

impl<'de> Deserialize<'de> for SchemaVersionRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Rule {
            path: String,
            #[serde(default)]
            default: Option<String>,
        }

        struct RuleVisitor;

        impl<'de> Visitor<'de> for RuleVisitor {
            type Value = SchemaVersionRule;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a version as text, or `path` and `default`")
            }

            fn visit_str<E: de::Error>(self, version: &str) -> Result<SchemaVersionRule, E> {
                Ok(SchemaVersionRule::Declared(version.to_owned()))
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<SchemaVersionRule, E> {
                Err(E::custom(format!("{A_NUMBER}, expected a version as text, or `path` and `default`")))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<SchemaVersionRule, E> {
                self.visit_f64(number as f64)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<SchemaVersionRule, E> {
                self.visit_f64(number as f64)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SchemaVersionRule, A::Error> {
                let Rule { path, default } = Rule::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(SchemaVersionRule::Detected { path, default })
            }
        }

        deserializer.deserialize_any(RuleVisitor)
    }
}

/// Where batches of a source are cut; whichever comes first.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchDocument {
    /// Records in a batch, at most. Default 50000.
    #[serde(default)]
    pub(super) records: Option<NonZeroU32>,
    /// Payload bytes in a batch, at most, unless one record has more; such as `32MiB`, which is the default.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub(super) bytes: Option<Spanned<String>>,
}

/// Treatments by the class that contracts give to columns, and the key of tokens.
#[derive(Debug, Default, JsonSchema)]
pub(super) struct PiiDocument {
    /// The key of tokens.
    pub(super) key: Option<KeyDocument>,
    /// The treatments.
    #[schemars(flatten)]
    pub(super) treatments: BTreeMap<String, Treatment>,
}

/// The key of tokens.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyDocument {
    /// The file that holds the key.
    #[schemars(with = "String")]
    pub(super) file: Spanned<String>,
    /// Its version, which shows in tokens.
    pub(super) version: u32,
}

impl<'de> Deserialize<'de> for PiiDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PiiVisitor;

        impl<'de> Visitor<'de> for PiiVisitor {
            type Value = PiiDocument;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("classes with their treatments, and `key`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PiiDocument, A::Error> {
                let mut document = PiiDocument::default();
                while let Some(class) = map.next_key::<String>()? {
                    if class == "key" {
                        document.key = Some(map.next_value()?);
                    } else {
                        document.treatments.insert(class, map.next_value()?);
                    }
                }
                Ok(document)
            }
        }

        deserializer.deserialize_map(PiiVisitor)
    }
}
