//! The no-code component: a tenant's mapping files, run as a plugin.
//!
//! ```text
//! settings ─► settings ─► for each file: yaml ─► parse ─► compile ─► prepared      (describe, once)
//!                                                    prepared ─► evaluate ─► rows  (configure and transform)
//! ```
//!
//! The language is documented by the types of [`syntax`], from which [`schema`] derives what editors complete.
//! `describe` finds every error it can before a record is seen; `transform` only follows indexes.

mod compile;
mod evaluate;
mod findings;
mod parse;
mod paths;
mod prepared;
mod settings;
mod syntax;
mod usual;
mod yaml;

use silversmith_sdk::columns::AnswerBuilder;
use silversmith_sdk::extract::{Base, Plan};
use silversmith_sdk::path::Path;
use silversmith_sdk::plugin::{Batch, Configuration, Descriptor, Diagnostic, Plugin, Property};

pub use syntax::schema;

use compile::Compiler;
use findings::{Findings, alternatives, nearest};
use prepared::{Detection, Prepared, Versions};
use settings::Settings;
use yaml::Mark;

/// The plugin: mapping files, prepared.
#[derive(Debug)]
pub struct Mappings {
    prepared: Prepared,
}

silversmith_sdk::export!(Mappings);

impl Plugin for Mappings {
    fn describe(configuration: &Configuration) -> Result<Descriptor, Vec<Diagnostic>> {
        let mut compiler = Compiler::new(&configuration.entities);
        let prepared = describe(configuration, &mut compiler);
        let Compiler { findings, outputs, paths, properties, .. } = compiler;
        let warnings = findings.finish()?;
        let prepared = prepared.expect("what cannot be prepared is an error among the findings");
        Ok(Descriptor {
            name: "mapping".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            outputs,
            properties,
            paths,
            prepared: postcard::to_allocvec(&prepared).expect("a prepared mapping holds nothing that postcard refuses"),
            warnings,
        })
    }

    fn configure(prepared: &[u8]) -> Result<Self, String> {
        let prepared = postcard::from_bytes(prepared).map_err(|error| {
            format!("found prepared bytes that are not of this version of the mapping plugin: {error}")
        })?;
        Ok(Self { prepared })
    }

    fn transform(&mut self, batch: &Batch<'_>, answer: &mut AnswerBuilder) -> Result<(), String> {
        evaluate::transform(&self.prepared, batch, answer);
        Ok(())
    }
}

/// Compiles a configuration. None where the settings cannot be read; with errors, what it gives is worth nothing.
fn describe(configuration: &Configuration, compiler: &mut Compiler<'_>) -> Option<Prepared> {
    let settings = settings::read(&configuration.settings, &mut compiler.findings)?;
    let (detection, default, files) = match settings {
        Settings::Single(file) => {
            let mapping = file_mapping(configuration, &file, None, None, compiler)?;
            return Some(Prepared {
                versions: Versions::Single,
                mappings: vec![mapping],
                paths: compiler.paths.clone(),
            });
        }
        Settings::Each { detection, default, files } => (detection, default, files),
    };
    let detection = detection.and_then(|text| detection_path(text, &mut compiler.findings));
    // Two versions may share a file.
    let mut distinct: Vec<&str> = Vec::new();
    let (mut mappings, mut known) = (Vec::new(), Vec::new());
    for (version, file) in &files {
        let index = distinct.iter().position(|name| name == file).unwrap_or_else(|| {
            let path = detection.as_ref().map(|(path, _)| path);
            mappings.extend(file_mapping(configuration, file, Some(version), path, compiler));
            distinct.push(file);
            distinct.len() - 1
        });
        known.push((version.clone(), index as u32));
    }
    let default = default.and_then(|default| known.iter().find(|(name, _)| *name == default).map(|(_, index)| *index));
    let declared = compiler.property(Property::SchemaVersion);
    let detection = detection.map(|(_, detection)| detection);
    let versions = Versions::Each { declared, known, default, detection };
    Some(Prepared { versions, mappings, paths: compiler.paths.clone() })
}

/// The path of the schema version, and a plan that follows it alone.
fn detection_path(text: String, findings: &mut Findings) -> Option<(Path, Detection)> {
    match Path::parse(&text) {
        Ok(path) => {
            let mut plan = Plan::builder();
            let record = plan.record();
            let select = plan.select(record, Base::Record, path.clone());
            Some((path, Detection { plan: plan.build(), select, path: text }))
        }
        Err(error) => {
            let message = format!(
                "found `{text}` as `schema_version.path`, expected a JSONPath: at offset {}, {error}",
                error.offset
            );
            findings.error(Mark::default(), message, None);
            None
        }
    }
}

/// One mapping file, read, checked and compiled.
fn file_mapping(
    configuration: &Configuration,
    path: &str,
    version: Option<&str>,
    detection: Option<&Path>,
    compiler: &mut Compiler<'_>,
) -> Option<prepared::Mapping> {
    let findings = &mut compiler.findings;
    let Some(file) = configuration.files.iter().find(|file| file.path == path) else {
        let names = || configuration.files.iter().map(|file| file.path.as_str());
        let message = format!("found no file `{path}`, expected {}", alternatives(names()));
        findings.error(Mark::default(), message, nearest(path, names()));
        return None;
    };
    findings.enter(path);
    let parsed = parse::mapping(&file.text, findings);
    if let Some(mapping) = &parsed {
        if let Some(source) = mapping.source.as_ref().filter(|source| source.value != configuration.source) {
            let message = format!("found a mapping for source `{}`, expected `{}`", source.value, configuration.source);
            findings.error(source.mark, message, None);
        }
        if let (Some(stated), Some(version)) = (&mapping.schema_version, version)
            && stated.value != version
        {
            let message = format!(
                "found schema version `{}`, expected `{version}`, for which the source names this file",
                stated.value
            );
            findings.error(stated.mark, message, None);
        }
    }
    let mapping = parsed.map(|mapping| compiler.mapping(&mapping, detection));
    compiler.findings.enter("");
    mapping
}
