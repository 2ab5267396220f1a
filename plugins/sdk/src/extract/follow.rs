//! What the pass follows: a table of states, compiled from the trie of all paths.
//!
//! A value can stand on several paths at once (`$.a.x` and `$.*.y` both step on the member `a`), so a state of the
//! pass is a set of places in the trie, worked out once for each set that can occur. A state says what to do with
//! each member or element of a container; what no path steps on is skipped.
//!
//! Each name has a slot: the place among the slots of an object where the pass notes the member of that name. Names
//! share a slot where no object is asked for both, so that objects have few slots, and a step by name is one look.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::trie::{Trie, TrieId, TriePlace, distinct};
use crate::path::Label;

/// A state of the pass.
pub(super) type StateId = u32;

/// Nothing beneath is recorded.
pub(super) const LEAF: StateId = 0;

/// Everything beneath is recorded.
pub(super) const WHOLE: StateId = 1;

/// What the pass does, state by state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Follow {
    states: Vec<State>,
    pub(super) root: StateId,
}

impl Follow {
    /// Works out the states for a trie, and the slot of each of its labels, which stand for `names`.
    pub(super) fn compile(trie: &Trie, names: &[String]) -> (Self, Vec<u32>) {
        let mut states = States { trie, known: BTreeMap::new(), drafts: vec![Draft::default(), Draft::default()] };
        let root = states.state(vec![Trie::RECORD]);
        let mut drafts = states.drafts;
        if root == WHOLE || drafts.iter().any(|draft| draft.leads_to(WHOLE)) {
            let names = (0..names.len() as Label).map(|label| (label, WHOLE)).collect();
            drafts[WHOLE as usize] =
                Draft { names, indexes: Vec::new(), other_member: Some(WHOLE), other_element: Some(WHOLE) };
        }
        let slots = slots(&drafts, names.len());
        let states = drafts.into_iter().map(|draft| draft.finish(names, &slots)).collect();
        (Self { states, root }, slots)
    }

    #[inline(always)]
    pub(super) fn state(&self, state: StateId) -> &State {
        &self.states[state as usize]
    }
}

/// What to do with the values in a container.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    edges: Edges,
    /// How many slots an object has.
    pub(super) n_slots: u32,
    /// The state of members that `edges` does not name.
    pub(super) other_member: Option<StateId>,
    indexes: Vec<(u32, StateId)>,
    /// The state of elements that `indexes` does not name.
    pub(super) other_element: Option<StateId>,
}

/// The names that are followed, in drawers. They travel as a list: filling the drawers is quicker than reading them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Vec<Edge>", into = "Vec<Edge>")]
struct Edges {
    /// By drawer.
    edges: Vec<Edge>,
    /// The edges of drawer d are `edges[starts[d]..starts[d + 1]]`.
    starts: [u16; DRAWERS + 1],
}

impl From<Vec<Edge>> for Edges {
    fn from(mut edges: Vec<Edge>) -> Self {
        let mut starts = [0; DRAWERS + 1];
        for edge in &mut edges {
            edge.head = head(&edge.name, 0, edge.name.len());
            starts[edge.drawer() + 1] += 1;
        }
        for drawer in 0..DRAWERS {
            starts[drawer + 1] += starts[drawer];
        }
        edges.sort_by_key(Edge::drawer);
        Self { edges, starts }
    }
}

impl From<Edges> for Vec<Edge> {
    fn from(edges: Edges) -> Self {
        edges.edges
    }
}

/// A name that is followed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Edge {
    /// Its first eight bytes, see [`head`]. For most names that is all.
    #[serde(skip)]
    head: u64,
    name: Box<[u8]>,
    pub(super) slot: u32,
    pub(super) next: StateId,
}

/// Names fall into this many drawers.
const DRAWERS: usize = 32;

impl Edge {
    fn drawer(&self) -> usize {
        drawer(self.head, self.name.len())
    }
}

