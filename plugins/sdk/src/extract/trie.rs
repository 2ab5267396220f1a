//! All paths of a plan, joined in a trie by their steps.
//!
//! It says where values may be asked for, not which: a filter's nodes stand where all its candidates stand.

use std::collections::BTreeMap;

use crate::path::{Label, Logical, Operand, Origin, Query, Segment, Selector, Step};

/// A place in the trie.
pub(super) type TrieId = u32;

/// All paths. Steps that need to see a container's other values (negative indexes, slices) or that
/// choose among them (filters) are kept as "each".
#[derive(Debug)]
pub(super) struct Trie {
    places: Vec<TriePlace>,
}

/// Where the steps from one place lead.
#[derive(Clone, Debug, Default)]
pub(super) struct TriePlace {
    pub(super) names: BTreeMap<Label, TrieId>,
    pub(super) indexes: BTreeMap<u32, TrieId>,
    pub(super) each_member: Option<TrieId>,
    pub(super) each_element: Option<TrieId>,
    /// Everything beneath is recorded.
    pub(super) whole: bool,
}

impl TriePlace {
    pub(super) fn is_leaf(&self) -> bool {
        let Self { names, indexes, each_member, each_element, whole } = self;
        names.is_empty() && indexes.is_empty() && each_member.is_none() && each_element.is_none() && !whole
    }
}

impl Default for Trie {
    fn default() -> Self {
        Self { places: vec![TriePlace::default()] }
    }
}

impl Trie {
    pub(super) const RECORD: TrieId = 0;

    /// Adds a query from each of the places `from`, and returns where its nodes stand.
    pub(super) fn follow(&mut self, from: &[TrieId], query: &Query) -> Vec<TrieId> {
        let mut here = from.to_vec();
        for step in &query.steps {
            here = distinct(here.into_iter().map(|place| self.step(place, *step)).collect());
        }
        for segment in &query.rest {
            let mut next = Vec::new();
            for place in here {
                match segment {
                    Segment::Child(selectors) => self.select(place, selectors, &mut next),
                    Segment::Descendant(selectors) => {
                        self.places[place as usize].whole = true;
                        self.select(place, selectors, &mut next);
                    }
                }
            }
            here = distinct(next);
        }
        here
    }

    fn step(&mut self, from: TrieId, step: Step) -> TrieId {
        let new = self.places.len() as TrieId;
        let from_place = &mut self.places[from as usize];
        let end = match step {
            Step::Name(label) => *from_place.names.entry(label).or_insert(new),
            Step::Index(index) => match u32::try_from(index) {
                Ok(index) => *from_place.indexes.entry(index).or_insert(new),
                Err(_) => return self.each_element(from),
            },
        };
        self.place(end)
    }

    fn select(&mut self, from: TrieId, selectors: &[Selector], ends: &mut Vec<TrieId>) {
        for selector in selectors {
            match selector {
                Selector::Step(step) => ends.push(self.step(from, *step)),
                Selector::Slice { .. } => ends.push(self.each_element(from)),
                Selector::Wildcard => ends.extend(self.each(from)),
                Selector::Filter(logical) => {
                    let each = self.each(from);
                    self.follow_logical(&each, logical);
                    ends.extend(each);
                }
            }
        }
    }

    pub(super) fn get(&self, id: TrieId) -> &TriePlace {
        &self.places[id as usize]
    }

    /// The place `id`, which may be the next new one.
    fn place(&mut self, id: TrieId) -> TrieId {
        if id as usize == self.places.len() {
            self.places.push(TriePlace::default());
        }
        id
    }

    /// Members and elements alike, at one place where no slice has made one for the elements alone.
    fn each(&mut self, from: TrieId) -> [TrieId; 2] {
        let element = self.each_element(from);
        let member = *self.places[from as usize].each_member.get_or_insert(element);
        [member, element]
    }

    fn each_element(&mut self, from: TrieId) -> TrieId {
        let new = self.places.len() as TrieId;
        let element = *self.places[from as usize].each_element.get_or_insert(new);
        self.place(element)
    }

    /// Adds the queries of a condition on the places `nodes`.
    pub(super) fn follow_logical(&mut self, nodes: &[TrieId], logical: &Logical) {
        match logical {
            Logical::Any(terms) | Logical::All(terms) => {
                for term in terms {
                    self.follow_logical(nodes, term);
                }
            }
            Logical::Not(term) => self.follow_logical(nodes, term),
            Logical::Exists(origin, query) => {
                self.follow(start(*origin, nodes), query);
            }
            Logical::Compare(left, _, right) => {
                let mut ends = self.follow_operand(nodes, left);
                ends.extend(self.follow_operand(nodes, right));
                // Two containers are compared by what is in them.
                if let (Operand::Only(..), Operand::Only(..)) = (left, right) {
                    for end in ends {
                        self.places[end as usize].whole = true;
                    }
                }
            }
            Logical::Matches { text, pattern, .. } => {
                self.follow_operand(nodes, text);
                self.follow_operand(nodes, &pattern.source);
            }
        }
    }

    fn follow_operand(&mut self, nodes: &[TrieId], operand: &Operand) -> Vec<TrieId> {
        match operand {
            Operand::Literal(_) => Vec::new(),
            Operand::Only(origin, query) | Operand::Count(origin, query) => self.follow(start(*origin, nodes), query),
            Operand::Length(operand) => {
                // The length of a container is the number of values in it.
                let ends = self.follow_operand(nodes, operand);
                for end in &ends {
                    self.each(*end);
                }
                ends
            }
        }
    }
}

/// Each place once, in order.
pub(super) fn distinct(mut places: Vec<TrieId>) -> Vec<TrieId> {
    places.sort_unstable();
    places.dedup();
    places
}

fn start(origin: Origin, nodes: &[TrieId]) -> &[TrieId] {
    match origin {
        Origin::Record => &[Trie::RECORD],
        Origin::Node => nodes,
    }
}
