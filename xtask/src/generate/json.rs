//! Writes JSON objects member by member, in the order in which a schema lists them.
//!
//! Owns syntax alone. A tree of values would sort the members, and real producers do not.

use std::fmt::Display;

/// An object being written.
pub(crate) struct Object<'o> {
    out: &'o mut Vec<u8>,
    empty: bool,
}

/// Writes one object onto `out`.
pub(crate) fn object(out: &mut Vec<u8>, members: impl FnOnce(&mut Object<'_>)) {
    out.push(b'{');
    members(&mut Object { out, empty: true });
    out.push(b'}');
}

impl Object<'_> {
    /// A member whose value is text.
    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        quote(self.out, value);
    }

    /// A member whose value prints as JSON already: a number, `true`, `null`.
    pub(crate) fn plain(&mut self, name: &str, value: impl Display) {
        self.name(name);
        self.out.extend_from_slice(value.to_string().as_bytes());
    }

    /// A member whose value is an object.
    pub(crate) fn object(&mut self, name: &str, members: impl FnOnce(&mut Object<'_>)) {
        self.name(name);
        object(self.out, members);
    }

    /// A member whose value is a list of objects, one for each item.
    pub(crate) fn list<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        each: impl Fn(T, &mut Object<'_>),
    ) {
        self.name(name);
        self.out.push(b'[');
        for (i, item) in items.into_iter().enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            object(self.out, |members| each(item, members));
        }
        self.out.push(b']');
    }

    /// How many bytes the document has so far: the difference of two calls is the size of what lies between.
    pub(crate) fn written(&self) -> usize {
        self.out.len()
    }

    fn name(&mut self, name: &str) {
        if !std::mem::replace(&mut self.empty, false) {
            self.out.push(b',');
        }
        quote(self.out, name);
        self.out.push(b':');
    }
}

fn quote(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("text always has a JSON form, and memory takes it");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_order() {
        let mut out = Vec::new();
        object(&mut out, |o| {
            o.text("b", "x\"\n");
            o.plain("a", 1);
            o.list("l", [1, 2], |n, o| o.plain("n", n));
            o.object("e", |_| {});
        });
        assert_eq!(String::from_utf8_lossy(&out), r#"{"b":"x\"\n","a":1,"l":[{"n":1},{"n":2}],"e":{}}"#);
    }
}
