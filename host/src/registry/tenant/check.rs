//! What a tenant's document means, and what is wrong with it.
//!
//! Resolves names, paths and defaults, and gathers findings instead of stopping at the first.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_saphyr::{Location, Spanned};

use super::document::{Document, PiiDocument, SchemaVersionRule, Several, SourceDocument};
use super::{Input, Pii, SourceSettings, Tenant};
use crate::entity::Diagnostic;
use crate::excerpt::{alternatives, at, did_you_mean, nearest};
use crate::record::BATCH_BYTES_MAX;
use crate::registry::plugin::{ConfigFile, PluginName};
use crate::source::BatchBounds;
use crate::source::files::{Pattern, Shape};

/// Where a tenant's own entities are unless it says otherwise.
const CONTRACTS: &str = "contracts/*.odcs.yaml";

/// Records and payload bytes of a batch unless a source says otherwise: enough that a commit costs little beside
/// its records, and little enough that a batch with its rows stays far below a hundred megabytes.
const BATCH: BatchBounds = BatchBounds { records_max: 50_000, bytes_max: 32 << 20 };

/// Turns a document into a tenant and gathers what is wrong with it.
pub(super) struct Check {
    pub(super) file: String,
    pub(super) folder: PathBuf,
    pub(super) findings: Vec<Diagnostic>,
}

