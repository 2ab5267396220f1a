//! A tenant as its folder states it.
//!
//! Owns what `<tenants folder>/<name>/tenant.yaml` means: names, paths, defaults, and that every file it names is
//! there. What is in a mapping or a contract is not its concern. A file is judged as a whole, so that a person
//! sees all findings at once, unless YAML itself fails; and one bad tenant never stops the others.

mod check;
mod document;
mod topics;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_saphyr::{Location, Spanned};

use self::check::Check;
use self::document::Document;
use super::plugin::{ConfigFile, PluginName};
use crate::conform::pii::Treatment;
use crate::entity::Diagnostic;
use crate::excerpt::{at, of_yaml, render};
use crate::sandbox::Limits;
use crate::source::files::{Files, Pattern, Reading, Shape};
use crate::source::kafka::{self, Kafka};
use crate::source::{BatchBounds, Source};

/// The file that makes a folder a tenant.
const FILE: &str = "tenant.yaml";

/// A tenant.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Its name, which is its folder's: `^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`.
    pub name: String,
    /// Its folder; every path in it is relative to this.
    pub folder: PathBuf,
    /// The contracts that it may fill: the canonical ones, then those of its own entities, in the order of their paths.
    pub contracts: Vec<ConfigFile>,
    /// The entities it may fill; none means all canonical ones and its own.
    pub entities: Option<Vec<Spanned<String>>>,
    /// Its sources, in the order of their names; at least one.
    pub sources: Vec<SourceSettings>,
    /// What its plugins may use.
    pub limits: Limits,
    /// What becomes of classified columns.
    pub pii: Pii,
    /// The text of `tenant.yaml`, for excerpts.
    pub text: String,
}

/// One source of a tenant.
#[derive(Clone, Debug)]
pub struct SourceSettings {
    /// Its name: `^[a-z0-9][a-z0-9_-]{0,61}$`.
    pub name: String,
    /// Where its records come from.
    pub input: Input,
    /// The version that the source declares for all its records.
    pub schema_version: Option<String>,
    /// What reads it.
    pub plugin: PluginName,
    /// The plugin's settings: one JSON object.
    pub settings: serde_json::Value,
    /// The files that the settings name, in the order of their paths.
    pub mappings: Vec<ConfigFile>,
    /// Where batches are cut.
    pub batch: BatchBounds,
}

/// Where the records of a source come from.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one for each source of a tenant")]
pub enum Input {
    /// Files.
    Files {
        /// What they hold.
        shape: Shape,
        /// The folder that they are below: the tenant's, unless other input was asked for.
        root: PathBuf,
        /// Which.
        files: Vec<Pattern>,
    },
    /// Topics.
    Kafka(kafka::Settings),
}

impl Input {
    /// How far an event time may lie behind the latest before its record is late, in microseconds, if at all.
    pub fn allowed_lateness(&self) -> Option<i64> {
        let Self::Kafka(settings) = self else { return None };
        let allowed = i64::try_from(settings.allowed_lateness.as_micros()).unwrap_or(i64::MAX);
        (allowed > 0).then_some(allowed)
    }
}

/// Treatments by classification, and the key of tokens.
#[derive(Clone, Debug, Default)]
pub struct Pii {
    /// What becomes of the values of each class that the tenant speaks of.
    pub treatments: BTreeMap<String, Treatment>,
    /// The file of the key, which holds it as it is, and its version.
    pub key: Option<(PathBuf, u32)>,
}

/// Why a tenant cannot be used.
#[derive(Clone, Debug)]
pub struct Diagnostics {
    /// The tenant, by its folder's name.
    pub tenant: String,
    /// All findings, in the order of their places; at least one.
    pub findings: Vec<Diagnostic>,
    text: String,
}

/// The findings with their lines, one below the other.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.findings.iter().enumerate() {
            let end = if index > 0 { "\n\n" } else { "" };
            write!(f, "{end}{}", render(finding, Some(&self.text)))?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// Every folder below `folder` that holds a `tenant.yaml`, in the order of their names.
///
/// Fails only where `folder` itself cannot be listed.
pub fn load_tenants(folder: &Path, canonical: &[ConfigFile]) -> io::Result<Vec<Result<Tenant, Diagnostics>>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.join(FILE).symlink_metadata().is_ok() {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders.iter().map(|folder| load_tenant(folder, canonical)).collect())
}

/// The tenant whose folder is `folder`; `canonical` are the contracts that all tenants share.
pub fn load_tenant(folder: &Path, canonical: &[ConfigFile]) -> Result<Tenant, Diagnostics> {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let file = format!("{name}/{FILE}");
    let mut text = String::new();
    let parsed = match fs::read_to_string(folder.join(FILE)) {
        Ok(content) => {
            text = content;
            let options = serde_saphyr::options! { no_schema: true, with_snippet: false };
            serde_saphyr::from_str_with_options::<Document>(&text, options)
                .map_err(|error| of_yaml(&file, &text, &error))
        }
        Err(error) => Err(at(&file, Location::UNKNOWN, format!("cannot be read: {error}"), None)),
    };
    let mut check = Check { file, folder, findings: vec![] };
    let tenant = match parsed {
        Ok(document) => check.tenant(&name, document, &text),
        Err(finding) => {
            check.findings.push(finding);
            None
        }
    };
    match tenant {
        Some(mut tenant) if check.findings.is_empty() => {
            tenant.contracts.splice(0..0, canonical.iter().cloned());
            Ok(tenant)
        }
        _ => {
            check.findings.sort_by_key(|finding| (finding.line, finding.column));
            Err(Diagnostics { tenant: name, findings: check.findings, text })
        }
    }
}

impl SourceSettings {
    /// Reads from `path`, a file or a folder of files, instead of the configured input; lines where that is topics.
    pub fn read_from(&mut self, path: &Path) -> io::Result<()> {
        let (root, pattern) = Pattern::exactly(path)?;
        let shape = match self.input {
            Input::Files { shape, .. } => shape,
            Input::Kafka(_) => Shape::Lines,
        };
        self.input = Input::Files { shape, root, files: vec![pattern] };
        Ok(())
    }

    /// The source at its beginning.
    pub fn open(&self, reading: Reading) -> Box<dyn Source> {
        let version = self.schema_version.clone();
        match &self.input {
            Input::Files { shape, root, files } => {
                Box::new(Files::new(&self.name, root.clone(), files.clone(), *shape, reading, version))
            }
            // As much as the next batch may hold is held while one is landed.
            Input::Kafka(settings) => {
                Box::new(Kafka::new(&self.name, settings.clone(), reading, version, self.batch.bytes_max))
            }
        }
    }
}

/// The JSON Schema of `tenant.yaml`.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Document).to_value()
}

#[cfg(test)]
mod tests;
