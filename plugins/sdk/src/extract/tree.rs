//! What a pass has recorded: a sparse tree of the record's values, and the questions that it answers.

use std::{borrow::Cow, collections::HashSet, ops::ControlFlow};

use super::plan::{Base, ConditionId, Plan, ScopeId, SelectId};
use crate::{
    json::{quoted, unescape},
    path::{Query, Segment, Selector},
    value::{Run, Value},
};

/// A recorded value.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Its extent in the record, in bytes.
    pub(super) start: u32,
    pub(super) end: u32,
    /// Where its name opens in the record, or its index in its array.
    pub(super) place: u32,
    /// The first node behind it and all that is in it.
    pub(super) after: u32,
    /// Where its slots start, if it is an object whose members are followed.
    pub(super) slots: u32,
    pub(super) holder: Holder,
    /// A text with escapes.
    pub(super) escaped: bool,
}

/// What a value stands in: an object, where it has a name, or an array, as which the record passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    Object,
    Array,
}

/// The start of no slots, and of none that can be.
pub(super) const NO_SLOTS: u32 = 1 << 31;

/// A JSON value of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(super) u32);

/// Where a row is made: a node of a scope, and the node of the parent scope that it was found from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The node of the scope.
    pub node: NodeId,
    /// The node of the parent scope; the record for the record's own scope and its children.
    pub enclosing: NodeId,
}

/// The kinds of JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "JSON's own words")]
pub enum Kind {
    Null,
    Boolean,
    Number,
    Text,
    Array,
    Object,
}

/// A value as its bytes stand in the record.
#[derive(Clone, Copy, Debug)]
pub enum Token<'r> {
    /// What stands between the quotes of a text without escapes: UTF-8.
    Text(Run<'r>),
    /// The digits of a number.
    Number(&'r [u8]),
    /// Everything else.
    Other,
}

/// One record, read.
#[derive(Clone, Copy, Debug)]
pub struct Tree<'t, 'r> {
    pub(super) plan: &'t Plan,
    pub(super) record: &'r str,
    pub(super) nodes: &'t [Node],
    pub(super) slots: &'t [u32],
}

impl<'t, 'r> Tree<'t, 'r> {
    pub(super) const RECORD: NodeId = NodeId(0);

    /// The place of the record itself.
    pub fn record(&self) -> Place {
        Place { node: Self::RECORD, enclosing: Self::RECORD }
    }

    /// The places of `scope` under `parent`, a place of the parent scope.
    pub fn places(&self, scope: ScopeId, parent: Place) -> Places<'t> {
        self.places_counted(scope, parent, |_, _| ())
    }

    /// The same; `count` is told how many nodes each of the scope's paths selects, by the path's place in their list.
    pub fn places_counted(&self, scope: ScopeId, parent: Place, mut count: impl FnMut(usize, usize)) -> Places<'t> {
        let nodes = match self.plan.paths(scope) {
            [] => Selected::one(Some(parent.node)),
            [(base, query)] => {
                let nodes = self.selected(start(*base, parent), query);
                count(0, nodes.clone().count());
                nodes
            }
            paths => {
                let mut nodes = Vec::with_capacity(2 * paths.len());
                for (number, (base, query)) in paths.iter().enumerate() {
                    let before = nodes.len();
                    let _stopped = self.visit_all(start(*base, parent), query, &mut |node| {
                        nodes.push(node);
                        ControlFlow::Continue(())
                    });
                    count(number, nodes.len() - before);
                }
                Selected::many(nodes)
            }
        };
        Places { nodes: nodes.once_each(), enclosing: parent.node }
    }

    /// The nodes that a path selects at `place`, a place of its scope.
    pub fn select(&self, select: SelectId, place: Place) -> Selected<'t> {
        let (base, query) = self.plan.path(select);
        self.selected(start(*base, place), query)
    }

    /// The node that a path of single steps (names and indexes) leads to at `place`, a place of its scope. None where
    /// there is no such node, and for every other path.
    #[inline(always)]
    pub fn single(&self, select: SelectId, place: Place) -> Option<NodeId> {
        let (base, query) = self.plan.path(select);
        if query.is_singular() { self.descend(start(*base, place), &query.steps) } else { None }
    }

    /// Whether a condition holds at `place`, a place of its scope.
    pub fn test(&self, condition: ConditionId, place: Place) -> bool {
        self.holds(self.plan.condition(condition), place.node)
    }

    fn selected(&self, from: NodeId, query: &'t Query) -> Selected<'t> {
        match (self.descend(from, &query.steps), &query.rest[..]) {
            (None, _) => Selected::one(None),
            (node, []) => Selected::one(node),
            (Some(node), [Segment::Child(selectors)]) if matches!(selectors[..], [Selector::Wildcard]) => {
                self.children(node)
            }
            (Some(node), rest) => {
                let mut nodes = Vec::new();
                let _stopped = self.visit(node, rest, &mut |node| {
                    nodes.push(node);
                    ControlFlow::Continue(())
                });
                Selected::many(nodes)
            }
        }
    }

    /// The value of a node; text without escapes, numbers in their digits.
    pub fn value(&self, node: NodeId) -> Value<'r> {
        let raw = self.raw(node);
        match self.kind(node) {
            Kind::Null => Value::Null,
            Kind::Boolean => Value::Boolean(raw == "true"),
            Kind::Number => Value::Number(Cow::Borrowed(raw)),
            Kind::Text => {
                let text = &raw[1..raw.len() - 1];
                Value::Text(if self.node(node).escaped { unescape(text) } else { Cow::Borrowed(text) })
            }
            Kind::Array | Kind::Object => Value::Json(Cow::Borrowed(raw)),
        }
    }

    /// The bytes of a node that needs no unescaping.
    #[inline(always)]
    pub fn token(&self, node: NodeId) -> Token<'r> {
        let (node, record) = (self.node(node), self.record.as_bytes());
        let (start, end) = (node.start as usize, node.end as usize);
        match record[start] {
            b'"' if !node.escaped => Token::Text(Run::new(record, start + 1, end - 1)),
            b'-' | b'0'..=b'9' => Token::Number(&record[start..end]),
            _ => Token::Other,
        }
    }

    /// The JSON text of a node, as it stands in the record.
    pub fn raw(&self, node: NodeId) -> &'r str {
        let node = self.node(node);
        &self.record[node.start as usize..node.end as usize]
    }

    /// The kind of a node.
    pub fn kind(&self, node: NodeId) -> Kind {
        match self.record.as_bytes()[self.node(node).start as usize] {
            b'{' => Kind::Object,
            b'[' => Kind::Array,
            b'"' => Kind::Text,
            b't' | b'f' => Kind::Boolean,
            b'n' => Kind::Null,
            _ => Kind::Number,
        }
    }

    /// The name under which a node stands in its object.
    pub fn key(&self, node: NodeId) -> Option<Cow<'r, str>> {
        let node = self.node(node);
        (node.holder == Holder::Object).then(|| unescape(quoted(self.record, node.place as usize)))
    }

    /// The place of a node in its array, from 0.
    pub fn index(&self, node: NodeId) -> Option<usize> {
        (node != Self::RECORD && self.node(node).holder == Holder::Array).then(|| self.node(node).place as usize)
    }

    #[inline(always)]
    pub(super) fn node(&self, node: NodeId) -> &'t Node {
        &self.nodes[node.0 as usize]
    }

    /// The member in a slot of an object; none of anything else.
    #[inline(always)]
    pub(super) fn member(&self, object: NodeId, slot: u32) -> Option<NodeId> {
        let node = self.slots.get((self.node(object).slots + slot) as usize)?;
        (*node != 0).then_some(NodeId(*node))
    }

    /// The first value in a container that fits.
    pub(super) fn child(&self, container: NodeId, fits: impl Fn(&Node) -> bool) -> Option<NodeId> {
        let nodes = &self.nodes[..self.node(container).after as usize];
        let mut next = container.0 + 1;
        while let Some(node) = nodes.get(next as usize) {
            if fits(node) {
                return Some(NodeId(next));
            }
            next = node.after;
        }
        None
    }

    /// The recorded values in a container.
    pub(super) fn children(&self, node: NodeId) -> Selected<'t> {
        let nodes = &self.nodes[..self.node(node).after as usize];
        Selected(Nodes::Siblings { nodes, next: node.0 + 1 })
    }
}

