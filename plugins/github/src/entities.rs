//! The columns of the six entities, once, as a table: what the descriptor says and what a copy is read by.

use silversmith_sdk::columns::Cell;
use silversmith_sdk::normalise::{StepError, TimeForm, TimeForms, coerce, empty_to_null};
use silversmith_sdk::plugin::{DataType, Descriptor, Field, OnError, Output, Property, Reference};
use silversmith_sdk::value::Value;

/// An embedded object's kind, which is the index of its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Account,
    Organization,
    Repository,
    Team,
    App,
}

/// The output of the fact, after those of [`Kind`].
pub(crate) const DELIVERY: usize = Kind::ALL.len();

/// A column and how a copy of its entity says it.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    data_type: DataType,
    /// Names from the embedded object on, one or two.
    pub(crate) path: &'static str,
    read: Read,
}

/// What lies between a member and its column.
#[derive(Clone, Copy, Debug)]
enum Read {
    Plain,
    /// GitHub says "" and null for the same.
    Blank,
    /// RFC 3339, but seconds since the epoch in pushes.
    Time,
}

/// The links of a delivery: name, target, and the JSONPath for lineage. One sender is an account or an organisation.
pub(crate) const REFERENCES: [(&str, &str, &str); 6] = [
    ("sender_account", "account", "$.payload.sender.id"),
    ("sender_organization", "organization", "$.payload.sender.id"),
    ("organization", "organization", "$.payload.organization.id"),
    ("repository", "repository", "$.payload.repository.id"),
    ("team", "team", "$.payload.team.id"),
    ("app", "app", "$.payload.installation.app_id"),
];

const DELIVERY_FIELDS: [(&str, DataType, Option<&str>); 5] = [
    ("id", DataType::Text, None),
    ("event", DataType::Text, Some("$.event")),
    ("action", DataType::Text, Some("$.payload.action")),
    ("delivered_at", DataType::Timestamp, Some("$.delivered_at")),
    ("installation_id", DataType::Int64, Some("$.payload.installation.id")),
];

impl Kind {
    pub(crate) const ALL: [Self; 5] = [Self::Account, Self::Organization, Self::Repository, Self::Team, Self::App];

    /// The entity's name in the contracts.
    pub(crate) fn entity(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Organization => "organization",
            Self::Repository => "repository",
            Self::Team => "team",
            Self::App => "app",
        }
    }

    /// The columns between the key `id`, which comes first, and the sequence `seen_at`, which comes last.
    pub(crate) fn columns(self) -> Vec<Column> {
        use DataType::{Boolean, Int64, Json, Text, Timestamp};
        use Read::{Blank, Plain, Time};
        let column = |name, data_type, path, read| Column { name, data_type, path, read };
        match self {
            Self::Account => vec![
                column("node_id", Text, "node_id", Plain),
                column("login", Text, "login", Plain),
                column("type", Text, "type", Plain),
                column("name", Text, "name", Blank),
                column("email", Text, "email", Blank),
                column("site_admin", Boolean, "site_admin", Plain),
                column("html_url", Text, "html_url", Plain),
            ],
            Self::Organization => vec![
                column("node_id", Text, "node_id", Plain),
                column("login", Text, "login", Plain),
                column("name", Text, "name", Blank),
                column("description", Text, "description", Blank),
                column("company", Text, "company", Blank),
                column("location", Text, "location", Blank),
                column("blog", Text, "blog", Blank),
                column("email", Text, "email", Blank),
                column("is_verified", Boolean, "is_verified", Plain),
                column("public_repos", Int64, "public_repos", Plain),
                column("html_url", Text, "html_url", Plain),
                column("created_at", Timestamp, "created_at", Time),
                column("updated_at", Timestamp, "updated_at", Time),
            ],
            Self::Repository => vec![
                column("node_id", Text, "node_id", Plain),
                column("name", Text, "name", Plain),
                column("full_name", Text, "full_name", Plain),
                column("owner_id", Int64, "owner.id", Plain),
                column("private", Boolean, "private", Plain),
                column("description", Text, "description", Blank),
                column("fork", Boolean, "fork", Plain),
                column("html_url", Text, "html_url", Plain),
                column("homepage", Text, "homepage", Blank),
                column("language", Text, "language", Plain),
                column("license", Text, "license.spdx_id", Plain),
                column("default_branch", Text, "default_branch", Plain),
                column("topics", Json, "topics", Plain),
                column("archived", Boolean, "archived", Plain),
                column("disabled", Boolean, "disabled", Plain),
                column("is_template", Boolean, "is_template", Plain),
                column("size", Int64, "size", Plain),
                column("stargazers_count", Int64, "stargazers_count", Plain),
                column("forks_count", Int64, "forks_count", Plain),
                column("open_issues_count", Int64, "open_issues_count", Plain),
                column("created_at", Timestamp, "created_at", Time),
                column("updated_at", Timestamp, "updated_at", Time),
                column("pushed_at", Timestamp, "pushed_at", Time),
            ],
            Self::Team => vec![
                column("node_id", Text, "node_id", Plain),
                column("name", Text, "name", Plain),
                column("slug", Text, "slug", Plain),
                column("description", Text, "description", Blank),
                column("privacy", Text, "privacy", Plain),
                column("permission", Text, "permission", Plain),
                column("html_url", Text, "html_url", Plain),
            ],
            Self::App => vec![
                column("node_id", Text, "node_id", Plain),
                column("slug", Text, "slug", Plain),
                column("owner_id", Int64, "owner.id", Plain),
                column("name", Text, "name", Plain),
                column("description", Text, "description", Blank),
                column("external_url", Text, "external_url", Plain),
                column("html_url", Text, "html_url", Plain),
                column("permissions", Json, "permissions", Plain),
                column("created_at", Timestamp, "created_at", Time),
                column("updated_at", Timestamp, "updated_at", Time),
            ],
        }
    }
}

