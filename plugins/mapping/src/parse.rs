//! YAML nodes to the types of the language.
//!
//! Owns which keys exist and what kind of YAML each takes; knows no contracts. What cannot be read is reported and
//! left out or replaced by null, so that everything else is still checked: nothing is compiled once there is an
//! error.

mod reader;
mod steps;

use crate::findings::{Findings, alternatives};
use crate::syntax::{
    Block, Branch, ConditionText, FullValue, Index, Join, Mapping, Named, NamedReference, OneOrMany, PathText,
    Property, Reach, Reference, Scalar, Skip, Source, Toggle, Value,
};
use crate::yaml::{At, Mark, Node, Yaml, read};
use reader::{Object, list, scalar, text};

/// The keys of which a value has exactly one.
const SOURCES: [&str; 9] = ["path", "first", "join", "case", "const", "index", "key", "count", "record"];

/// The properties of a record that have no argument.
const PROPERTIES: [(&str, Property); 7] = [
    ("checksum", Property::Checksum),
    ("position", Property::Position),
    ("key", Property::Key),
    ("topic", Property::Topic),
    ("file", Property::File),
    ("event_time", Property::EventTime),
    ("schema_version", Property::SchemaVersion),
];

/// Reads a mapping file.
pub(crate) fn mapping(file: &str, findings: &mut Findings) -> Option<Mapping> {
    let node = read(file, findings)?;
    let mut object = Object::open(&node, "a mapping", findings)?;
    if let Some(version) = object.demand("mapping", findings)
        && !matches!(&version.value, Yaml::Number(digits) if digits == "1")
    {
        findings.error(version.mark, format!("found `mapping` {}, expected 1", version.value), None);
    }
    let mapping = Mapping {
        mapping: 1,
        source: object.take("source").and_then(|node| text(node, "the name of a source", findings)),
        schema_version: object.take("schema_version").and_then(|node| version(node, findings)),
        skip: object.take("skip").map(|node| list(node, "rules", findings, skip)),
        tombstone: object.take("tombstone").map(|node| list(node, "blocks", findings, block)),
        entities: object
            .demand("entities", findings)
            .map(|node| list(node, "blocks", findings, block))
            .unwrap_or_default(),
    };
    object.close(findings);
    Some(mapping)
}

/// A schema version: text, because `2.10` as a number is `2.1`.
fn version(node: &Node, findings: &mut Findings) -> Option<At<String>> {
    if let Yaml::Number(digits) = &node.value {
        let message = format!("found the number {digits} as schema version, expected text");
        findings.error(node.mark, message, Some(format!("quote it: \"{digits}\"")));
        return None;
    }
    text(node, "a schema version", findings)
}

fn skip(node: &Node, findings: &mut Findings) -> Option<Skip> {
    let mut object = Object::open(node, "a skip rule", findings)?;
    let when = object.demand("when", findings).and_then(|node| condition(node, findings));
    let reason = object.demand("reason", findings).and_then(|node| text(node, "a reason", findings));
    object.close(findings);
    Some(Skip { when: when?, reason: reason? })
}

fn block(node: &Node, findings: &mut Findings) -> Option<Block> {
    let mut object = Object::open(node, "a block", findings)?;
    let entity = object.demand("entity", findings).and_then(|node| text(node, "the name of an entity", findings));
    let each = object.take("each").map(|node| one_or_many(node, "paths", findings, path));
    let when = object.take("when").and_then(|node| condition(node, findings));
    let partial = object.take("partial").and_then(|node| toggle(node, findings));
    let stub = object.take("stub").and_then(|node| toggle(node, findings));
    let delete = object.take("delete").and_then(|node| toggle(node, findings));
    let on_error = object.take("on_error").and_then(|node| reach(node, findings));
    let fields = object.take("fields").map(|node| named(node, "fields", findings, value));
    let references = object.take("references").map(|node| named(node, "references", findings, reference));
    let entities = object.take("entities").map(|node| list(node, "blocks", findings, block));
    object.close(findings);
    Some(Block { entity: entity?, each, when, partial, stub, delete, on_error, fields, references, entities })
}

fn reach(node: &Node, findings: &mut Findings) -> Option<Reach> {
    match &node.value {
        Yaml::Text(text) if text == "record" => Some(Reach::Record),
        Yaml::Text(text) if text == "row" => Some(Reach::Row),
        other => {
            findings.error(node.mark, format!("found {other} as `on_error`, expected `record` or `row`"), None);
            None
        }
    }
}

fn toggle(node: &Node, findings: &mut Findings) -> Option<At<Toggle>> {
    let toggle = match &node.value {
        Yaml::Boolean(value) => Toggle::Always(*value),
        Yaml::Text(text) => Toggle::When(ConditionText(text.clone())),
        other => {
            findings.error(node.mark, format!("found {other}, expected true, false or a condition"), None);
            return None;
        }
    };
    Some(At { value: toggle, mark: node.mark })
}

fn condition(node: &Node, findings: &mut Findings) -> Option<At<ConditionText>> {
    Some(text(node, "a condition", findings)?.map(|text| ConditionText(text.clone())))
}

/// A path, by how it begins; its grammar is looked at when it is compiled.
fn path(node: &Node, findings: &mut Findings) -> Option<At<PathText>> {
    let text = text(node, "a path", findings)?;
    if !text.value.starts_with(['$', '.', '^']) {
        let message = format!("found `{}` as a path, expected one that starts with `$`, `.` or `^`", text.value);
        let hint = match text.value.strip_prefix('@') {
            Some(rest) => format!("write `{}` for the node", if rest.is_empty() { "." } else { rest }),
            None => format!("write `.{0}` for a member of the node, `{{ const: {0} }}` for a fixed text", text.value),
        };
        findings.error(node.mark, message, Some(hint));
        return None;
    }
    Some(text.map(|text| PathText(text.clone())))
}