#[inline]
fn start(base: Base, place: Place) -> NodeId {
    match base {
        Base::Record => Tree::RECORD,
        Base::Node => place.node,
        Base::Enclosing => place.enclosing,
    }
}

/// What a path selects: an iterator of nodes, in the order of RFC 9535.
#[derive(Clone, Debug)]
pub struct Selected<'t>(Nodes<'t>);

#[derive(Clone, Debug)]
enum Nodes<'t> {
    One(Option<NodeId>),
    /// From `next` on, up to the end of `nodes`.
    Siblings {
        nodes: &'t [Node],
        next: u32,
    },
    Many(std::vec::IntoIter<NodeId>),
}

impl Selected<'_> {
    fn one(node: Option<NodeId>) -> Self {
        Self(Nodes::One(node))
    }

    fn many(nodes: Vec<NodeId>) -> Self {
        Self(Nodes::Many(nodes.into_iter()))
    }

    /// The first node.
    pub fn first(&self) -> Option<NodeId> {
        match &self.0 {
            Nodes::One(node) => *node,
            Nodes::Siblings { nodes, next } => nodes.get(*next as usize).map(|_| NodeId(*next)),
            Nodes::Many(nodes) => nodes.as_slice().first().copied(),
        }
    }

    /// Leaves out nodes that came before.
    fn once_each(self) -> Self {
        match self.0 {
            // Nodes are numbered in document order, and that is nearly always the order they come in.
            Nodes::Many(nodes) if !nodes.as_slice().is_sorted_by(|left, right| left < right) => {
                let mut before = HashSet::new();
                Self::many(nodes.filter(|node| before.insert(*node)).collect())
            }
            nodes => Self(nodes),
        }
    }
}

impl Iterator for Selected<'_> {
    type Item = NodeId;

    #[inline]
    fn next(&mut self) -> Option<NodeId> {
        match &mut self.0 {
            Nodes::One(node) => node.take(),
            Nodes::Siblings { nodes, next } => {
                let id = *next;
                *next = nodes.get(id as usize)?.after;
                Some(NodeId(id))
            }
            Nodes::Many(nodes) => nodes.next(),
        }
    }
}

/// The places of a scope.
#[derive(Clone, Debug)]
pub struct Places<'t> {
    nodes: Selected<'t>,
    enclosing: NodeId,
}

impl Iterator for Places<'_> {
    type Item = Place;

    #[inline]
    fn next(&mut self) -> Option<Place> {
        self.nodes.next().map(|node| Place { node, enclosing: self.enclosing })
    }
}