impl Column {
    /// The cell of a member's value, a null included.
    pub(crate) fn cell<'a>(&self, value: Value<'a>) -> Result<Cell<'a>, StepError> {
        let value = match self.read {
            Read::Blank => empty_to_null(value),
            Read::Time if value != Value::Null => times().apply(value)?,
            Read::Plain | Read::Time => value,
        };
        coerce(value, self.data_type)
    }
}

/// Both ways in which GitHub writes an instant.
fn times() -> TimeForms {
    TimeForms { forms: vec![TimeForm::Rfc3339, TimeForm::EpochS], offset_seconds: 0 }
}

/// What the plugin says of itself.
pub(crate) fn descriptor(prepared: Vec<u8>) -> Descriptor {
    let kinds = Kind::ALL.into_iter().map(|kind| {
        let id = field("id", DataType::Int64, Some("$.payload..id".to_owned()));
        let columns = kind.columns();
        let columns = columns
            .iter()
            .map(|column| field(column.name, column.data_type, Some(format!("$.payload..{}", column.path))));
        let seen_at = field("seen_at", DataType::Timestamp, Some("$.delivered_at".to_owned()));
        output(kind.entity(), [id].into_iter().chain(columns).chain([seen_at]).collect(), Vec::new())
    });
    let fields = DELIVERY_FIELDS.map(|(name, data_type, path)| field(name, data_type, path.map(str::to_owned)));
    let references = REFERENCES.map(|(name, entity, path)| Reference {
        name: name.to_owned(),
        entity: entity.to_owned(),
        key: vec![field("id", DataType::Int64, Some(path.to_owned()))],
    });
    Descriptor {
        name: "github".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        outputs: kinds.chain([output("delivery", fields.to_vec(), references.to_vec())]).collect(),
        properties: vec![Property::Checksum],
        paths: Vec::new(),
        prepared,
        warnings: Vec::new(),
    }
}

fn field(name: &str, data_type: DataType, source: Option<String>) -> Field {
    Field { name: name.to_owned(), data_type, source }
}

fn output(entity: &str, fields: Vec<Field>, references: Vec<Reference>) -> Output {
    Output { entity: entity.to_owned(), on_error: OnError::Record, fields, references }
}
