//! Reading one YAML node as something definite, with the error that says what was expected instead.

use crate::findings::{Findings, alternatives, nearest};
use crate::syntax::Scalar;
use crate::yaml::{At, Mark, Node, Yaml};

/// An object with known keys. It learns them as it is asked for them, so no list of keys is kept twice.
pub(super) struct Object<'n> {
    what: &'static str,
    mark: Mark,
    entries: &'n [(At<String>, Node)],
    known: Vec<&'static str>,
}

impl<'n> Object<'n> {
    pub(super) fn open(node: &'n Node, what: &'static str, findings: &mut Findings) -> Option<Self> {
        let Yaml::Object(entries) = &node.value else {
            findings.error(node.mark, format!("found {}, expected {what}: an object", node.value), None);
            return None;
        };
        Some(Self { what, mark: node.mark, entries, known: Vec::new() })
    }

    pub(super) fn mark(&self) -> Mark {
        self.mark
    }

    /// The value of an optional key.
    pub(super) fn take(&mut self, key: &'static str) -> Option<&'n Node> {
        self.known.push(key);
        self.entries.iter().find(|(name, _)| name.value == key).map(|(_, node)| node)
    }

    /// The value of a key that is known only beside `companion`.
    pub(super) fn take_with(&mut self, companion: &str, key: &'static str) -> Option<&'n Node> {
        self.entries.iter().any(|(name, _)| name.value == companion).then(|| self.take(key)).flatten()
    }

    /// The value of a key that must be there.
    pub(super) fn demand(&mut self, key: &'static str, findings: &mut Findings) -> Option<&'n Node> {
        let node = self.take(key);
        if node.is_none() {
            findings.error(self.mark, format!("found {} without `{key}`, expected one", self.what), None);
        }
        node
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn close(self, findings: &mut Findings) {
        for (name, _) in self.entries.iter().filter(|(name, _)| !self.known.contains(&name.value.as_str())) {
            let known = alternatives(self.known.iter().copied());
            let message = format!("found unknown key `{}` in {}, expected {known}", name.value, self.what);
            findings.error(name.mark, message, nearest(&name.value, self.known.iter().copied()));
        }
    }
}

/// The items of a list that can be read.
pub(super) fn list<T>(
    node: &Node,
    what: &str,
    findings: &mut Findings,
    read: impl Fn(&Node, &mut Findings) -> Option<T>,
) -> Vec<T> {
    let Yaml::List(items) = &node.value else {
        findings.error(node.mark, format!("found {}, expected a list of {what}", node.value), None);
        return Vec::new();
    };
    if items.is_empty() {
        findings.error(node.mark, format!("found an empty list, expected {what}"), None);
    }
    items.iter().filter_map(|item| read(item, findings)).collect()
}

/// Text; a number or a boolean there was most likely left without quotes.
pub(super) fn text(node: &Node, what: &str, findings: &mut Findings) -> Option<At<String>> {
    let hint = match &node.value {
        Yaml::Text(text) => return Some(At { value: text.clone(), mark: node.mark }),
        Yaml::Number(written) => Some(format!("quote it: \"{written}\"")),
        Yaml::Boolean(value) => Some(format!("quote it: \"{value}\"")),
        _ => None,
    };
    findings.error(node.mark, format!("found {}, expected {what}: text", node.value), hint);
    None
}

pub(super) fn integer(node: &Node, findings: &mut Findings) -> Option<i64> {
    if let Yaml::Number(digits) = &node.value
        && let Ok(number) = digits.parse()
    {
        return Some(number);
    }
    findings.error(node.mark, format!("found {}, expected a whole number", node.value), None);
    None
}

/// A scalar; its digits must be JSON's, because they travel as they are.
pub(super) fn scalar(node: &Node, findings: &mut Findings) -> Option<At<Scalar>> {
    let value = match &node.value {
        Yaml::Null => Scalar::Null,
        Yaml::Boolean(value) => Scalar::Boolean(*value),
        Yaml::Text(text) => Scalar::Text(text.clone()),
        Yaml::Number(digits) if serde_json::from_str::<serde_json::Number>(digits).is_ok() => {
            Scalar::Number(digits.clone())
        }
        Yaml::Number(digits) => {
            let message = format!("found the number {digits}, expected decimal digits as in JSON");
            findings.error(node.mark, message, Some(format!("quote it if it is text: \"{digits}\"")));
            return None;
        }
        other => {
            findings.error(node.mark, format!("found {other}, expected text, a number, true, false or null"), None);
            return None;
        }
    };
    Some(At { value, mark: node.mark })
}

/// The choice that `name` names.
pub(super) fn choose<T, const N: usize>(
    name: &At<String>,
    what: &str,
    choices: [(&str, T); N],
    findings: &mut Findings,
) -> Option<T> {
    let names = choices.each_ref().map(|(name, _)| *name);
    let found = choices.into_iter().find(|(known, _)| *known == name.value);
    if found.is_none() {
        let message = format!("found `{}` as {what}, expected {}", name.value, alternatives(names));
        findings.error(name.mark, message, nearest(&name.value, names));
    }
    found.map(|(_, choice)| choice)
}
