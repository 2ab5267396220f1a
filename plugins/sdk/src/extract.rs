//! Reading many paths out of one record in one strict pass.
//!
//! A [`Plan`] joins all paths and conditions of a mapping; an [`Extraction`] reads one record after the other by it;
//! a [`Tree`] answers what each path selects in the record just read.
//!
//! The pass records each value that a path steps on, as a node of a sparse tree, and skips the rest; queries then
//! walk that tree. So there is one evaluator for every JSONPath, whether the pass can follow it exactly (names,
//! indexes, wildcards, and filters over them) or must record a whole subtree for it (`..`), and no value is ever
//! parsed twice or moved. The library's own evaluator is not used: it needs a `serde_json::Value` of the document,
//! takes numbers closer than 2⁻⁵² for equal, and compiles a pattern each time it is matched; it serves the tests as
//! a second opinion.
//!
//! ```
//! use silversmith_sdk::{extract::{Base, Extraction, Plan}, path::Path, value::Value};
//!
//! let mut builder = Plan::builder();
//! let items = builder.scope(builder.record(), vec![(Base::Record, Path::parse("$.items[*]")?)]);
//! let order = builder.select(items, Base::Enclosing, Path::parse("$.id")?);
//! let sku = builder.select(items, Base::Node, Path::parse("$.sku")?);
//! let plan = builder.build();
//!
//! let mut extraction = Extraction::new(&plan);
//! let tree = extraction.read(br#"{"id": 7, "items": [{"sku": "a"}, {"sku": "b"}]}"#)?;
//! for place in tree.places(items, tree.record()) {
//!     let sku = tree.select(sku, place).first().map(|node| tree.value(node));
//!     let id = tree.select(order, place).first().map(|node| tree.value(node));
//!     assert!(matches!((sku, id), (Some(Value::Text(_)), Some(Value::Number(id))) if id == "7"));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod evaluate;
mod follow;
mod pass;
mod plan;
mod tree;
mod trie;

pub use plan::{Base, ConditionId, Plan, PlanBuilder, ScopeId, SelectId};
pub use tree::{Kind, NodeId, Place, Places, Selected, Token, Tree};

pub use crate::json::{JsonError, JsonErrorKind};

/// Memory for reading records by a plan, used again for each.
#[derive(Debug)]
pub struct Extraction<'p> {
    plan: &'p Plan,
    memory: pass::Memory,
}

impl<'p> Extraction<'p> {
    /// Memory for `plan`.
    pub fn new(plan: &'p Plan) -> Self {
        Self { plan, memory: pass::Memory::default() }
    }

    /// Reads `record`, all of it, strictly; see [`json`](crate::json). A name that a path follows and that stands
    /// twice in its object is an error; `*`, `..` and filters follow every name.
    pub fn read<'r>(&mut self, record: &'r [u8]) -> Result<Tree<'_, 'r>, JsonError> {
        let text = pass::read(&self.plan.follow, &mut self.memory, record)?;
        Ok(Tree { plan: self.plan, record: text, nodes: &self.memory.nodes, slots: &self.memory.slots })
    }
}

#[cfg(test)]
mod tests;
