//! Which plugin and which configuration were in force at which Bronze version.
//!
//! An activation is a Bronze commit without files: Bronze versions above it are transformed under its digests,
//! in every table, on every host, however late. The list is read from the Bronze log; a copy of it in each summary
//! outlives the log's retention. The objects behind the digests lie in the lake under their SHA-256, written before the
//! activation that names them.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// The key in a Bronze commit's information under which an activation lies.
pub const KEY: &str = "silversmith.activation";
/// The key in a summary's information under which all activations before it lie.
const ALL: &str = "silversmith.activations";

/// A SHA-256 that names an object in the registry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectDigest([u8; 32]);

impl ObjectDigest {
    /// The digest of an object's bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Where the object lies under its tenant's prefix.
    pub fn path(&self) -> String {
        format!("registry/objects/{self}")
    }
}

impl fmt::Display for ObjectDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ObjectDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ObjectDigest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ObjectDigest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0; 32];
        let digits = text.len() == 64 && text.is_ascii();
        for (byte, i) in bytes.iter_mut().zip(0..if digits { 32 } else { 0 }) {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(serde::de::Error::custom)?;
        }
        if digits {
            Ok(Self(bytes))
        } else {
            Err(serde::de::Error::custom(format!("found `{text}`, expected 64 hexadecimal digits")))
        }
    }
}

/// What transforms records: a plugin under a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Digests {
    /// The component's bytes.
    pub plugin: ObjectDigest,
    /// Contracts, mapping, limits and PII key version, in their canonical form.
    pub configuration: ObjectDigest,
}

impl Digests {
    /// The commit information of an activation.
    pub fn to_info(self) -> Map<String, Value> {
        Map::from_iter([(KEY.to_owned(), serde_json::to_value(self).expect("two texts always serialise"))])
    }

    /// The activation in a commit's information, where it is one.
    pub fn from_info(info: &Map<String, Value>) -> Option<Self> {
        Self::deserialize(info.get(KEY)?).ok()
    }
}

/// The activations of one source, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Activations(Vec<(i64, Digests)>);

impl Activations {
    /// Adds the activation committed at Bronze version `version`; versions come in order.
    pub fn push(&mut self, version: i64, digests: Digests) {
        debug_assert!(self.0.last().is_none_or(|(last, _)| *last < version));
        self.0.push((version, digests));
    }

    /// The digests in force at a Bronze version: those of the last activation below it.
    pub fn at(&self, bronze_version: i64) -> Option<Digests> {
        self.0.iter().rev().find(|(version, _)| *version < bronze_version).map(|(_, digests)| *digests)
    }

    /// The digests that the next Bronze version will be under.
    pub fn current(&self) -> Option<Digests> {
        self.0.last().map(|(_, digests)| *digests)
    }

    /// The information of a summary.
    pub fn to_info(&self) -> Map<String, Value> {
        Map::from_iter([(ALL.to_owned(), serde_json::to_value(self).expect("numbers and texts always serialise"))])
    }

    /// The activations in a summary's information.
    pub fn from_info(info: &Map<String, Value>) -> Option<Self> {
        Self::deserialize(info.get(ALL)?).ok()
    }

    /// The Bronze version of the newest activation.
    pub fn newest(&self) -> Option<i64> {
        self.0.last().map(|(version, _)| *version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests(name: &str) -> Digests {
        Digests { plugin: ObjectDigest::of(name.as_bytes()), configuration: ObjectDigest::of(b"c") }
    }

    #[test]
    fn a_version_is_under_the_last_activation_below_it() {
        let mut activations = Activations::default();
        activations.push(0, digests("a"));
        activations.push(4, digests("b"));
        let at: Vec<_> = [0, 1, 4, 5].into_iter().map(|version| activations.at(version)).collect();
        assert_eq!(at, [None, Some(digests("a")), Some(digests("a")), Some(digests("b"))]);
        assert_eq!((activations.current(), activations.newest()), (Some(digests("b")), Some(4)));
        assert_eq!(Activations::from_info(&activations.to_info()), Some(activations));
    }

    #[test]
    fn an_activation_survives_the_log_and_nothing_else_is_one() {
        let info = digests("a").to_info();
        assert_eq!(Digests::from_info(&info), Some(digests("a")));
        assert_eq!(Digests::from_info(&Map::new()), None);
        let broken = Map::from_iter([(KEY.to_owned(), serde_json::json!({"plugin": "00", "configuration": "é"}))]);
        assert_eq!(Digests::from_info(&broken), None);
    }
}
