//! Queries as data: RFC 9535's words, with every rule of its type system already checked.

use std::sync::OnceLock;

use regex::Regex;
use serde::{Deserialize, Serialize};

/// A name, as its place in a table of names; in a plan, its slot.
pub(crate) type Label = u32;

/// Steps to at most one node, then the segments from there on; the first of these may select more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Query {
    pub(crate) steps: Vec<Step>,
    pub(crate) rest: Vec<Segment>,
}

/// What selects at most one node.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Step {
    Name(Label),
    /// From the end where it is negative.
    Index(i64),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Segment {
    /// Applies to the node.
    Child(Vec<Selector>),
    /// Applies to the node and all its descendants.
    Descendant(Vec<Selector>),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Selector {
    Step(Step),
    Wildcard,
    Slice { start: Option<i64>, end: Option<i64>, step: i64 },
    Filter(Logical),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Logical {
    Any(Vec<Logical>),
    All(Vec<Logical>),
    Not(Box<Logical>),
    Exists(Origin, Query),
    Compare(Operand, Operator, Operand),
    Matches { text: Operand, pattern: Pattern, extent: Extent },
}

/// Where a query within a condition starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Origin {
    /// `$`
    Record,
    /// `@`
    Node,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Operator {
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// How much of a text a pattern must match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Extent {
    /// `match`
    Whole,
    /// `search`
    Part,
}

/// What yields a value or nothing (`ValueType`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Operand {
    Literal(Literal),
    /// The only node that the query selects: a singular query, or `value(…)`.
    Only(Origin, Query),
    /// `length(…)`
    Length(Box<Operand>),
    /// `count(…)`
    Count(Origin, Query),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Literal {
    Null,
    Boolean(bool),
    /// In JSON's grammar.
    Number(String),
    Text(String),
}

/// An I-Regexp (RFC 9485). One that is a literal is compiled once, when it is first needed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Pattern {
    pub(crate) source: Operand,
    #[serde(skip)]
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    pub(crate) fn new(source: Operand) -> Self {
        Self { source, compiled: OnceLock::new() }
    }

    /// Whether the pattern, whose text now is `source`, matches `text`. What is no I-Regexp matches nothing.
    pub(crate) fn matches(&self, source: &str, text: &str, extent: Extent) -> bool {
        let matches = |regex: &Option<Regex>| regex.as_ref().is_some_and(|regex| regex.is_match(text));
        match self.source {
            Operand::Literal(_) => matches(self.compiled.get_or_init(|| compile(source, extent))),
            _ => matches(&compile(source, extent)),
        }
    }
}

/// In an I-Regexp `.` is any character but the line ends `\n` and `\r`; in the `regex` crate it takes `\r` too.
fn compile(source: &str, extent: Extent) -> Option<Regex> {
    let mut pattern = String::with_capacity(source.len() + 8);
    let mut in_class = false;
    let mut characters = source.chars();
    while let Some(character) = characters.next() {
        match character {
            '.' if !in_class => {
                pattern.push_str(r"[^\n\r]");
                continue;
            }
            '[' => in_class = true,
            ']' => in_class = false,
            _ => {}
        }
        pattern.push(character);
        if character == '\\' {
            pattern.extend(characters.next());
        }
    }
    Regex::new(&match extent {
        Extent::Whole => format!(r"\A(?:{pattern})\z"),
        Extent::Part => pattern,
    })
    .ok()
}

impl Query {
    pub(crate) fn new(segments: Vec<Segment>) -> Self {
        let single = |segment: &Segment| match segment {
            Segment::Child(selectors) => match selectors[..] {
                [Selector::Step(step)] => Some(step),
                _ => None,
            },
            Segment::Descendant(_) => None,
        };
        let steps: Vec<Step> = segments.iter().map_while(single).collect();
        let rest = segments.into_iter().skip(steps.len()).collect();
        Self { steps, rest }
    }

    pub(crate) fn is_singular(&self) -> bool {
        self.rest.is_empty()
    }

    /// Gives every name its place in another table.
    pub(crate) fn relabel(&mut self, labels: &[Label]) {
        self.steps.iter_mut().for_each(|step| step.relabel(labels));
        for segment in &mut self.rest {
            let (Segment::Child(selectors) | Segment::Descendant(selectors)) = segment;
            for selector in selectors {
                match selector {
                    Selector::Step(step) => step.relabel(labels),
                    Selector::Filter(logical) => logical.relabel(labels),
                    Selector::Wildcard | Selector::Slice { .. } => {}
                }
            }
        }
    }
}

impl Step {
    fn relabel(&mut self, labels: &[Label]) {
        if let Step::Name(label) = self {
            *label = labels[*label as usize];
        }
    }
}

impl Logical {
    pub(crate) fn relabel(&mut self, labels: &[Label]) {
        match self {
            Logical::Any(terms) | Logical::All(terms) => terms.iter_mut().for_each(|term| term.relabel(labels)),
            Logical::Not(term) => term.relabel(labels),
            Logical::Exists(_, query) => query.relabel(labels),
            Logical::Compare(left, _, right) => {
                left.relabel(labels);
                right.relabel(labels);
            }
            Logical::Matches { text, pattern, .. } => {
                text.relabel(labels);
                pattern.source.relabel(labels);
            }
        }
    }

    pub(crate) fn is_unequal_to_null(&self) -> bool {
        let null = |operand: &Operand| matches!(operand, Operand::Literal(Literal::Null));
        match self {
            Logical::Any(terms) | Logical::All(terms) => terms.iter().any(Logical::is_unequal_to_null),
            Logical::Not(term) => term.is_unequal_to_null(),
            Logical::Compare(left, Operator::Unequal, right) => null(left) != null(right),
            Logical::Compare(..) | Logical::Exists(..) | Logical::Matches { .. } => false,
        }
    }
}

impl Operand {
    fn relabel(&mut self, labels: &[Label]) {
        match self {
            Operand::Literal(_) => {}
            Operand::Only(_, query) | Operand::Count(_, query) => query.relabel(labels),
            Operand::Length(operand) => operand.relabel(labels),
        }
    }
}
