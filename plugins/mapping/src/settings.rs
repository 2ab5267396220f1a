//! The settings of the mapping component: which file reads which schema version.
//!
//! Owns the JSON that the host makes of a tenant's source: `{"mapping": path}` for one file, or
//! `{"schema_version": …, "mappings": {version: path}}`. The findings here lie in no file, so they name keys.

use serde_json::Value;

use crate::findings::{Findings, alternatives, nearest};
use crate::yaml::Mark;

/// Which file reads which schema version.
#[derive(Debug)]
pub(crate) enum Settings {
    /// One file for every record.
    Single(String),
    /// A file for each version, and how a record says which is its own.
    Each {
        /// Where a record states its version, in RFC 9535.
        detection: Option<String>,
        /// The version of a record that states none.
        default: Option<String>,
        /// Versions and files, in the order of the settings.
        files: Vec<(String, String)>,
    },
}

/// Reads the settings.
pub(crate) fn read(text: &str, findings: &mut Findings) -> Option<Settings> {
    let error = |findings: &mut Findings, message: String, hint| findings.error(Mark::default(), message, hint);
    let value = serde_json::from_str(text);
    let Ok(Value::Object(settings)) = value else {
        error(findings, "found settings that are no JSON object, expected `mapping` or `mappings`".to_owned(), None);
        return None;
    };
    const KEYS: [&str; 3] = ["mapping", "mappings", "schema_version"];
    for key in settings.keys().filter(|key| !KEYS.contains(&key.as_str())) {
        let message = format!("found unknown key `{key}` in the settings, expected {}", alternatives(KEYS));
        error(findings, message, nearest(key, KEYS));
    }
    match (settings.get("mapping"), settings.get("mappings")) {
        (Some(Value::String(path)), None) => {
            if settings.contains_key("schema_version") {
                let message =
                    "found `schema_version` beside `mapping`, expected `mappings` with a file for each version";
                error(findings, message.to_owned(), None);
            }
            Some(Settings::Single(path.clone()))
        }
        (None, Some(Value::Object(mappings))) => {
            if mappings.is_empty() {
                error(findings, "found no file in `mappings`, expected one for each schema version".to_owned(), None);
            }
            let (detection, default) = schema_version(settings.get("schema_version"), findings);
            let mut files = Vec::new();
            for (version, path) in mappings {
                match path {
                    Value::String(path) => files.push((version.clone(), path.clone())),
                    other => {
                        error(findings, format!("found {other} as the mapping of `{version}`, expected a path"), None)
                    }
                }
            }
            if let Some(default) = &default
                && !mappings.contains_key(default)
            {
                let versions = || mappings.keys().map(String::as_str);
                let message = format!(
                    "found the default schema version `{default}`, expected one with a mapping: {}",
                    alternatives(versions())
                );
                error(findings, message, nearest(default, versions()));
            }
            Some(Settings::Each { detection, default, files })
        }
        _ => {
            let message =
                "found neither a path in `mapping` nor paths by schema version in `mappings`, expected one of them";
            error(findings, message.to_owned(), None);
            None
        }
    }
}

/// The detection path and the default version.
fn schema_version(value: Option<&Value>, findings: &mut Findings) -> (Option<String>, Option<String>) {
    let mut version = |value: &Value, key: &str| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(digits) => {
            let message = format!("found the number {digits} as `{key}`, expected text");
            findings.error(Mark::default(), message, Some(format!("quote it: \"{digits}\"")));
            None
        }
        other => {
            findings.error(Mark::default(), format!("found {other} as `{key}`, expected text"), None);
            None
        }
    };
    match value {
        None => (None, None),
        Some(Value::Object(rule)) => {
            let path = rule.get("path").and_then(|path| version(path, "schema_version.path"));
            let default = rule.get("default").and_then(|default| version(default, "schema_version.default"));
            for key in rule.keys().filter(|key| !["path", "default"].contains(&key.as_str())) {
                let message = format!("found unknown key `{key}` in `schema_version`, expected `path` or `default`");
                findings.error(Mark::default(), message, nearest(key, ["path", "default"]));
            }
            (path, default)
        }
        Some(other) => (None, version(other, "schema_version")),
    }
}
