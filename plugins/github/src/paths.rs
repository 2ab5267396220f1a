//! Where in an object a plugin looks, compiled once a configuration.
//!
//! The plan follows everything beneath the record, because a user may be embedded anywhere; so the kit records the
//! whole tree, and refuses a record with two members of one name in one object: which of them GitHub meant
//! nobody can say. Paths are asked of one node at a time, wherever it stands.

use serde::{Deserialize, Serialize};
use silversmith_sdk::extract::{Base, Kind, NodeId, Place, Plan, PlanBuilder, SelectId, Tree};
use silversmith_sdk::path::Path;
use silversmith_sdk::value::Value;

use crate::entities;

/// The plan and its paths, each relative to an object.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Paths {
    pub(crate) plan: Plan,
    pub(crate) children: SelectId,
    pub(crate) columns: [Vec<ColumnPath>; 5],
    // Of an envelope.
    pub(crate) event: SelectId,
    pub(crate) delivered_at: SelectId,
    pub(crate) payload: SelectId,
    // Of a payload.
    pub(crate) action: SelectId,
    pub(crate) sender: SelectId,
    pub(crate) organization: SelectId,
    pub(crate) repository: SelectId,
    pub(crate) team: SelectId,
    pub(crate) installation: SelectId,
    pub(crate) installed_app: SelectId,
    pub(crate) check_run_app: SelectId,
    pub(crate) check_suite_app: SelectId,
    // Of whatever is embedded.
    pub(crate) id: SelectId,
    pub(crate) node_id: SelectId,
    pub(crate) login: SelectId,
    pub(crate) of_type: SelectId,
    pub(crate) name: SelectId,
    pub(crate) full_name: SelectId,
    pub(crate) url: SelectId,
    pub(crate) slug: SelectId,
    pub(crate) privacy: SelectId,
    pub(crate) members_url: SelectId,
    pub(crate) external_url: SelectId,
    pub(crate) owner: SelectId,
    pub(crate) deleted: SelectId,
}

/// The path of a column, and of the object that its last step is in, where it has two.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ColumnPath {
    pub(crate) whole: SelectId,
    pub(crate) parent: Option<SelectId>,
}

impl Paths {
    /// Compiles the paths.
    pub(crate) fn new() -> Self {
        let mut builder = Plan::builder();
        select(&mut builder, "..*");
        let columns = entities::Kind::ALL.map(|kind| {
            let path = |column: &entities::Column| ColumnPath {
                whole: select(&mut builder, &format!(".{}", column.path)),
                parent: column.path.split_once('.').map(|(parent, _)| select(&mut builder, &format!(".{parent}"))),
            };
            kind.columns().iter().map(path).collect()
        });
        let mut at = |path: &str| select(&mut builder, path);
        Self {
            children: at(".*"),
            columns,
            event: at(".event"),
            delivered_at: at(".delivered_at"),
            payload: at(".payload"),
            action: at(".action"),
            sender: at(".sender"),
            organization: at(".organization"),
            repository: at(".repository"),
            team: at(".team"),
            installation: at(".installation"),
            installed_app: at(".installation.app_id"),
            check_run_app: at(".check_run.app.id"),
            check_suite_app: at(".check_suite.app.id"),
            id: at(".id"),
            node_id: at(".node_id"),
            login: at(".login"),
            of_type: at(".type"),
            name: at(".name"),
            full_name: at(".full_name"),
            url: at(".url"),
            slug: at(".slug"),
            privacy: at(".privacy"),
            members_url: at(".members_url"),
            external_url: at(".external_url"),
            owner: at(".owner"),
            deleted: at(".deleted"),
            plan: builder.build(),
        }
    }
}

fn select(builder: &mut PlanBuilder, path: &str) -> SelectId {
    let path = Path::parse(&format!("${path}")).expect("a path of this crate is JSONPath: its tests compile them all");
    builder.select(builder.record(), Base::Node, path)
}

/// One node of one record, and what can be asked of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node<'a> {
    tree: Tree<'a, 'a>,
    node: NodeId,
}

impl<'a> Node<'a> {
    /// The record itself.
    pub(crate) fn root(tree: Tree<'a, 'a>) -> Self {
        Self { tree, node: tree.record().node }
    }

    /// The node at the end of `path`.
    pub(crate) fn at(self, path: SelectId) -> Option<Self> {
        self.all(path).next()
    }

    /// The nodes that `path` selects.
    pub(crate) fn all(self, path: SelectId) -> impl Iterator<Item = Self> {
        let here = Place { node: self.node, enclosing: self.node };
        self.tree.select(path, here).map(move |node| Self { node, ..self })
    }

    /// The object at the end of `path`.
    pub(crate) fn object(self, path: SelectId) -> Option<Self> {
        self.at(path).filter(|node| node.is_object())
    }

    /// The text at the end of `path`.
    pub(crate) fn text(self, path: SelectId) -> Option<std::borrow::Cow<'a, str>> {
        match self.at(path)?.value() {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer of 64 bits at the end of `path`.
    pub(crate) fn integer(self, path: SelectId) -> Option<i64> {
        match self.at(path)?.value() {
            Value::Number(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    pub(crate) fn value(self) -> Value<'a> {
        self.tree.value(self.node)
    }

    pub(crate) fn is_object(self) -> bool {
        self.tree.kind(self.node) == Kind::Object
    }

    pub(crate) fn is(self, other: Self) -> bool {
        self.node == other.node
    }
}
