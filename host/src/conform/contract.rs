//! Contracts of canonical entities as always-valid types, and the schemas of the Silver tables they give.
//!
//! A [`Contract`] is made by [`parse`] from an ODCS 3.1 file; once it exists, its key is there, its sequence has a
//! type that orders, and its names are distinct. What a tenant does with a classification is `pii`'s question, whether
//! a value keeps the rules is `check`'s.
//!
//! References are columns of the table but not of the plugin: `<name>_key` is made by the host. A contract may declare
//! them (a property with `relationships`), and a plugin's descriptor may add more, so that a link can be added to a
//! tenant without forking a canonical contract.

mod odcs;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{DataType as ArrowType, Field, Schema, SchemaRef};
use regex::Regex;

pub use odcs::parse;

use crate::entity::{DataType, Diagnostic, utc_microseconds};
use crate::excerpt::did_you_mean;
use crate::sandbox::{ContractColumn as PluginColumn, EntityContract};

/// The horizon of fact deduplication where a contract states none: 30 days of event time.
pub const HORIZON_DAYS_DEFAULT: u32 = 30;

/// The definition of one canonical entity.
#[derive(Clone, Debug)]
pub struct Contract {
    /// The entity's name.
    pub entity: String,
    /// The contract's own version.
    pub version: String,
    /// What the entity is, for people.
    pub description: Option<String>,
    /// Its columns, in the order of the file.
    pub columns: Vec<ContractColumn>,
    /// The business key: indexes of columns, at least one, in the order of the key.
    pub key: Vec<usize>,
    /// What becomes of rows over time.
    pub history: History,
    /// The references that the contract itself declares.
    pub links: Vec<Link>,
}

/// One column of a contract.
#[derive(Clone, Debug)]
pub struct ContractColumn {
    /// The name, snake case.
    pub name: String,
    /// The type.
    pub data_type: DataType,
    /// Whether a row without a value is refused; true for key columns.
    pub required: bool,
    /// What a value must satisfy.
    pub rules: Vec<Rule>,
    /// The class of its data, which a tenant's configuration maps to a treatment.
    pub classification: Option<String>,
    /// What it holds, for people.
    pub description: Option<String>,
}

/// What the values of a column must satisfy. Bounds are inclusive; those of `int64`, `date`, `timestamp` and
/// `decimal` columns are given in the column's own unit (days, microseconds, unscaled).
#[derive(Clone, Debug)]
pub enum Rule {
    /// One of these, as text.
    Allowed(BTreeSet<String>),
    /// Characters, at least.
    LengthMin(usize),
    /// Characters, at most.
    LengthMax(usize),
    /// Matches somewhere.
    Pattern(Regex),
    /// An exact number within both.
    Within(i128, i128),
    /// A float within both.
    WithinFloat(f64, f64),
}

/// What becomes of the rows of an entity over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// A dimension: rows assert columns of a key, and Silver keeps every version of it.
    Versions {
        /// The column that orders the rows of a key (timestamp, date or int64); none orders them by arrival.
        sequence: Option<usize>,
        /// Which rows the log keeps.
        keep: Keep,
    },
    /// A fact: one row a key, for ever.
    Append {
        /// When it happened (timestamp or date); none means that the index never forgets.
        event_time: Option<usize>,
        /// How far back in event time the index reaches, in days.
        horizon_days: u32,
    },
}

/// Which rows of a dimension the log keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Those that say something new.
    Changes,
    /// Every one, so that every arrival order gives the exact history.
    All,
}

/// A reference to another entity: the column `<name>_key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The name of the link.
    pub name: String,
    /// The entity linked to.
    pub entity: String,
}

/// The kinds of Silver tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// `<entity>_changes`: the log of kept rows of a dimension.
    Changes,
    /// `<entity>`: the versions folded from it.
    Versions,
    /// `<entity>` of a fact.
    Facts,
}

impl Contract {
    /// The index of the column `name`.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The column that orders the rows of a key, where there is one.
    pub fn sequence(&self) -> Option<usize> {
        match self.history {
            History::Versions { sequence, .. } => sequence,
            History::Append { .. } => None,
        }
    }