impl Check {
    /// Notes a finding; gives none, for the place of what could not be made.
    pub(super) fn refuse<T>(
        &mut self,
        location: Location,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Option<T> {
        self.findings.push(at(&self.file, location, message, hint));
        None
    }

    pub(super) fn tenant(&mut self, folder_name: &str, document: Document, text: &str) -> Option<Tenant> {
        let name = &document.tenant;
        if !is_tenant_name(&name.value) {
            let message = format!(
                "found the tenant name `{}`, expected 3 to 63 lower-case letters, digits and hyphens, with a letter or digit first and last",
                name.value
            );
            self.refuse::<()>(name.referenced, message, None);
        } else if name.value != folder_name {
            let message =
                format!("found the tenant name `{}`, expected `{folder_name}`, the name of its folder", name.value);
            self.refuse::<()>(name.referenced, message, Some("rename one of them".to_owned()));
        }
        let contracts = self.contracts(document.contracts.as_ref());
        if document.sources.value.is_empty() {
            self.refuse::<()>(document.sources.referenced, "found no source, expected at least one", None);
        }
        let tenant = document.tenant.value.clone();
        let (at_sources, documents) = (document.sources.referenced, document.sources.value);
        let sources: Vec<_> =
            documents.into_iter().filter_map(|(name, source)| self.source(&tenant, name, at_sources, source)).collect();
        let pii = self.pii(document.pii);
        Some(Tenant {
            name: document.tenant.value,
            folder: self.folder.clone(),
            contracts,
            entities: document.entities,
            sources,
            limits: document.limits,
            pii,
            text: text.to_owned(),
        })
    }

    fn contracts(&mut self, stated: Option<&Spanned<String>>) -> Vec<ConfigFile> {
        let (text, location) =
            stated.map_or((CONTRACTS, Location::UNKNOWN), |stated| (&stated.value, stated.referenced));
        let listed =
            Pattern::parse(text).map_err(|error| error.to_string()).and_then(|pattern| pattern.list(&self.folder));
        let paths = match listed {
            Ok(paths) if paths.is_empty() && stated.is_some() => {
                let message = format!("found no file at `{text}`, expected the contracts of the tenant's own entities");
                self.refuse::<()>(location, message, Some("leave `contracts` out if it has none".to_owned()));
                return vec![];
            }
            Ok(paths) => paths,
            Err(message) => {
                self.refuse::<()>(location, message, None);
                return vec![];
            }
        };
        paths.into_iter().filter_map(|path| self.config_file(&path, location)).collect()
    }

    fn source(
        &mut self,
        tenant: &str,
        name: String,
        at_sources: Location,
        source: Spanned<SourceDocument>,
    ) -> Option<SourceSettings> {
        let (location, mut document) = (source.referenced, source.value);
        let before = self.findings.len();
        if !is_source_name(&name) {
            let message = format!(
                "found the source name `{name}`, expected at most 62 lower-case letters, digits, hyphens and underscores"
            );
            self.refuse::<()>(at_sources, message, None);
        }
        let one = "`files`, `documents` or `kafka`";
        let input = match (document.files.take(), document.documents.take(), document.kafka.take()) {
            (Some(files), None, None) => Some(self.files(Shape::Lines, files)),
            (None, Some(documents), None) => Some(self.files(Shape::Documents, documents)),
            (None, None, Some(kafka)) => self.kafka(tenant, &name, kafka).map(Input::Kafka),
            (None, None, None) => {
                let message = format!("source `{name}` says nothing of its input, expected {one}");
                return self.refuse(location, message, Some("add `files: samples/*.ndjson`".to_owned()));
            }
            (_, documents, kafka) => {
                let message = format!("source `{name}` has several of {one}, expected one of them");
                let last = kafka.map(|kafka| kafka.referenced).or(documents.map(|documents| documents.referenced));
                return self.refuse(last.unwrap_or(location), message, None);
            }
        };
        let schema_version = match &document.schema_version {
            Some(Spanned { value: SchemaVersionRule::Declared(version), .. }) => Some(version.clone()),
            _ => None,
        };
        let batch = document.batch.take();
        let plugin = self.plugin(&name, location, document);
        let batch = BatchBounds {
            records_max: batch
                .as_ref()
                .and_then(|batch| batch.records)
                .map_or(BATCH.records_max, |records| records.get() as usize),
            bytes_max: batch.and_then(|batch| batch.bytes).map_or(Some(BATCH.bytes_max), |bytes| self.bytes(&bytes))?,
        };
        let (plugin, settings, mappings) = plugin?;
        let input = input?;
        (self.findings.len() == before).then_some(SourceSettings {
            name,
            input,
            schema_version,
            plugin,
            settings,
            mappings,
            batch,
        })
    }

    /// Files below the tenant's folder.
    fn files(&mut self, shape: Shape, stated: Spanned<Several>) -> Input {
        let mut files = Vec::new();
        for text in &stated.value.0 {
            match Pattern::parse(text) {
                Ok(pattern) => files.push(pattern),
                Err(error) => {
                    self.refuse::<()>(stated.referenced, error.to_string(), None);
                }
            }
        }
        if stated.value.0.is_empty() {
            self.refuse::<()>(stated.referenced, "found an empty list, expected at least one path", None);
        }
        Input::Files { shape, root: self.folder.clone(), files }
    }

    /// Which plugin reads the source, its settings, and the files that they name.
    fn plugin(
        &mut self,
        source: &str,
        location: Location,
        stated: SourceDocument,
    ) -> Option<(PluginName, serde_json::Value, Vec<ConfigFile>)> {
        let one = "`mapping`, `mappings` or `plugin`";
        let (rule, config) = (stated.schema_version, stated.config);
        if let (Some(config), None) = (&config, &stated.plugin) {
            self.refuse::<()>(
                config.referenced,
                "found `config` without `plugin`, expected the plugin that it is for",
                None,
            );
        }
        match (stated.mapping, stated.mappings, stated.plugin) {
            (Some(path), None, None) => {
                if let Some(rule) = rule {
                    let message =
                        "found `schema_version` beside `mapping`, expected `mappings` with a file for each version";
                    self.refuse::<()>(rule.referenced, message, None);
                }
                let file = self.config_file(&path.value, path.referenced)?;
                Some((PluginName::mapping(), serde_json::json!({ "mapping": file.path }), vec![file]))
            }
            (None, Some(mappings), None) => {
                if mappings.value.is_empty() {
                    let message = "found no file in `mappings`, expected one for each schema version";
                    self.refuse::<()>(mappings.referenced, message, None);
                }
                let stated_default =
                    rule.as_ref().and_then(|rule| rule.value.default().map(|default| (default, rule.referenced)));
                if let Some((default, place)) = stated_default
                    && !mappings.value.contains_key(default)
                {
                    let known = || mappings.value.keys().map(String::as_str);
                    let message = format!(
                        "found the default schema version `{default}`, expected one with a mapping: {}",
                        alternatives(known())
                    );
                    self.refuse::<()>(place, message, did_you_mean(default, known()));
                }
                let mut files = BTreeMap::new();
                let mut by_version = serde_json::Map::new();
                for (version, path) in mappings.value {
                    let Some(file) = self.config_file(&path.value, path.referenced) else { continue };
                    by_version.insert(version, file.path.clone().into());
                    files.insert(file.path.clone(), file);
                }
                let mut settings = serde_json::Map::new();
                if let Some(rule) = rule {
                    settings.insert("schema_version".to_owned(), rule.value.setting());
                }
                settings.insert("mappings".to_owned(), by_version.into());
                Some((PluginName::mapping(), settings.into(), files.into_values().collect()))
            }
            (None, None, Some(plugin)) => {
                if let Some(Spanned { value: SchemaVersionRule::Detected { .. }, referenced, .. }) = rule {
                    let message = "found a `schema_version` to detect beside `plugin`, which detects it itself, expected a version as text";
                    self.refuse::<()>(referenced, message, None);
                }
                let name = match PluginName::parse(&plugin.value) {
                    Ok(name) => name,
                    Err(message) => return self.refuse(plugin.referenced, message, None),
                };
                match config {
                    None => Some((name, serde_json::json!({}), vec![])),
                    Some(Spanned { value: value @ serde_json::Value::Object(_), .. }) => Some((name, value, vec![])),
                    Some(other) => self.refuse(
                        other.referenced,
                        "found a `config` that is no mapping of keys, expected keys and values",
                        None,
                    ),
                }
            }
            (None, None, None) => {
                let message = format!("source `{source}` says nothing of what reads it, expected {one}");
                self.refuse(location, message, Some("add `mapping: mappings/<file>.yaml`".to_owned()))
            }
            _ => self.refuse(location, format!("source `{source}` has several of {one}, expected one of them"), None),
        }
    }

    fn pii(&mut self, stated: Option<PiiDocument>) -> Pii {
        let Some(stated) = stated else { return Pii::default() };
        let key = stated.key.and_then(|key| {
            let place = key.file.referenced;
            let path = self.path(&key.file.value, place)?;
            match path.is_file() {
                true => Some((path, key.version)),
                false => {
                    self.refuse(place, format!("found no file `{}`, expected the key of tokens", key.file.value), None)
                }
            }
        });
        Pii { treatments: stated.treatments, key }
    }

    /// The path of `text` below the tenant's folder.
    pub(super) fn path(&mut self, text: &str, location: Location) -> Option<PathBuf> {
        match Pattern::parse(text) {
            Ok(pattern) if pattern.literal().is_some() => {}
            Ok(_) => {
                return self.refuse(location, format!("found the glob `{text}`, expected the path of one file"), None);
            }
            Err(error) => return self.refuse(location, error.to_string(), None),
        }
        let path = self.folder.join(text);
        match path.canonicalize() {
            Ok(target) if !target.starts_with(&self.folder) => {
                let message = format!("`{text}` is a link out of the tenant's folder, expected a file in it");
                self.refuse(location, message, None)
            }
            _ => Some(path),
        }
    }

    fn config_file(&mut self, text: &str, location: Location) -> Option<ConfigFile> {
        let path = self.path(text, location)?;
        match fs::read_to_string(&path) {
            Ok(content) => Some(ConfigFile { path: text.to_owned(), text: content }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let hint = self.neighbour(&path).map(|name| format!("did you mean `{name}`?"));
                self.refuse(location, format!("found no file `{text}` in the tenant's folder"), hint)
            }
            Err(error) => self.refuse(location, format!("file `{text}` cannot be read: {error}"), None),
        }
    }

    /// The file beside `path` whose name is nearest.
    fn neighbour(&self, path: &Path) -> Option<String> {
        let wanted = path.file_name()?.to_str()?;
        let names: Vec<String> =
            fs::read_dir(path.parent()?).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        let near = nearest(wanted, names.iter().map(String::as_str))?;
        let below = path.with_file_name(near);
        below.strip_prefix(&self.folder).ok()?.to_str().map(str::to_owned)
    }

    fn bytes(&mut self, stated: &Spanned<String>) -> Option<usize> {
        let text = stated.value.as_str();
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit = match text[digits.len()..].trim() {
            "" | "B" => Some(1),
            "KiB" => Some(1 << 10),
            "MiB" => Some(1 << 20),
            "GiB" => Some(1 << 30),
            _ => None,
        };
        match digits.parse::<usize>().ok().zip(unit).and_then(|(number, unit)| number.checked_mul(unit)) {
            Some(bytes @ 1..=BATCH_BYTES_MAX) => Some(bytes),
            _ => self.refuse(
                stated.referenced,
                format!("found `{text}` bytes for a batch, expected 1 B to 1 GiB, such as `32MiB`"),
                None,
            ),
        }
    }
}

pub(super) fn is_tenant_name(name: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = name.as_bytes();
    (3..=63).contains(&bytes.len())
        && bytes.iter().all(|c| inner(*c) || *c == b'-')
        && bytes.first().is_some_and(|c| inner(*c))
        && bytes.last().is_some_and(|c| inner(*c))
}

fn is_source_name(name: &str) -> bool {
    let first = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = name.as_bytes();
    bytes.len() <= 62
        && bytes.first().is_some_and(|c| first(*c))
        && bytes.iter().all(|c| first(*c) || matches!(c, b'-' | b'_'))
}
