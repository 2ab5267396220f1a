//! Which plugin, where its bytes are, and what it is configured with.
//!
//! Finds components by name and makes the canonical form of a configuration, whose digest an activation records.
//! Compiles and runs nothing. A configuration is stored as one text, so that a replay years later is configured by
//! exactly what was in force, whatever became of the tenant's folder.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::conform::pii::Treatment;
use crate::sandbox::Limits;

/// The environment variable that names a folder of components.
pub const PLUGINS_VARIABLE: &str = "SILVERSMITH_PLUGINS";

/// A plugin as a tenant names it: `<name>@<version>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PluginName {
    /// The name: `^[a-z][a-z0-9_-]*$`.
    pub name: String,
    /// The version, letter for letter.
    pub version: String,
}

impl PluginName {
    /// The stock component that runs mapping files; it has the version of the host.
    pub fn mapping() -> Self {
        Self { name: "mapping".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
    }

    /// A name from its text; the error says found, expected and the next step.
    pub fn parse(text: &str) -> Result<Self, String> {
        let good_name = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'_'))
        };
        let good_version = |version: &str| {
            version.starts_with(|c: char| c.is_ascii_alphanumeric())
                && version.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'+' | b'-'))
        };
        match text.split_once('@') {
            Some((name, version)) if good_name(name) && good_version(version) => {
                Ok(Self { name: name.to_owned(), version: version.to_owned() })
            }
            _ => Err(format!("found the plugin `{text}`, expected `<name>@<version>`, such as `github@0.1.0`")),
        }
    }
}

impl fmt::Display for PluginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

/// A component as found.
#[derive(Clone)]
pub struct Component {
    /// Where.
    pub path: PathBuf,
    /// What; untrusted.
    pub bytes: Vec<u8>,
    /// SHA-256 of the bytes.
    pub digest: [u8; 32],
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component").field("path", &self.path).field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

/// A component could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// No folder has it.
    #[error(
        "found no component of plugin `{plugin}`, looked for {}; build the plugins with `cargo xtask plugins`, or name their \
         folder in {PLUGINS_VARIABLE}",
        looked.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(", ")
    )]
    NotFound {
        /// The plugin.
        plugin: PluginName,
        /// Every file looked for, in order.
        looked: Vec<PathBuf>,
    },
    /// It is there and cannot be read.
    #[error("failed to read component `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The folders of components for the tenants in `tenants`, in the order in which they are looked through: the one that
/// [`PLUGINS_VARIABLE`] names; `plugins` beside the tenants folder; `plugins` beside the executable and one above it.
pub fn places(tenants: &Path) -> Vec<PathBuf> {
    let named = std::env::var_os(PLUGINS_VARIABLE).map(PathBuf::from);
    let tenants = tenants.canonicalize().unwrap_or_else(|_| tenants.to_owned());
    let beside = tenants.parent().map(|parent| parent.join("plugins"));
    let executable = std::env::current_exe().ok();
    let built =
        executable.iter().flat_map(|path| path.ancestors().skip(1).take(2)).map(|folder| folder.join("plugins"));
    named.into_iter().chain(beside).chain(built).collect()
}

/// The component of `plugin`: the first `<name>@<version>.wasm` or `<name>.wasm` in `places`.
///
/// Whether a `<name>.wasm` is of that version, only its descriptor says.
pub fn find(plugin: &PluginName, places: &[PathBuf]) -> Result<Component, FindError> {
    let looked: Vec<_> = places
        .iter()
        .flat_map(|folder| [folder.join(format!("{plugin}.wasm")), folder.join(format!("{}.wasm", plugin.name))])
        .collect();
    for path in &looked {
        match fs::read(path) {
            Ok(bytes) => return Ok(Component { path: path.clone(), digest: Sha256::digest(&bytes).into(), bytes }),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(source) => return Err(FindError::Io { path: path.clone(), source }),
        }
    }
    Err(FindError::NotFound { plugin: plugin.clone(), looked })
}

/// A file of a configuration: its path as the tenant names it, and its text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConfigFile {
    /// The path below the folder that it is relative to.
    pub path: String,
    /// The content.
    pub text: String,
}

/// All that the configuration digest of an activation covers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configured {
    /// The source.
    pub source: String,
    /// The plugin, as named; its digest is recorded beside the configuration's.
    pub plugin: PluginName,
    /// The plugin's settings: one JSON object.
    pub settings: serde_json::Value,
    /// The files that the settings name.
    pub mappings: Vec<ConfigFile>,
    /// Contract files, in the order in which they are read: a later one overrides an entity of an earlier one.
    pub contracts: Vec<ConfigFile>,
    /// The entities that the tenant may fill; none means all that the contracts define.
    pub entities: Option<Vec<String>>,
    /// What the plugin may use.
    pub limits: Limits,
    /// Treatments by classification.
    pub treatments: std::collections::BTreeMap<String, Treatment>,
    /// The version of the key of tokens; the key itself is nowhere.
    pub key_version: Option<u32>,
    /// How far an event time may lie behind the latest before its record is late, in microseconds; none where no record of
    /// the source may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_lateness: Option<i64>,
}

