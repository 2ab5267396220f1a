//! RFC 9535's meaning of queries and conditions, on the tree that a pass has recorded.
//!
//! Everything that a query can ask for was recorded, because the plan had the pass follow it. Numbers compare by
//! value at any length, texts by their characters, containers by what is in them.

use std::{borrow::Cow, cmp::Ordering, ops::ControlFlow};

use super::tree::{Kind, NodeId, Tree};
use crate::{
    json,
    path::{Extent, Literal, Logical, Operand, Operator, Origin, Pattern, Query, Segment, Selector, Step},
    value::Value,
};

/// Takes one node after the other; may say that it has seen enough.
type Visitor<'v> = dyn FnMut(NodeId) -> ControlFlow<()> + 'v;

impl<'t, 'r> Tree<'t, 'r> {
    /// The node at the end of `steps`.
    #[inline(always)]
    pub(super) fn descend(&self, from: NodeId, steps: &[Step]) -> Option<NodeId> {
        steps.iter().try_fold(from, |node, step| self.step(node, *step))
    }

    #[inline(always)]
    fn step(&self, node: NodeId, step: Step) -> Option<NodeId> {
        match step {
            Step::Name(slot) => self.member(node, slot),
            Step::Index(index) => self.element(node, index),
        }
    }

    #[inline(never)]
    fn element(&self, array: NodeId, index: i64) -> Option<NodeId> {
        if self.kind(array) != Kind::Array {
            return None;
        }
        // An index from the end has the pass record all elements, so they can be counted.
        let index = if index < 0 { index + self.children(array).count() as i64 } else { index };
        self.child(array, |child| i64::from(child.place) == index)
    }

    /// Gives every node that `query` selects to `visitor`, until that breaks off.
    pub(super) fn visit_all(&self, from: NodeId, query: &Query, visitor: &mut Visitor<'_>) -> ControlFlow<()> {
        match self.descend(from, &query.steps) {
            Some(node) => self.visit(node, &query.rest, visitor),
            None => ControlFlow::Continue(()),
        }
    }

    /// Gives every node that `segments` select from `node` to `visitor`, until that breaks off.
    pub(super) fn visit(&self, node: NodeId, segments: &[Segment], visitor: &mut Visitor<'_>) -> ControlFlow<()> {
        match segments {
            [] => visitor(node),
            [Segment::Child(selectors), rest @ ..] => self.select_each(node, selectors, rest, visitor),
            [Segment::Descendant(selectors), rest @ ..] => {
                self.select_each(node, selectors, rest, visitor)?;
                self.children(node).try_for_each(|child| self.visit(child, segments, visitor))
            }
        }
    }

    fn select_each(
        &self,
        node: NodeId,
        selectors: &[Selector],
        rest: &[Segment],
        visitor: &mut Visitor<'_>,
    ) -> ControlFlow<()> {
        selectors.iter().try_for_each(|selector| match selector {
            Selector::Step(step) => match self.step(node, *step) {
                Some(child) => self.visit(child, rest, visitor),
                None => ControlFlow::Continue(()),
            },
            Selector::Wildcard => self.children(node).try_for_each(|child| self.visit(child, rest, visitor)),
            Selector::Filter(logical) => self
                .children(node)
                .filter(|child| self.holds(logical, *child))
                .try_for_each(|child| self.visit(child, rest, visitor)),
            Selector::Slice { start, end, step } => {
                if self.kind(node) != Kind::Array {
                    return ControlFlow::Continue(());
                }
                let elements: Vec<NodeId> = self.children(node).collect();
                slice(elements.len() as i64, *start, *end, *step)
                    .try_for_each(|index| self.visit(elements[index as usize], rest, visitor))
            }
        })
    }

    /// Whether a condition holds, with `@` standing for `node`.
    pub(super) fn holds(&self, logical: &Logical, node: NodeId) -> bool {
        match logical {
            Logical::Any(terms) => terms.iter().any(|term| self.holds(term, node)),
            Logical::All(terms) => terms.iter().all(|term| self.holds(term, node)),
            Logical::Not(term) => !self.holds(term, node),
            Logical::Exists(origin, query) if query.is_singular() => {
                self.descend(origin_of(*origin, node), &query.steps).is_some()
            }
            Logical::Exists(origin, query) => {
                self.visit_all(origin_of(*origin, node), query, &mut |_| ControlFlow::Break(())).is_break()
            }
            Logical::Compare(left, operator, right) => {
                self.compare(self.term(left, node), *operator, self.term(right, node))
            }
            Logical::Matches { text, pattern, extent } => self.matches(text, pattern, *extent, node),
        }
    }

    fn matches(&self, text: &Operand, pattern: &Pattern, extent: Extent, node: NodeId) -> bool {
        match (self.value_of(self.term(text, node)), self.value_of(self.term(&pattern.source, node))) {
            (Some(Value::Text(text)), Some(Value::Text(source))) => pattern.matches(&source, &text, extent),
            _ => false,
        }
    }

