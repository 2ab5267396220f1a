//! Plans: what a mapping asks of each record, joined and compiled once.

use serde::{Deserialize, Serialize};

use super::{
    follow::Follow,
    trie::{Trie, TrieId},
};
use crate::path::{Condition, Label, Logical, Path, Query};

/// What the `$` of a path stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Base {
    /// The record.
    Record,
    /// The node of the scope that the path belongs to; for the paths of a scope itself, the node of its parent.
    Node,
    /// The node of the parent scope; for the paths of a scope itself, the node of its parent's parent.
    Enclosing,
}

/// A set of nodes that rows are made of: one `each`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopeId(u32);

/// A path whose values are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelectId(u32);

/// A condition that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionId(u32);

/// All paths and conditions of a mapping, ready to be followed at once. It can be serialised into a descriptor's
/// `prepared`: reading it back is far quicker than parsing the paths again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    pub(super) follow: Follow,
    scopes: Vec<Vec<(Base, Query)>>,
    selects: Vec<(Base, Query)>,
    conditions: Vec<Logical>,
}

impl Plan {
    /// A plan that follows nothing yet.
    pub fn builder() -> PlanBuilder {
        PlanBuilder::default()
    }

    pub(super) fn paths(&self, scope: ScopeId) -> &[(Base, Query)] {
        &self.scopes[scope.0 as usize]
    }

    #[inline]
    pub(super) fn path(&self, select: SelectId) -> &(Base, Query) {
        &self.selects[select.0 as usize]
    }

    pub(super) fn condition(&self, condition: ConditionId) -> &Logical {
        &self.conditions[condition.0 as usize]
    }
}

/// Collects what a mapping asks of each record.
#[derive(Debug)]
pub struct PlanBuilder {
    names: Vec<String>,
    trie: Trie,
    scopes: Vec<Scope>,
    selects: Vec<(Base, Query)>,
    conditions: Vec<Logical>,
}

#[derive(Debug)]
struct Scope {
    parent: ScopeId,
    paths: Vec<(Base, Query)>,
    /// Where in the trie its nodes stand.
    ends: Vec<TrieId>,
}

impl Default for PlanBuilder {
    fn default() -> Self {
        let record = Scope { parent: ScopeId(0), paths: Vec::new(), ends: vec![Trie::RECORD] };
        Self {
            names: Vec::new(),
            trie: Trie::default(),
            scopes: vec![record],
            selects: Vec::new(),
            conditions: Vec::new(),
        }
    }
}

impl PlanBuilder {
    /// The scope whose only node is the record itself.
    pub fn record(&self) -> ScopeId {
        ScopeId(0)
    }

    /// Adds an `each`: the nodes that any of `paths` selects. A node counts once; nodes come in document order
    /// within a path, and in list order of the paths.
    pub fn scope(&mut self, parent: ScopeId, paths: Vec<(Base, Path)>) -> ScopeId {
        let mut ends = Vec::new();
        let paths = paths.into_iter().map(|(base, path)| {
            let (query, of_path) = self.follow(parent, base, path);
            ends.extend(of_path);
            (base, query)
        });
        let paths = paths.collect();
        self.scopes.push(Scope { parent, paths, ends });
        ScopeId(self.scopes.len() as u32 - 1)
    }

    /// Adds a path whose values are wanted for each node of `scope`.
    pub fn select(&mut self, scope: ScopeId, base: Base, path: Path) -> SelectId {
        let (query, _) = self.follow(scope, base, path);
        self.selects.push((base, query));
        SelectId(self.selects.len() as u32 - 1)
    }

    /// Adds a condition on the nodes of `scope`.
    pub fn condition(&mut self, scope: ScopeId, condition: Condition) -> ConditionId {
        let Condition { names, mut logical, .. } = condition;
        logical.relabel(&self.labels(names));
        self.trie.follow_logical(&self.scopes[scope.0 as usize].ends, &logical);
        self.conditions.push(logical);
        ConditionId(self.conditions.len() as u32 - 1)
    }

    /// Joins everything into one plan, in which a step by name is one to a slot.
    pub fn build(mut self) -> Plan {
        let (follow, slots) = Follow::compile(&self.trie, &self.names);
        let paths = self.scopes.iter_mut().flat_map(|scope| &mut scope.paths);
        for (_, query) in paths.chain(&mut self.selects) {
            query.relabel(&slots);
        }
        for condition in &mut self.conditions {
            condition.relabel(&slots);
        }
        Plan {
            follow,
            scopes: self.scopes.into_iter().map(|scope| scope.paths).collect(),
            selects: self.selects,
            conditions: self.conditions,
        }
    }

    /// Adds a path from the nodes of `scope` (or what `base` makes of them) to the trie.
    fn follow(&mut self, scope: ScopeId, base: Base, path: Path) -> (Query, Vec<TrieId>) {
        let Path { names, mut query, .. } = path;
        query.relabel(&self.labels(names));
        let scope = &self.scopes[scope.0 as usize];
        let from = match base {
            Base::Record => &[Trie::RECORD][..],
            Base::Node => &scope.ends,
            Base::Enclosing => &self.scopes[scope.parent.0 as usize].ends,
        };
        let ends = self.trie.follow(from, &query);
        (query, ends)
    }

    /// The places in the plan's table of a path's names.
    fn labels(&mut self, names: Vec<String>) -> Vec<Label> {
        let label = |name: String| {
            let place = self.names.iter().position(|known| *known == name).unwrap_or_else(|| {
                self.names.push(name);
                self.names.len() - 1
            });
            place as Label
        };
        names.into_iter().map(label).collect()
    }
}
