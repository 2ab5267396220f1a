//! Running a plugin natively, in its own tests: describe, configure, transform, and an answer to read.
//!
//! The same glue runs as in the component, so that what passes here differs in the sandbox only by its limits. The
//! harness checks of an answer what the host will check, and panics where the plugin broke the contract.

mod answer;

use std::cell::RefCell;

use sha2::{Digest, Sha256};

pub use answer::{Answer, AnsweredRow};

use crate::plugin::log::Level;
use crate::plugin::{BronzeBatch, BytesColumn, Configuration, Descriptor, Diagnostic, Instance, Plugin, Property};

/// A record to send, with the properties that a host would know.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The bytes, or none for a tombstone.
    pub payload: Option<Vec<u8>>,
    /// Properties by name; `checksum` is worked out where it is not given, the others are absent.
    pub properties: Vec<(Property, Vec<u8>)>,
}

impl Record {
    /// A record of these bytes.
    pub fn new(payload: impl Into<Vec<u8>>) -> Self {
        Self { payload: Some(payload.into()), properties: Vec::new() }
    }

    /// A record without a payload.
    pub fn tombstone() -> Self {
        Self::default()
    }

    /// The same record with one more property.
    #[must_use]
    pub fn with(mut self, property: Property, value: impl Into<Vec<u8>>) -> Self {
        self.properties.push((property, value.into()));
        self
    }

    fn property(&self, wanted: &Property) -> Option<Vec<u8>> {
        let given = self.properties.iter().find(|(property, _)| property == wanted);
        match (given, wanted) {
            (Some((_, value)), _) => Some(value.clone()),
            (None, Property::Checksum) => {
                let digest = Sha256::digest(self.payload.as_deref().unwrap_or_default());
                Some(digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into_bytes())
            }
            (None, _) => None,
        }
    }
}

/// A plugin under a configuration.
#[derive(Debug)]
pub struct Harness<P> {
    descriptor: Descriptor,
    plugin: std::marker::PhantomData<P>,
}

impl<P: Plugin> Harness<P> {
    /// Describes the plugin under `configuration`, or gives what it finds wrong there.
    pub fn new(configuration: &Configuration) -> Result<Self, Vec<Diagnostic>> {
        let descriptor = Instance::<P>::describe(configuration)?;
        Ok(Self { descriptor, plugin: std::marker::PhantomData })
    }

    /// What the plugin says of itself.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// Answers `records` as one batch in a fresh instance.
    ///
    /// # Panics
    /// If the answer breaks the contract.
    pub fn run(&self, records: &[Record]) -> Result<Answer, String> {
        let mut instance = Instance::<P>::configure(&self.descriptor.prepared)?;
        let answer = instance.transform(&batch(records, &self.descriptor.properties))?;
        Ok(Answer::read(&self.descriptor, records.len(), answer))
    }

    /// Answers payloads as one batch.
    ///
    /// # Panics
    /// As [`Harness::run`].
    pub fn run_payloads<T: AsRef<[u8]>>(&self, payloads: &[T]) -> Result<Answer, String> {
        let records: Vec<_> = payloads.iter().map(|payload| Record::new(payload.as_ref())).collect();
        self.run(&records)
    }
}

/// The records as the host would send them.
pub fn batch(records: &[Record], properties: &[Property]) -> BronzeBatch {
    let payloads = bytes_column(records.iter().map(|record| record.payload.clone()));
    BronzeBatch {
        offsets: payloads.offsets,
        payload: payloads.data,
        tombstones: payloads.validity.map(|bits| bits.iter().map(|byte| !byte).collect()),
        properties: properties
            .iter()
            .map(|property| bytes_column(records.iter().map(|record| record.property(property))))
            .collect(),
    }
}

fn bytes_column(values: impl ExactSizeIterator<Item = Option<Vec<u8>>>) -> BytesColumn {
    let mut validity = vec![0; values.len().div_ceil(8)];
    let (mut offsets, mut data, mut missing) = (vec![0], Vec::new(), false);
    for (index, value) in values.enumerate() {
        match value {
            Some(value) => {
                validity[index / 8] |= 1 << (index % 8);
                data.extend(value);
            }
            None => missing = true,
        }
        offsets.push(u32::try_from(data.len()).expect("a test's batch is under 4 GiB"));
    }
    BytesColumn { offsets, data, validity: missing.then_some(validity) }
}

thread_local! {
    static LOGS: RefCell<Option<Vec<(Level, String)>>> = const { RefCell::new(None) };
}

/// Runs `body` and gives what it logged on this thread besides its result.
pub fn collect_logs<T>(body: impl FnOnce() -> T) -> (T, Vec<(Level, String)>) {
    let outer = LOGS.replace(Some(Vec::new()));
    let result = body();
    (result, LOGS.replace(outer).unwrap_or_default())
}

/// Where the native build's lines go.
pub(crate) fn take_log(level: Level, message: &str) {
    LOGS.with_borrow_mut(|logs| match logs {
        Some(lines) => lines.push((level, message.to_owned())),
        None => eprintln!("{}: {message}", name(level)),
    });
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}

#[cfg(test)]
mod tests;