    /// The column that says when a fact happened, where there is one.
    pub fn event_time(&self) -> Option<usize> {
        match self.history {
            History::Versions { .. } => None,
            History::Append { event_time, .. } => event_time,
        }
    }

    /// What a plugin is told of the entity.
    pub fn for_plugin(&self) -> EntityContract {
        let column = |(index, column): (usize, &ContractColumn)| PluginColumn {
            name: column.name.clone(),
            data_type: column.data_type,
            required: column.required,
            key: self.key.contains(&index),
        };
        EntityContract { name: self.entity.clone(), columns: self.columns.iter().enumerate().map(column).collect() }
    }

    /// The columns that a dimension's state consists of, of the contract's columns and then `links` links: all but key
    /// and sequence.
    pub fn state_columns(&self, links: usize) -> Vec<usize> {
        let sequence = self.sequence();
        (0..self.columns.len() + links).filter(|i| !self.key.contains(i) && Some(*i) != sequence).collect()
    }

    /// The schema of a Silver table of this entity. `links` are all references of the entity, in the order of the table.
    ///
    /// Every column is nullable (a reader may have to do with files from before a column was added); hashes and keys
    /// are binary of 32 bytes, times are UTC microseconds.
    pub fn silver_schema(&self, table: Table, links: &[Link]) -> SchemaRef {
        let mut fields: Vec<Field> =
            self.columns.iter().map(|column| Field::new(&column.name, column.data_type.arrow(), true)).collect();
        let mut add = |name: &str, data_type: ArrowType| fields.push(Field::new(name, data_type, true));
        for link in links {
            add(&format!("{}_key", link.name), ArrowType::Binary);
        }
        add("_key", ArrowType::Binary);
        add("_row_hash", ArrowType::Binary);
        match table {
            Table::Changes => {
                add("_operation", ArrowType::Utf8);
                add("_asserted", ArrowType::Utf8);
                add("_arrival", ArrowType::Int64);
                add("_valid_from", utc_microseconds());
                add("_row", ArrowType::Int32);
            }
            Table::Versions => {
                add("_valid_from", utc_microseconds());
                add("_valid_to", utc_microseconds());
                add("_is_current", ArrowType::Boolean);
                add("_is_deleted", ArrowType::Boolean);
            }
            Table::Facts => {
                add("_is_late", ArrowType::Boolean);
                add("_row", ArrowType::Int32);
            }
        }
        add("_position", ArrowType::Utf8);
        add("_checksum", ArrowType::Binary);
        add("_manifest_id", ArrowType::Utf8);
        add("_dq_passed", ArrowType::Boolean);
        add("_dq_failure_reason", ArrowType::Utf8);
        if table == Table::Versions {
            add("_bucket", ArrowType::Utf8);
        }
        Arc::new(Schema::new(fields))
    }
}

/// The contracts that a tenant may fill, by entity.
#[derive(Clone, Debug, Default)]
pub struct Contracts(BTreeMap<String, Arc<Contract>>);

impl Contracts {
    /// No contract yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what `text` defines, over what is there by the same name: canonical files first, then the tenant's own.
    pub fn add(&mut self, file: &str, text: &str) -> Result<(), Vec<Diagnostic>> {
        self.0.extend(parse(file, text)?.into_iter().map(|contract| (contract.entity.clone(), Arc::new(contract))));
        Ok(())
    }

    /// Forgets every entity but `entities`.
    pub fn keep_only(&mut self, entities: &[String]) {
        self.0.retain(|entity, _| entities.contains(entity));
    }

    /// The contract of `entity`.
    pub fn get(&self, entity: &str) -> Option<&Arc<Contract>> {
        self.0.get(entity)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Contract>> {
        self.0.values()
    }

    /// The hint that names the known entity nearest to `name`.
    pub fn did_you_mean(&self, name: &str) -> Option<String> {
        did_you_mean(name, self.0.keys().map(String::as_str))
    }
}
