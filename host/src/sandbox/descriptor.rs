//! What a plugin says of itself, checked.
//!
//! Looks at the descriptor alone: whether its names are there, unique and of a sane length. Whether it fits the
//! contracts of the tenant's entities is `conform`'s to say.

use std::collections::HashSet;

use super::bindings::types;
use super::limits::TEXT_BYTES_MAX;
use super::text::clean;
use crate::entity::{DataType, Descriptor, Diagnostic, Field, OnError, Output, Property, Reference};

/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 255;
/// Outputs of a plugin, at most.
const OUTPUTS_MAX: usize = 1_000;
/// Columns of an output, the key columns of its references included, at most.
const COLUMNS_MAX: usize = 2_000;
/// Properties that a plugin may ask for.
const PROPERTIES_MAX: usize = 64;
/// Paths that a plugin may count.
const PATHS_MAX: usize = 100_000;
/// Findings that are kept.
const FINDINGS_MAX: usize = 1_000;

/// Checks a descriptor; an error is the rule that it breaks.
pub(super) fn check(descriptor: types::Descriptor) -> Result<Descriptor, String> {
    named("name", &descriptor.name)?;
    named("version", &descriptor.version)?;
    most("outputs", descriptor.outputs.len(), OUTPUTS_MAX)?;
    most("properties", descriptor.properties.len(), PROPERTIES_MAX)?;
    most("paths", descriptor.paths.len(), PATHS_MAX)?;
    for path in &descriptor.paths {
        short("a path", path, TEXT_BYTES_MAX)?;
    }
    Ok(Descriptor {
        name: descriptor.name,
        version: descriptor.version,
        outputs: descriptor.outputs.into_iter().enumerate().map(output).collect::<Result<_, _>>()?,
        properties: descriptor.properties.into_iter().map(property).collect::<Result<_, _>>()?,
        paths: descriptor.paths,
        prepared: descriptor.prepared,
        warnings: diagnostics(descriptor.warnings),
    })
}

/// Findings, cut to what can be read.
pub(super) fn diagnostics(findings: Vec<types::Diagnostic>) -> Vec<Diagnostic> {
    let plain = |finding: types::Diagnostic| Diagnostic {
        file: clean(&finding.file),
        line: finding.line,
        column: finding.column,
        message: clean(&finding.message),
        hint: finding.hint.as_deref().map(clean),
    };
    findings.into_iter().take(FINDINGS_MAX).map(plain).collect()
}

fn output((index, output): (usize, types::Output)) -> Result<Output, String> {
    let place = |rule: String| format!("output {index}: {rule}");
    named("entity", &output.entity).map_err(place)?;
    let columns = output.fields.len() + output.references.iter().map(|reference| reference.key.len()).sum::<usize>();
    most("columns", columns, COLUMNS_MAX).map_err(place)?;
    let fields = fields(output.fields).map_err(place)?;
    if fields.is_empty() {
        return Err(place("found no field, expected the business key at least".to_owned()));
    }
    let references = output.references.into_iter().map(reference).collect::<Result<Vec<_>, _>>().map_err(place)?;
    unique("reference", references.iter().map(|reference| &*reference.name)).map_err(place)?;
    Ok(Output {
        entity: output.entity,
        on_error: match output.on_error {
            types::OnError::Record => OnError::Record,
            types::OnError::Row => OnError::Row,
        },
        fields,
        references,
    })
}

fn reference(reference: types::Reference) -> Result<Reference, String> {
    named("reference", &reference.name)?;
    named("target", &reference.entity)?;
    let key = fields(reference.key).map_err(|rule| format!("reference `{}`: {rule}", reference.name))?;
    if key.is_empty() {
        return Err(format!("reference `{}`: found no key column, expected the target's", reference.name));
    }
    Ok(Reference { name: reference.name, entity: reference.entity, key })
}

fn fields(fields: Vec<types::Field>) -> Result<Vec<Field>, String> {
    let fields: Vec<Field> = fields.into_iter().map(field).collect::<Result<_, _>>()?;
    unique("field", fields.iter().map(|field| &*field.name))?;
    Ok(fields)
}

