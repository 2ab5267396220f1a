//! The pass: one scan of a record that records the values on followed paths and skips the rest.
//!
//! It recurses into containers that are followed, at most [`DEPTH_MAX`] deep; skipping does not recurse.

use std::str;

use super::{
    follow::{ELEMENT, Follow, LEAF, OTHER_NAME, State, StateId},
    tree::Node,
};
use crate::{
    json::{DEPTH_MAX, Fault, JsonError, JsonErrorKind, Refused, Scanner, quoted, unescape},
    path::Label,
};

/// What a pass writes, kept between records for its capacity.
#[derive(Debug)]
pub(super) struct Memory {
    /// In document order: a container before what is in it.
    nodes: Vec<Node>,
    /// For each edge the number of the last object that had its name.
    seen: Vec<u64>,
    /// Objects so far, over all records.
    n_objects: u64,
    /// Where the names of one object stand, to find those that stand twice.
    names: Vec<u32>,
}

impl Memory {
    pub(super) fn new(follow: &Follow) -> Self {
        Self { nodes: Vec::new(), seen: vec![0; follow.n_edges as usize], n_objects: 0, names: Vec::new() }
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }
}

/// Reads a record, and returns its text. Node 0 is the record itself.
pub(super) fn read<'r>(follow: &Follow, memory: &mut Memory, record: &'r [u8]) -> Result<&'r str, JsonError> {
    memory.nodes.clear();
    if u32::try_from(record.len()).is_err() {
        return Err(JsonError { offset: 0, kind: JsonErrorKind::TooLong });
    }
    let text = str::from_utf8(record)
        .map_err(|error| JsonError { offset: error.valid_up_to(), kind: JsonErrorKind::NotUtf8 })?;
    let mut pass = Pass { follow, memory, text, scanner: Scanner::new(text) };
    pass.record().map_err(|refused| pass.scanner.error(refused))?;
    Ok(text)
}

struct Pass<'a, 'r> {
    follow: &'a Follow,
    memory: &'a mut Memory,
    text: &'r str,
    scanner: Scanner<'r>,
}

impl Pass<'_, '_> {
    fn record(&mut self) -> Result<(), Refused> {
        let start = self.scanner.whitespace(0);
        let end = self.value(start, self.follow.root, ELEMENT, 0, 0)?;
        self.scanner.end(end)
    }

    /// Records the value at `at`, with what its parent knows of it; `depth` containers are open around it.
    #[inline(always)]
    fn value(&mut self, at: usize, state: StateId, label: Label, place: usize, depth: usize) -> Result<usize, Refused> {
        let (start, place) = (at as u32, place as u32);
        let id = self.memory.nodes.len();
        if matches!(self.scanner.byte(at), b'{' | b'[') {
            self.memory.nodes.push(Node { start, end: start, place, label, after: 0, escaped: false });
            let end = self.container(at, state, id, depth)?;
            let after = self.memory.nodes.len() as u32;
            let node = &mut self.memory.nodes[id];
            (node.end, node.after) = (end as u32, after);
            Ok(end)
        } else {
            let scalar = self.scanner.scalar(at)?;
            let (end, after) = (scalar.end as u32, id as u32 + 1);
            self.memory.nodes.push(Node { start, end, place, label, after, escaped: scalar.escaped });
            Ok(scalar.end)
        }
    }

    #[inline(never)]
    fn container(&mut self, at: usize, state: StateId, id: usize, depth: usize) -> Result<usize, Refused> {
        if state == LEAF {
            return self.scanner.skip_container(at, depth);
        }
        let state = self.follow.state(state);
        let object = self.scanner.byte(at) == b'{';
        let followed = if object { state.follows_members() } else { state.follows_elements() };
        if !followed {
            return self.scanner.skip_container(at, depth);
        }
        if depth >= DEPTH_MAX {
            return Err(self.scanner.refuse(Fault::Depth, at));
        }
        let at = self.scanner.whitespace(at + 1);
        if object { self.members(at, state, id, depth + 1) } else { self.elements(at, state, depth + 1) }
    }

    /// From an object's first name to the place behind the object.
    fn members(&mut self, mut at: usize, state: &State, id: usize, depth: usize) -> Result<usize, Refused> {
        self.memory.n_objects += 1;
        let object = self.memory.n_objects;
        if self.scanner.byte(at) == b'}' {
            return Ok(at + 1);
        }
        loop {
            let start = at;
            let (name, value) = self.scanner.name(start)?;
            let edge = if name.escaped {
                state.edge_of(&unescape(quoted(self.text, start)))
            } else {
                state.edge(self.scanner.bytes(), start + 1, name.end - 1)
            };
            at = match (edge, state.other_member) {
                (Some(edge), None) => {
                    let seen = &mut self.memory.seen[edge.id as usize];
                    if *seen == object {
                        return Err(self.scanner.refuse(Fault::DuplicateKey, start));
                    }
                    *seen = object;
                    self.value(value, edge.next, edge.label, start, depth)?
                }
                (None, None) => self.scanner.skip(value, depth)?,
                // Every name is followed: whether one stands twice is looked at in the end.
                (edge, Some(other)) => {
                    let (next, label) = edge.map_or((other, OTHER_NAME), |edge| (edge.next, edge.label));
                    self.value(value, next, label, start, depth)?
                }
            };
            at = self.scanner.whitespace(at);
            match self.scanner.byte(at) {
                b',' => at = self.scanner.whitespace(at + 1),
                b'}' => break,
                _ => return Err(self.scanner.refuse(Fault::CommaOrBrace, at)),
            }
        }
        if state.other_member.is_some() {
            self.check_names(id)?;
        }
        Ok(at + 1)
    }

    /// From an array's first element to the place behind the array.
    fn elements(&mut self, mut at: usize, state: &State, depth: usize) -> Result<usize, Refused> {
        if self.scanner.byte(at) == b']' {
            return Ok(at + 1);
        }
        let mut index = 0;
        loop {
            at = match state.element(index) {
                Some(next) => self.value(at, next, ELEMENT, index, depth)?,
                None => self.scanner.skip(at, depth)?,
            };
            index += 1;
            at = self.scanner.whitespace(at);
            match self.scanner.byte(at) {
                b',' => at = self.scanner.whitespace(at + 1),
                b']' => return Ok(at + 1),
                _ => return Err(self.scanner.refuse(Fault::CommaOrBracket, at)),
            }
        }
    }

    /// Looks for a name that stands twice in an object all of whose members were recorded.
    fn check_names(&mut self, id: usize) -> Result<(), Refused> {
        let Memory { nodes, names, .. } = &mut *self.memory;
        names.clear();
        let mut member = id + 1;
        while let Some(node) = nodes.get(member) {
            names.push(node.place);
            member = node.after as usize;
        }
        let name = |place: u32| unescape(quoted(self.text, place as usize));
        names.sort_by(|left, right| name(*left).cmp(&name(*right)));
        match names.windows(2).find(|pair| name(pair[0]) == name(pair[1])) {
            None => Ok(()),
            Some(pair) => Err(self.scanner.refuse(Fault::DuplicateKey, pair[1] as usize)),
        }
    }
}
