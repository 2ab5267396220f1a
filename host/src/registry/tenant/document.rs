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
use crate::excerpt::{A_NUMBER, IN_THE_OPEN};
use crate::sandbox::Limits;
use crate::source::kafka::Mechanism;

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

/// A source: `files`, `documents` or `kafka`, and `mapping`, `mappings` or `plugin`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceDocument {
    /// NDJSON files: paths or globs; each line is a record. Plain, gzip or zstd.
    #[serde(default)]
    #[schemars(with = "Option<Several>")]
    pub(super) files: Option<Spanned<Several>>,
    /// JSON documents: paths or globs; each file is a record. Plain, gzip or zstd.
    #[serde(default)]
    #[schemars(with = "Option<Several>")]
    pub(super) documents: Option<Spanned<Several>>,
    /// Kafka topics; each message is a record.
    #[serde(default)]
    #[schemars(with = "Option<KafkaDocument>")]
    pub(super) kafka: Option<Spanned<KafkaDocument>>,
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

/// One text, or a list of them.
#[derive(Debug)]
pub(super) struct Several(pub(super) Vec<String>);

impl JsonSchema for Several {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Several".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" }, "minItems": 1 }] })
    }
}

impl<'de> Deserialize<'de> for Several {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SeveralVisitor;

        impl<'de> Visitor<'de> for SeveralVisitor {
            type Value = Several;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E: de::Error>(self, one: &str) -> Result<Several, E> {
                Ok(Several(vec![one.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Several, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = list.next_element()? {
                    all.push(one);
                }
                Ok(Several(all))
            }
        }

        deserializer.deserialize_any(SeveralVisitor)
    }
}

/// Kafka topics, and how their brokers are reached.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KafkaDocument {
    /// Some brokers, as `host:port`; the others are learnt from them.
    #[schemars(with = "Several")]
    pub(super) brokers: Spanned<Several>,
    /// The topics.
    #[schemars(with = "Several")]
    pub(super) topics: Spanned<Several>,
    /// The consumer group that the hosts join. Default `silversmith-<tenant>-<source>`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub(super) group: Option<Spanned<String>>,
    /// How long a host that is not heard of keeps its partitions, in milliseconds. Default 6000.
    #[serde(default)]
    #[schemars(with = "Option<u32>")]
    pub(super) session_timeout_ms: Option<Spanned<u32>>,
    /// How far an event time may lie behind the latest before its record is late; such as `10min`. Default none.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub(super) allowed_lateness: Option<Spanned<String>>,
    /// Encryption; `{}` trusts the certificates that this machine trusts. Default none.
    #[serde(default)]
    pub(super) tls: Option<TlsDocument>,
    /// A login. Needs `tls`.
    #[serde(default)]
    #[schemars(with = "Option<SaslDocument>")]
    pub(super) sasl: Option<Spanned<SaslDocument>>,
    /// Settings of the client by the client's own names, such as `fetch.min.bytes`.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Scalar>")]
    pub(super) client: BTreeMap<String, Spanned<Scalar>>,
}

/// A text, a whole number or a truth value, as text.
#[derive(Debug)]
pub(super) struct Scalar(pub(super) String);

impl JsonSchema for Scalar {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Scalar".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "integer", "boolean"] })
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;

        impl Visitor<'_> for ScalarVisitor {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a whole number, `true` or `false`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar(text.to_owned()))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }

            fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Scalar, E> {
                Ok(Scalar(truth.to_string()))
            }
        }

        deserializer.deserialize_any(ScalarVisitor)
    }
}

/// Encryption. Brokers' certificates and names are always checked.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsDocument {
    /// A file with the certificates of authorities to trust, PEM. Default: those of this machine.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub(super) ca: Option<Spanned<String>>,
    /// A file with the host's own certificate, PEM.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub(super) certificate: Option<Spanned<String>>,
    /// A file with the certificate's key, PEM.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub(super) key: Option<Spanned<String>>,
    /// What the key is encrypted with.
    #[serde(default)]
    #[schemars(with = "Option<SecretDocument>")]
    pub(super) key_password: Option<Spanned<SecretDocument>>,
}

/// A login.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SaslDocument {
    /// How the password is shown to brokers.
    pub(super) mechanism: Mechanism,
    /// The user.
    pub(super) username: String,
    /// The password.
    #[schemars(with = "SecretDocument")]
    pub(super) password: Spanned<SecretDocument>,
}

/// Where a secret is: `file` or `env`.
#[derive(Debug, JsonSchema)]
pub(super) struct SecretDocument {
    /// A file that holds it.
    #[schemars(with = "Option<String>")]
    pub(super) file: Option<Spanned<String>>,
    /// A variable of the environment that holds it.
    pub(super) env: Option<String>,
}

impl<'de> Deserialize<'de> for SecretDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Place {
            #[serde(default)]
            file: Option<Spanned<String>>,
            #[serde(default)]
            env: Option<String>,
        }

        struct SecretVisitor;

        impl<'de> Visitor<'de> for SecretVisitor {
            type Value = SecretDocument;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`file` or `env`")
            }

            fn visit_str<E: de::Error>(self, _: &str) -> Result<SecretDocument, E> {
                Err(E::custom(format!("{IN_THE_OPEN}, expected where it is: `{{ file: … }}` or `{{ env: … }}`")))
            }

            fn visit_u64<E: de::Error>(self, _: u64) -> Result<SecretDocument, E> {
                self.visit_str("")
            }

            fn visit_i64<E: de::Error>(self, _: i64) -> Result<SecretDocument, E> {
                self.visit_str("")
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<SecretDocument, E> {
                self.visit_str("")
            }

            fn visit_bool<E: de::Error>(self, _: bool) -> Result<SecretDocument, E> {
                self.visit_str("")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SecretDocument, A::Error> {
                let Place { file, env } = Place::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(SecretDocument { file, env })
            }
        }

        deserializer.deserialize_any(SecretVisitor)
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