/// The first eight bytes of `bytes[start..end]`, as a number; zeros where there are fewer.
#[inline(always)]
fn head(bytes: &[u8], start: usize, end: usize) -> u64 {
    match bytes.get(start..).and_then(<[u8]>::first_chunk) {
        Some(word) => {
            let word = u64::from_le_bytes(*word);
            if end - start < 8 { word & !(u64::MAX << (8 * (end - start))) } else { word }
        }
        None => bytes[start..end].iter().take(8).rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// Tells apart most names of one object by their first bytes and their length.
#[inline(always)]
fn drawer(head: u64, length: usize) -> usize {
    let mixed = (head ^ length as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> (u64::BITS - DRAWERS.ilog2())) as usize % DRAWERS
}

impl State {
    /// The edge for the name `bytes[start..end]`.
    #[inline(always)]
    pub(super) fn edge(&self, bytes: &[u8], start: usize, end: usize) -> Option<&Edge> {
        let (head, length) = (head(bytes, start, end), end - start);
        let drawer = drawer(head, length);
        let Edges { edges, starts } = &self.edges;
        let edges = &edges[starts[drawer] as usize..starts[drawer + 1] as usize];
        let same = |edge: &&Edge| {
            edge.head == head && edge.name.len() == length && (length <= 8 || *edge.name == bytes[start..end])
        };
        edges.iter().find(same)
    }

    /// The edge for a name that has had escapes.
    pub(super) fn edge_of(&self, name: &str) -> Option<&Edge> {
        self.edge(name.as_bytes(), 0, name.len())
    }

    #[inline(always)]
    pub(super) fn element(&self, index: usize) -> Option<StateId> {
        let named = self.indexes.iter().find(|(named, _)| *named as usize == index);
        named.map(|(_, next)| *next).or(self.other_element)
    }

    pub(super) fn follows_elements(&self) -> bool {
        self.other_element.is_some() || !self.indexes.is_empty()
    }

    pub(super) fn follows_members(&self) -> bool {
        self.other_member.is_some() || !self.edges.edges.is_empty()
    }
}

/// A state in terms of labels.
#[derive(Debug, Default)]
struct Draft {
    names: BTreeMap<Label, StateId>,
    indexes: Vec<(u32, StateId)>,
    other_member: Option<StateId>,
    other_element: Option<StateId>,
}

impl Draft {
    fn leads_to(&self, state: StateId) -> bool {
        let others = self.other_member.iter().chain(&self.other_element);
        let named = self.names.values().chain(self.indexes.iter().map(|(_, next)| next));
        named.chain(others).any(|next| *next == state)
    }

    fn finish(self, names: &[String], slots: &[u32]) -> State {
        let edge = |(label, next): (Label, StateId)| {
            let name: Box<[u8]> = names[label as usize].as_bytes().into();
            Edge { head: 0, name, slot: slots[label as usize], next }
        };
        let edges: Vec<Edge> = self.names.into_iter().map(edge).collect();
        State {
            n_slots: edges.iter().map(|edge| edge.slot + 1).max().unwrap_or(0),
            edges: edges.into(),
            indexes: self.indexes,
            other_member: self.other_member,
            other_element: self.other_element,
        }
    }
}

/// The slot of each label: for each in turn the first that no label beside it in a state has.
fn slots(drafts: &[Draft], n_labels: usize) -> Vec<u32> {
    let mut slots: Vec<u32> = Vec::with_capacity(n_labels);
    for label in 0..n_labels as Label {
        let beside = drafts.iter().filter(|draft| draft.names.contains_key(&label));
        let taken: BTreeSet<u32> =
            beside.flat_map(|draft| draft.names.range(..label)).map(|(label, _)| slots[*label as usize]).collect();
        slots.extend((0..).find(|slot| !taken.contains(slot)));
    }
    slots
}

/// The states found so far, by the set of places each stands for.
struct States<'a> {
    trie: &'a Trie,
    known: BTreeMap<Vec<TrieId>, StateId>,
    drafts: Vec<Draft>,
}

impl States<'_> {
    /// The state that stands for `places`, worked out where it is new.
    fn state(&mut self, places: Vec<TrieId>) -> StateId {
        let trie = self.trie;
        let here: Vec<&TriePlace> = places.iter().map(|place| trie.get(*place)).collect();
        if here.iter().any(|place| place.whole) {
            return WHOLE;
        }
        if here.iter().all(|place| place.is_leaf()) {
            return LEAF;
        }
        if let Some(known) = self.known.get(&places) {
            return *known;
        }

        let each_member: Vec<TrieId> = here.iter().filter_map(|place| place.each_member).collect();
        let each_element: Vec<TrieId> = here.iter().filter_map(|place| place.each_element).collect();
        let mut names = BTreeMap::<Label, Vec<TrieId>>::new();
        let mut indexes = BTreeMap::<u32, Vec<TrieId>>::new();
        for place in here {
            for (label, next) in &place.names {
                names.entry(*label).or_default().push(*next);
            }
            for (index, next) in &place.indexes {
                indexes.entry(*index).or_default().push(*next);
            }
        }
        let names = names.into_iter().map(|(label, next)| (label, self.union(next, &each_member))).collect();
        let indexes = indexes.into_iter().map(|(index, next)| (index, self.union(next, &each_element))).collect();
        let other_member = (!each_member.is_empty()).then(|| self.union(each_member, &[]));
        let other_element = (!each_element.is_empty()).then(|| self.union(each_element, &[]));
        self.drafts.push(Draft { names, indexes, other_member, other_element });
        let state = self.drafts.len() as StateId - 1;
        self.known.insert(places, state);
        state
    }

    fn union(&mut self, mut places: Vec<TrieId>, more: &[TrieId]) -> StateId {
        places.extend(more);
        self.state(distinct(places))
    }
}