    fn term<'q>(&self, operand: &'q Operand, node: NodeId) -> Term<'q> {
        match operand {
            Operand::Literal(literal) => Term::Literal(literal),
            Operand::Only(origin, query) => {
                self.only(origin_of(*origin, node), query).map_or(Term::Nothing, Term::Node)
            }
            Operand::Count(origin, query) => {
                let mut count = 0;
                let _stopped = self.visit_all(origin_of(*origin, node), query, &mut |_| {
                    count += 1;
                    ControlFlow::Continue(())
                });
                Term::Number(count)
            }
            Operand::Length(operand) => match self.term(operand, node) {
                Term::Node(node) if matches!(self.kind(node), Kind::Array | Kind::Object) => {
                    Term::Number(self.children(node).count())
                }
                term => match self.value_of(term) {
                    Some(Value::Text(text)) => Term::Number(text.chars().count()),
                    _ => Term::Nothing,
                },
            },
        }
    }

    /// The node that a query selects, where it selects exactly one.
    fn only(&self, from: NodeId, query: &Query) -> Option<NodeId> {
        if query.is_singular() {
            return self.descend(from, &query.steps);
        }
        let (mut only, mut more) = (None, false);
        let _stopped = self.visit_all(from, query, &mut |node| {
            more = only.replace(node).is_some();
            if more { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        only.filter(|_| !more)
    }

    fn value_of<'a>(&self, term: Term<'a>) -> Option<Value<'a>>
    where
        'r: 'a,
    {
        Some(match term {
            Term::Nothing => return None,
            Term::Node(node) => self.value(node),
            Term::Number(number) => Value::Number(Cow::Owned(number.to_string())),
            Term::Literal(Literal::Null) => Value::Null,
            Term::Literal(Literal::Boolean(value)) => Value::Boolean(*value),
            Term::Literal(Literal::Number(digits)) => Value::Number(Cow::Borrowed(digits)),
            Term::Literal(Literal::Text(text)) => Value::Text(Cow::Borrowed(text)),
        })
    }

    fn compare(&self, left: Term<'_>, operator: Operator, right: Term<'_>) -> bool {
        match operator {
            Operator::Equal => self.equal(left, right),
            Operator::Unequal => !self.equal(left, right),
            Operator::Less => self.less(left, right),
            Operator::Greater => self.less(right, left),
            Operator::AtMost => self.less(left, right) || self.equal(left, right),
            Operator::AtLeast => self.less(right, left) || self.equal(left, right),
        }
    }

    fn equal(&self, left: Term<'_>, right: Term<'_>) -> bool {
        match (left, right) {
            (Term::Nothing, Term::Nothing) => true,
            (Term::Nothing, _) | (_, Term::Nothing) => false,
            (Term::Node(left), Term::Node(right)) => self.equal_nodes(left, right),
            _ => equal_values(self.value_of(left), self.value_of(right)),
        }
    }

    fn equal_nodes(&self, left: NodeId, right: NodeId) -> bool {
        match (self.kind(left), self.kind(right)) {
            (Kind::Array, Kind::Array) => {
                let (mut left, mut right) = (self.children(left), self.children(right));
                loop {
                    match (left.next(), right.next()) {
                        (Some(left), Some(right)) if self.equal_nodes(left, right) => {}
                        (left, right) => return left.is_none() && right.is_none(),
                    }
                }
            }
            (Kind::Object, Kind::Object) => {
                let (left, right) = (self.by_name(left), self.by_name(right));
                let equal = |((left_name, left), (right_name, right)): (&(_, _), &(_, _))| {
                    left_name == right_name && self.equal_nodes(*left, *right)
                };
                left.len() == right.len() && left.iter().zip(&right).all(equal)
            }
            (Kind::Array | Kind::Object, _) | (_, Kind::Array | Kind::Object) => false,
            _ => equal_values(Some(self.value(left)), Some(self.value(right))),
        }
    }

    /// The members of an object, sorted by name.
    fn by_name(&self, object: NodeId) -> Vec<(Option<Cow<'r, str>>, NodeId)> {
        let mut members: Vec<_> = self.children(object).map(|member| (self.key(member), member)).collect();
        members.sort();
        members
    }

    fn less(&self, left: Term<'_>, right: Term<'_>) -> bool {
        match (self.value_of(left), self.value_of(right)) {
            (Some(Value::Number(left)), Some(Value::Number(right))) => json::compare(&left, &right) == Ordering::Less,
            // The bytes of UTF-8 are in the order of the characters.
            (Some(Value::Text(left)), Some(Value::Text(right))) => left < right,
            _ => false,
        }
    }
}

/// One side of a comparison.
#[derive(Clone, Copy)]
enum Term<'q> {
    Nothing,
    Node(NodeId),
    Literal(&'q Literal),
    Number(usize),
}

fn origin_of(origin: Origin, node: NodeId) -> NodeId {
    match origin {
        Origin::Record => Tree::RECORD,
        Origin::Node => node,
    }
}

/// Containers are not compared here: [`Tree::equal_nodes`] does, and no literal is one.
fn equal_values(left: Option<Value<'_>>, right: Option<Value<'_>>) -> bool {
    match (left, right) {
        (Some(Value::Number(left)), Some(Value::Number(right))) => json::compare(&left, &right) == Ordering::Equal,
        (left, right) => left == right,
    }
}

/// The indexes that a slice selects in an array of `length` elements (RFC 9535, section 2.3.4.2.2).
fn slice(length: i64, start: Option<i64>, end: Option<i64>, step: i64) -> impl Iterator<Item = i64> {
    let place = |index: i64| if index < 0 { index.saturating_add(length) } else { index };
    let (first, mut n_left) = if step > 0 {
        let lower = place(start.unwrap_or(0)).clamp(0, length);
        let upper = place(end.unwrap_or(length)).clamp(0, length);
        (lower, (upper - lower + step - 1) / step)
    } else if step < 0 {
        let upper = start.map_or(length - 1, place).clamp(-1, length - 1);
        let lower = end.map_or(-1, place).clamp(-1, length - 1);
        (upper, (upper - lower - step - 1) / -step)
    } else {
        (0, 0)
    };
    let mut next = first;
    std::iter::from_fn(move || {
        n_left -= 1;
        (n_left >= 0).then(|| {
            let index = next;
            next = next.saturating_add(step);
            index
        })
    })
}
