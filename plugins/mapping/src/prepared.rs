//! A configuration compiled: what a fresh instance reads back before each batch.
//!
//! Owns the form that [`compile`](crate::compile) writes and [`evaluate`](crate::evaluate) follows. Everything is an
//! index or an identifier by now; names and path texts remain for refusals alone. It travels as postcard, because
//! an instance is configured anew for each call and must not parse YAML or JSONPath there.

use serde::{Deserialize, Serialize};
use silversmith_sdk::extract::{ConditionId, Plan, ScopeId, SelectId};
use silversmith_sdk::normalise::{Constant, Step};
use silversmith_sdk::plugin::DataType;

use crate::usual::Usual;

/// All mappings of a source, and how a record finds its own.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Prepared {
    pub(crate) versions: Versions,
    pub(crate) mappings: Vec<Mapping>,
    /// The texts of the descriptor's paths, which [`Path::number`] counts.
    pub(crate) paths: Vec<String>,
}

/// Which mapping a record is read by.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Versions {
    /// There is one, for every record.
    Single,
    /// By the version that the record's property declares, else by the detected one, else by the default.
    Each {
        /// The column of the batch that declares a version.
        declared: u32,
        /// Versions and the index of the mapping of each.
        known: Vec<(String, u32)>,
        default: Option<u32>,
        detection: Option<Detection>,
    },
}

/// Reading the version out of a record, before it is known which mapping reads the rest.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Detection {
    pub(crate) plan: Plan,
    pub(crate) select: SelectId,
    pub(crate) path: String,
}

/// One mapping file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Mapping {
    pub(crate) plan: Plan,
    /// The detection path again, in this plan: a record that this mapping turns out to be for is read once.
    pub(crate) detection: Option<SelectId>,
    pub(crate) skips: Vec<Skip>,
    pub(crate) tombstones: Vec<Block>,
    pub(crate) blocks: Vec<Block>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Skip {
    pub(crate) when: ConditionId,
    pub(crate) reason: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Block {
    pub(crate) output: u32,
    pub(crate) entity: String,
    pub(crate) scope: ScopeId,
    /// The paths of `each`, by their numbers, to count their nodes; none where it is the enclosing node itself.
    pub(crate) each: Vec<u32>,
    pub(crate) when: Option<ConditionId>,
    pub(crate) delete: Toggle,
    pub(crate) stub: Toggle,
    pub(crate) partial: Toggle,
    pub(crate) refuses: Refuses,
    pub(crate) fields: Vec<Column>,
    pub(crate) references: Vec<Reference>,
    pub(crate) blocks: Vec<Block>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Toggle {
    Never,
    Always,
    When(ConditionId),
}

/// What a failure in a row refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Refuses {
    Record,
    Row,
}

/// A column of an output and where its value comes from.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Column {
    /// For refusals: `email`, or `customer.external_id` under a reference.
    pub(crate) name: String,
    pub(crate) data_type: DataType,
    /// A key always takes its default; other columns of a patch do not where their source is absent.
    pub(crate) key: bool,
    pub(crate) value: Value,
    /// What `value` comes to for the values that most records have.
    pub(crate) usual: Option<Usual>,
}

/// The key columns of one reference: all have a value, or none.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Reference {
    pub(crate) key: Vec<Column>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Value {
    pub(crate) source: Source,
    pub(crate) steps: Vec<Action>,
    pub(crate) default: Option<Constant>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Source {
    Path(Path),
    First(Vec<Path>),
    Join {
        paths: Vec<Path>,
        separator: String,
    },
    Case(Vec<(ConditionId, Value)>),
    Const(Constant),
    Index {
        path: Path,
        start: i64,
    },
    Key(Path),
    Count(Path),
    /// A property, by its column in the batch.
    Record(u32),
}

/// What is done to a value.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Action {
    Step(Step),
    /// Scales by the minor unit of the currency that another value gives.
    ScaleBy(Box<Value>),
}

/// A path into the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Path {
    pub(crate) select: SelectId,
    /// The index of its text in the descriptor's paths.
    pub(crate) number: u32,
    /// `.`, `^` and `$` alone are always there: their nodes say nothing of the path that found them.
    pub(crate) counted: bool,
    pub(crate) reach: Reach,
}

/// What a path selects for a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reach {
    /// At most one node, in the row's own.
    Inside,
    /// At most one node, the same for all rows of the block under one parent.
    Outside,
    /// Any number of nodes.
    Many,
}

impl Value {
    /// The path that a refusal names: the first of the source.
    pub(crate) fn path(&self) -> Option<Path> {
        match &self.source {
            Source::Path(path) | Source::Index { path, .. } | Source::Key(path) | Source::Count(path) => Some(*path),
            Source::First(paths) | Source::Join { paths, .. } => paths.first().copied(),
            Source::Case(_) | Source::Const(_) | Source::Record(_) => None,
        }
    }
}