fn reference(node: &Node, findings: &mut Findings) -> Option<Reference> {
    let mut object = Object::open(node, "a reference", findings)?;
    // A target whose key columns are called `entity` and `key` has values there, which are no objects of values.
    if let (Some(entity), Some(key)) = (object.take("entity"), object.take("key"))
        && let (Yaml::Text(_), Yaml::Object(_)) = (&entity.value, &key.value)
    {
        object.close(findings);
        let entity = text(entity, "the name of an entity", findings)?;
        return Some(Reference::Named(NamedReference { entity, key: named(key, "key columns", findings, value) }));
    }
    Some(Reference::Plain(named(node, "key columns", findings, value)))
}

/// A value; one that cannot be read is null, so that its column counts as filled.
fn value(node: &Node, findings: &mut Findings) -> Option<Value> {
    if let Yaml::Text(_) = &node.value {
        return Some(path(node, findings).map_or_else(|| null(node.mark), Value::Path));
    }
    let known = findings.errors();
    let value = Object::open(node, "a value", findings).and_then(|object| full_value(object, findings));
    Some(match value {
        Some(value) if findings.errors() == known => Value::Full(Box::new(value)),
        _ => null(node.mark),
    })
}

fn null(mark: Mark) -> Value {
    let source = Source::Const(At { value: Scalar::Null, mark });
    Value::Full(Box::new(FullValue { source, normalize: None, default: None }))
}

fn full_value(mut object: Object<'_>, findings: &mut Findings) -> Option<FullValue> {
    let given: Vec<_> = SOURCES.into_iter().filter_map(|name| Some((name, object.take(name)?))).collect();
    let normalize = object.take("normalize").map(|node| list(node, "steps", findings, steps::step));
    let default = object.take("default").and_then(|node| scalar(node, findings));
    let (separator, start) = (object.take_with("join", "separator"), object.take_with("index", "start"));
    let mark = object.mark();
    object.close(findings);
    let [(name, node)] = given[..] else {
        let names = alternatives(SOURCES);
        let message = match &given[..] {
            [] => format!("found a value without a source, expected exactly one of {names}"),
            _ => {
                let found: Vec<_> = given.iter().map(|(name, _)| format!("`{name}`")).collect();
                format!("found a value with {} sources ({}), expected exactly one", given.len(), found.join(", "))
            }
        };
        let several =
            (!given.is_empty()).then(|| "`first` takes the first of several paths that has a value".to_owned());
        findings.error(mark, message, several);
        return None;
    };
    let source = match name {
        "path" => Source::Path(path(node, findings)?),
        "first" => Source::First(list(node, "paths", findings, path)),
        "join" => {
            let separator = separator.and_then(|node| text(node, "a separator", findings));
            Source::Join(Join {
                join: list(node, "paths", findings, path),
                separator: separator.map(|text| text.value),
            })
        }
        "case" => Source::Case(list(node, "branches", findings, branch)),
        "const" => Source::Const(scalar(node, findings)?),
        "index" => {
            let start = start.and_then(|node| reader::integer(node, findings));
            Source::Index(Index { index: path(node, findings)?, start })
        }
        "key" => Source::Key(path(node, findings)?),
        "count" => Source::Count(path(node, findings)?),
        _ => Source::Record(property(node, findings)?),
    };
    Some(FullValue { source, normalize, default })
}

fn branch(node: &Node, findings: &mut Findings) -> Option<Branch> {
    let mut object = Object::open(node, "a branch of `case`", findings)?;
    let when = object.demand("when", findings).and_then(|node| condition(node, findings));
    let then = object.demand("then", findings).and_then(|node| value(node, findings));
    object.close(findings);
    Some(Branch { when: when?, then: then? })
}

fn property(node: &Node, findings: &mut Findings) -> Option<Property> {
    if let Yaml::Object(_) = &node.value {
        let mut object = Object::open(node, "a property of the record", findings)?;
        let header = object.demand("header", findings).and_then(|node| text(node, "the name of a header", findings));
        object.close(findings);
        return Some(Property::Header(header?.value));
    }
    let name = text(node, "a property of the record", findings)?;
    reader::choose(&name, "a property of the record", PROPERTIES, findings)
}

/// An object whose keys the author chooses.
fn named<T>(
    node: &Node,
    what: &str,
    findings: &mut Findings,
    read: impl Fn(&Node, &mut Findings) -> Option<T>,
) -> Named<T> {
    let Yaml::Object(entries) = &node.value else {
        findings.error(node.mark, format!("found {}, expected an object of {what}", node.value), None);
        return Named(Vec::new());
    };
    Named(entries.iter().filter_map(|(name, node)| Some((name.clone(), read(node, findings)?))).collect())
}

/// One item, or a list of them.
fn one_or_many<T>(
    node: &Node,
    what: &str,
    findings: &mut Findings,
    read: impl Fn(&Node, &mut Findings) -> Option<T>,
) -> OneOrMany<T> {
    match &node.value {
        Yaml::List(_) => OneOrMany::Many(list(node, what, findings, read)),
        _ => read(node, findings).map_or_else(|| OneOrMany::Many(Vec::new()), OneOrMany::One),
    }
}
