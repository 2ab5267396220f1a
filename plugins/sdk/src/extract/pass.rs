//! The pass: one scan of a record that records the values on followed paths and skips the rest.
//!
//! It recurses into containers that are followed, at most [`DEPTH_MAX`] deep; skipping does not recurse.

use super::{
    follow::{Follow, LEAF, State, StateId},
    tree::{Holder, NO_SLOTS, Node},
};
use crate::json::{DEPTH_MAX, Fault, JsonError, JsonErrorKind, Refused, Scanner, quoted, unescape, utf8};

/// Slots are made in blocks of so many: a block is cleared at once.
const SLOTS: usize = 8;

/// What a pass writes, kept between records for its capacity.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// In document order: a container before what is in it.
    pub(super) nodes: Vec<Node>,
    /// The members of objects, by slot; 0, which is the record and no member, where there is none.
    pub(super) slots: Vec<u32>,
    /// Where the names of one object stand, to find those that stand twice.
    names: Vec<u32>,
}

/// Reads a record, and returns its text. Node 0 is the record itself.
pub(super) fn read<'r>(follow: &Follow, memory: &mut Memory, record: &'r [u8]) -> Result<&'r str, JsonError> {
    memory.nodes.clear();
    memory.slots.clear();
    if u32::try_from(record.len()).is_err() {
        return Err(JsonError { offset: 0, kind: JsonErrorKind::TooLong });
    }
    let text = utf8(record).map_err(|error| JsonError { offset: error.valid_up_to(), kind: JsonErrorKind::NotUtf8 })?;
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
        let end = self.value(start, self.follow.root, Holder::Array, 0, 0)?;
        self.scanner.end(end)
    }

    /// Records the value at `at`, with what its parent knows of it; `depth` containers are open around it.
    #[inline(always)]
    fn value(
        &mut self,
        at: usize,
        state: StateId,
        holder: Holder,
        place: usize,
        depth: usize,
    ) -> Result<usize, Refused> {
        let (start, place) = (at as u32, place as u32);
        let id = self.memory.nodes.len();
        if matches!(self.scanner.byte(at), b'{' | b'[') {
            self.memory.nodes.push(Node {
                start,
                end: start,
                place,
                after: 0,
                slots: NO_SLOTS,
                holder,
                escaped: false,
            });
            let end = self.container(at, state, id, depth)?;
            let after = self.memory.nodes.len() as u32;
            let node = &mut self.memory.nodes[id];
            (node.end, node.after) = (end as u32, after);
            Ok(end)
        } else {
            let scalar = self.scanner.scalar(at)?;
            let (end, after) = (scalar.end as u32, id as u32 + 1);
            self.memory.nodes.push(Node { start, end, place, after, slots: NO_SLOTS, holder, escaped: scalar.escaped });
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
        if self.scanner.byte(at) == b'}' {
            return Ok(at + 1);
        }
        let slots = self.memory.slots.len();
        for _ in 0..(state.n_slots as usize).div_ceil(SLOTS) {
            self.memory.slots.extend_from_slice(&[0; SLOTS]);
        }
        // As many slots fit the memory of an instance, under 4 GiB, as this can count.
        self.memory.nodes[id].slots = slots as u32;
        loop {
            let start = at;
            let (name, value) = self.scanner.name(start)?;
            let edge = if name.escaped {
                state.edge_of(&unescape(quoted(self.text, start)))
            } else {
                state.edge(self.scanner.bytes(), start + 1, name.end - 1)
            };
            let next = if let Some(edge) = edge {
                let slot = &mut self.memory.slots[slots + edge.slot as usize];
                // Where every name is followed, those that stand twice are looked for in the end.
                if *slot != 0 && state.other_member.is_none() {
                    return Err(self.scanner.refuse(Fault::DuplicateKey, start));
                }
                *slot = self.memory.nodes.len() as u32;
                Some(edge.next)
            } else {
                state.other_member
            };
            at = match next {
                Some(next) => self.value(value, next, Holder::Object, start, depth)?,
                None => self.scanner.skip(value, depth)?,
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
                Some(next) => self.value(at, next, Holder::Array, index, depth)?,
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
