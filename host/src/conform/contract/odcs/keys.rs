//! The keys of ODCS 3.1, as the standard's JSON Schema lists them.
//!
//! Those with a leading underscore are accepted and mean nothing here: listing them is what tells a key of the standard from
//! a misspelt one.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_saphyr::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Document {
    pub(super) api_version: Spanned<String>,
    pub(super) kind: Spanned<String>,
    #[serde(rename = "id")]
    _id: String,
    pub(super) version: String,
    #[serde(rename = "status")]
    _status: String,
    pub(super) schema: Vec<Object>,
    #[serde(default, rename = "name")]
    _name: IgnoredAny,
    #[serde(default, rename = "tenant")]
    _tenant: IgnoredAny,
    #[serde(default, rename = "tags")]
    _tags: IgnoredAny,
    #[serde(default, rename = "servers")]
    _servers: IgnoredAny,
    #[serde(default, rename = "dataProduct")]
    _data_product: IgnoredAny,
    #[serde(default, rename = "description")]
    _description: IgnoredAny,
    #[serde(default, rename = "domain")]
    _domain: IgnoredAny,
    #[serde(default, rename = "support")]
    _support: IgnoredAny,
    #[serde(default, rename = "price")]
    _price: IgnoredAny,
    #[serde(default, rename = "team")]
    _team: IgnoredAny,
    #[serde(default, rename = "roles")]
    _roles: IgnoredAny,
    #[serde(default, rename = "slaDefaultElement")]
    _sla_default_element: IgnoredAny,
    #[serde(default, rename = "slaProperties")]
    _sla_properties: IgnoredAny,
    #[serde(default, rename = "authoritativeDefinitions")]
    _authoritative_definitions: IgnoredAny,
    #[serde(default, rename = "customProperties")]
    _custom_properties: IgnoredAny,
    #[serde(default, rename = "contractCreatedTs")]
    _contract_created_ts: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Object {
    pub(super) name: Spanned<String>,
    #[serde(default)]
    pub(super) description: Option<String>,
    #[serde(default)]
    pub(super) properties: Vec<Property>,
    #[serde(default)]
    pub(super) custom_properties: Vec<CustomProperty>,
    #[serde(default, rename = "id")]
    _id: IgnoredAny,
    #[serde(default, rename = "logicalType")]
    _logical_type: IgnoredAny,
    #[serde(default, rename = "physicalType")]
    _physical_type: IgnoredAny,
    #[serde(default, rename = "physicalName")]
    _physical_name: IgnoredAny,
    #[serde(default, rename = "dataGranularityDescription")]
    _data_granularity_description: IgnoredAny,
    #[serde(default, rename = "relationships")]
    _relationships: IgnoredAny,
    #[serde(default, rename = "quality")]
    _quality: IgnoredAny,
    #[serde(default, rename = "businessName")]
    _business_name: IgnoredAny,
    #[serde(default, rename = "authoritativeDefinitions")]
    _authoritative_definitions: IgnoredAny,
    #[serde(default, rename = "tags")]
    _tags: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Property {
    pub(super) name: Spanned<String>,
    #[serde(default)]
    pub(super) description: Option<String>,
    #[serde(default)]
    pub(super) logical_type: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) logical_type_options: Option<Options>,
    #[serde(default)]
    pub(super) physical_type: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) primary_key: bool,
    #[serde(default)]
    pub(super) primary_key_position: Option<i64>,
    #[serde(default)]
    pub(super) required: bool,
    #[serde(default)]
    pub(super) classification: Option<String>,
    #[serde(default)]
    pub(super) relationships: Vec<Relationship>,
    #[serde(default)]
    pub(super) quality: Vec<Quality>,
    #[serde(default, rename = "id")]
    _id: IgnoredAny,
    #[serde(default, rename = "physicalName")]
    _physical_name: IgnoredAny,
    #[serde(default, rename = "unique")]
    _unique: IgnoredAny,
    #[serde(default, rename = "partitioned")]
    _partitioned: IgnoredAny,
    #[serde(default, rename = "partitionKeyPosition")]
    _partition_key_position: IgnoredAny,
    #[serde(default, rename = "encryptedName")]
    _encrypted_name: IgnoredAny,
    #[serde(default, rename = "transformSourceObjects")]
    _transform_source_objects: IgnoredAny,
    #[serde(default, rename = "transformLogic")]
    _transform_logic: IgnoredAny,
    #[serde(default, rename = "transformDescription")]
    _transform_description: IgnoredAny,
    #[serde(default, rename = "examples")]
    _examples: IgnoredAny,
    #[serde(default, rename = "criticalDataElement")]
    _critical_data_element: IgnoredAny,
    #[serde(default, rename = "properties")]
    _properties: IgnoredAny,
    #[serde(default, rename = "items")]
    _items: IgnoredAny,
    #[serde(default, rename = "businessName")]
    _business_name: IgnoredAny,
    #[serde(default, rename = "authoritativeDefinitions")]
    _authoritative_definitions: IgnoredAny,
    #[serde(default, rename = "tags")]
    _tags: IgnoredAny,
    #[serde(default, rename = "customProperties")]
    _custom_properties: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Options {
    #[serde(default)]
    pub(super) min_length: Option<usize>,
    #[serde(default)]
    pub(super) max_length: Option<usize>,
    #[serde(default)]
    pub(super) pattern: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) minimum: Option<Spanned<Value>>,
    #[serde(default)]
    pub(super) maximum: Option<Spanned<Value>>,
    #[serde(default)]
    pub(super) exclusive_minimum: Option<Spanned<Value>>,
    #[serde(default)]
    pub(super) exclusive_maximum: Option<Spanned<Value>>,
    #[serde(default, rename = "format")]
    _format: IgnoredAny,
    #[serde(default, rename = "timezone")]
    _timezone: IgnoredAny,
    #[serde(default, rename = "defaultTimezone")]
    _default_timezone: IgnoredAny,
    #[serde(default, rename = "multipleOf")]
    _multiple_of: IgnoredAny,
    #[serde(default, rename = "minItems")]
    _min_items: IgnoredAny,
    #[serde(default, rename = "maxItems")]
    _max_items: IgnoredAny,
    #[serde(default, rename = "uniqueItems")]
    _unique_items: IgnoredAny,
    #[serde(default, rename = "minProperties")]
    _min_properties: IgnoredAny,
    #[serde(default, rename = "maxProperties")]
    _max_properties: IgnoredAny,
    #[serde(default, rename = "required")]
    _required: IgnoredAny,
}

/// Quality rules are open: a vendor's own keys are allowed by the standard.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Quality {
    #[serde(default)]
    pub(super) metric: Option<String>,
    #[serde(default)]
    pub(super) arguments: Option<Arguments>,
    #[serde(default)]
    pub(super) must_be: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Arguments {
    #[serde(default)]
    pub(super) valid_values: Option<Spanned<Vec<Value>>>,
    #[serde(default)]
    pub(super) pattern: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Relationship {
    pub(super) to: Spanned<String>,
    #[serde(default, rename = "type")]
    _type: IgnoredAny,
    #[serde(default, rename = "customProperties")]
    _custom_properties: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CustomProperty {
    pub(super) property: Spanned<String>,
    pub(super) value: Spanned<Value>,
    #[serde(default, rename = "id")]
    _id: IgnoredAny,
    #[serde(default, rename = "description")]
    _description: IgnoredAny,
}