fn field(field: types::Field) -> Result<Field, String> {
    named("field", &field.name)?;
    if let Some(source) = &field.source {
        short("a source", source, TEXT_BYTES_MAX)?;
    }
    let data_type = DataType::from(field.data_type);
    if let DataType::Decimal { precision, scale } = data_type
        && !((1..=38).contains(&precision) && scale <= precision)
    {
        return Err(format!(
            "field `{}`: found {data_type}, expected 1 to 38 digits, the scale among them",
            field.name
        ));
    }
    Ok(Field { name: field.name, data_type, source: field.source })
}

fn property(property: types::Property) -> Result<Property, String> {
    Ok(match property {
        types::Property::Key => Property::Key,
        types::Property::Checksum => Property::Checksum,
        types::Property::Position => Property::Position,
        types::Property::Topic => Property::Topic,
        types::Property::File => Property::File,
        types::Property::EventTime => Property::EventTime,
        types::Property::SchemaVersion => Property::SchemaVersion,
        types::Property::Header(name) => {
            short("a header", &name, NAME_BYTES_MAX)?;
            Property::Header(name)
        }
    })
}

fn named(what: &str, name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err(format!("found an empty {what}, expected a name"));
    }
    if clean(name) != name {
        return Err(format!("found {what} `{}`, expected a name without control characters", clean(name)));
    }
    short(what, name, NAME_BYTES_MAX)
}

fn short(what: &str, text: &str, bytes: usize) -> Result<(), String> {
    most(&format!("bytes in {what}"), text.len(), bytes)
}

fn most(what: &str, found: usize, expected: usize) -> Result<(), String> {
    if found <= expected { Ok(()) } else { Err(format!("found {found} {what}, expected at most {expected}")) }
}

fn unique<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(format!("found {what} `{name}` twice, expected each once"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str) -> types::Field {
        types::Field { name: name.to_owned(), data_type: types::DataType::Text, source: None }
    }

    fn descriptor() -> types::Descriptor {
        types::Descriptor {
            name: "orders".to_owned(),
            version: "1".to_owned(),
            outputs: vec![types::Output {
                entity: "order".to_owned(),
                on_error: types::OnError::Record,
                fields: vec![field("external_id")],
                references: vec![types::Reference {
                    name: "customer".to_owned(),
                    entity: "customer".to_owned(),
                    key: vec![field("external_id")],
                }],
            }],
            properties: vec![types::Property::Header("v".to_owned())],
            paths: vec!["$.id".to_owned()],
            prepared: vec![1, 2],
            warnings: vec![],
        }
    }

    #[track_caller]
    fn refused(change: impl FnOnce(&mut types::Descriptor), expected: &str) {
        let mut changed = descriptor();
        change(&mut changed);
        let message = check(changed).unwrap_err();
        assert!(message.contains(expected), "{message}");
    }

    #[test]
    fn a_plain_descriptor_passes() {
        let checked = check(descriptor()).unwrap();
        assert_eq!((checked.outputs[0].references[0].key.len(), checked.prepared), (1, vec![1, 2]));
    }

    #[test]
    fn a_breach_names_its_rule() {
        refused(|d| d.name.clear(), "empty name");
        refused(|d| d.version = "\u{1b}[2J".to_owned(), "control characters");
        refused(|d| d.outputs[0].entity = "e".repeat(300), "found 300 bytes in entity");
        refused(|d| d.outputs[0].fields.clear(), "output 0: found no field");
        refused(|d| d.outputs[0].fields.push(field("external_id")), "field `external_id` twice");
        refused(|d| d.outputs[0].references[0].key.clear(), "found no key column");
        refused(
            |d| {
                let again = d.outputs[0].references[0].clone();
                d.outputs[0].references.push(again);
            },
            "reference `customer` twice",
        );
        refused(|d| d.outputs = vec![d.outputs[0].clone(); 1_001], "found 1001 outputs");
        refused(|d| d.properties = vec![types::Property::Key; 65], "found 65 properties");
        refused(|d| d.paths = vec!["$".repeat(2_000)], "found 2000 bytes in a path");
        for (precision, scale) in [(0, 0), (39, 2), (5, 6)] {
            let decimal = types::DataType::Decimal(types::DecimalType { precision, scale });
            refused(|d| d.outputs[0].fields[0].data_type = decimal, "expected 1 to 38 digits");
        }
    }
}