impl Configured {
    /// The canonical text: JSON without spaces, keys and files in byte order, so that equal configurations have
    /// equal texts.
    pub fn canonical(&self) -> String {
        let mut ordered = self.clone();
        ordered.mappings.sort();
        let value = serde_json::to_value(&ordered).expect("a configuration is text and numbers under text keys");
        let mut text = String::new();
        write_sorted(&value, &mut text);
        text
    }

    /// The configuration whose canonical text is `text`.
    pub fn from_canonical(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// SHA-256 of the canonical text: its name in the registry.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.canonical()).into()
    }
}

/// Writes `value` with the keys of every object in byte order, whatever order its map keeps.
fn write_sorted(value: &serde_json::Value, text: &mut String) {
    let separated = |text: &mut String, index: usize| {
        if index > 0 {
            text.push(',')
        }
    };
    match value {
        serde_json::Value::Object(object) => {
            let mut members: Vec<_> = object.iter().collect();
            members.sort_by_key(|(key, _)| key.as_str());
            text.push('{');
            for (index, (key, member)) in members.into_iter().enumerate() {
                separated(text, index);
                text.push_str(&serde_json::Value::from(key.as_str()).to_string());
                text.push(':');
                write_sorted(member, text);
            }
            text.push('}');
        }
        serde_json::Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                separated(text, index);
                write_sorted(item, text);
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured() -> Configured {
        let file = |path: &str| ConfigFile { path: path.to_owned(), text: format!("text of {path}\n") };
        Configured {
            source: "orders".into(),
            plugin: PluginName::mapping(),
            settings: serde_json::json!({ "b": 1.50, "a": { "z": [null, "\u{e9}\n"], "y": true } }),
            mappings: vec![file("m/2.yaml"), file("m/1.yaml")],
            contracts: vec![file("order.odcs.yaml")],
            entities: None,
            limits: Limits::default(),
            treatments: [("personal".to_owned(), Treatment::Tokenise)].into(),
            key_version: Some(1),
            allowed_lateness: None,
        }
    }

    #[test]
    fn a_plugin_is_named_with_its_version() {
        let name = PluginName::parse("github@0.1.0").unwrap();
        assert_eq!((name.to_string().as_str(), name.name.as_str()), ("github@0.1.0", "github"));
        for text in ["github", "github@", "@1", "Git@1", "../x@1", "x@../1", "x@1/2"] {
            assert!(PluginName::parse(text).unwrap_err().contains("expected `<name>@<version>`"), "{text}");
        }
    }

    #[test]
    fn the_first_place_that_has_a_component_gives_it() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let places = [first.path().to_owned(), second.path().to_owned()];
        let plugin = PluginName::parse("github@0.1.0").unwrap();
        let error = find(&plugin, &places).unwrap_err().to_string();
        for expected in
            ["`github@0.1.0`", &format!("`{}`", second.path().join("github.wasm").display()), "cargo xtask plugins"]
        {
            assert!(error.contains(expected), "found `{error}`, expected `{expected}` in it");
        }
        fs::write(second.path().join("github.wasm"), "b").unwrap();
        assert_eq!(find(&plugin, &places).unwrap().digest, <[u8; 32]>::from(Sha256::digest("b")));
        fs::write(second.path().join("github@0.1.0.wasm"), "c").unwrap();
        assert_eq!(find(&plugin, &places).unwrap().bytes, b"c");
        fs::write(first.path().join("github.wasm"), "a").unwrap();
        assert_eq!(find(&plugin, &places).unwrap().bytes, b"a");
    }

    #[test]
    fn plugins_are_looked_for_beside_the_tenants_folder() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("tenants")).unwrap();
        let expected = root.path().canonicalize().unwrap().join("plugins");
        assert!(places(&root.path().join("tenants")).contains(&expected));
    }

    #[test]
    fn a_configuration_is_read_back_from_its_canonical_text() {
        let configured = configured();
        let text = configured.canonical();
        let again = Configured::from_canonical(&text).unwrap();
        assert_eq!((again.canonical(), again.digest()), (text.clone(), configured.digest()));
        assert!(text.contains(r#""settings":{"a":{"y":true,"z":[null,"é\n"]},"b":1.5"#), "{text}");
    }

    #[test]
    fn the_digest_covers_every_part_and_no_order() {
        let base = configured();
        let mut turned = base.clone();
        turned.mappings.reverse();
        assert_eq!(turned.digest(), base.digest());
        let changes: [fn(&mut Configured); 7] = [
            |c| c.source.push('x'),
            |c| c.plugin.version.push('1'),
            |c| c.settings = serde_json::json!({}),
            |c| c.mappings[0].text.push(' '),
            |c| c.contracts.clear(),
            |c| c.treatments.clear(),
            |c| c.key_version = Some(2),
        ];
        for (index, change) in changes.iter().enumerate() {
            let mut changed = base.clone();
            change(&mut changed);
            assert_ne!(changed.digest(), base.digest(), "change {index}");
        }
    }
}
