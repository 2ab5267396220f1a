//! The trait a plugin implements, and the glue between it and the contract of `/wit`.
//!
//! The bindings are generated once, here, and are plain types on every target: a plugin's own tests run on them
//! natively. [`export!`](crate::export) makes the exports on `wasm32-unknown-unknown`. The glue keeps the shape of
//! the outputs in front of the plugin's `prepared` bytes, so that a fresh instance can build columns without
//! asking the plugin to describe itself again.

pub mod batch;
pub mod log;

use serde::{Deserialize, Serialize};

pub use batch::Batch;
pub use bindings::silversmith::extractor::types::{
    BronzeBatch, BytesColumn, Column, ConfigFile, Configuration, ContractColumn, DataType, DecimalType, Descriptor,
    Diagnostic, EntityContract, Field, OnError, Operation, Operations, Output, Property, Reference, Refusal,
    RowRefusal, Rows, SilverBatch, Values, Verdict,
};

use crate::columns::AnswerBuilder;

/// What `wit-bindgen` makes of `/wit`. Plugins use the names that [`plugin`](self) re-exports.
#[allow(unsafe_code, unreachable_pub, missing_docs, clippy::too_many_arguments, reason = "generated code")]
#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "extractor",
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
        pub_export_macro: true,
        export_macro_name: "export_bindings",
        default_bindings_module: "silversmith_sdk::plugin::bindings",
    });
}

/// A pure function from records to rows: no clock, no randomness, no memory of earlier batches.
pub trait Plugin: Sized {
    /// Checks a configuration and says what will come of it. Called once, when the plugin is activated.
    ///
    /// `Descriptor::prepared` comes back in [`Plugin::configure`], in another instance.
    fn describe(configuration: &Configuration) -> Result<Descriptor, Vec<Diagnostic>>;

    /// Makes a fresh instance ready. Called before each batch, so it reads what [`Plugin::describe`] prepared
    /// rather than parsing the configuration again.
    fn configure(prepared: &[u8]) -> Result<Self, String>;

    /// Answers every record of `batch`, in order: for each its rows, then its verdict.
    ///
    /// An error, a panic or a missing verdict refuses the whole batch; the host then halves it until the record that
    /// caused it is alone.
    fn transform(&mut self, batch: &Batch<'_>, answer: &mut AnswerBuilder) -> Result<(), String>;
}

/// One instance of a plugin between the three calls of the contract. The exports and the native harness share it.
#[derive(Debug)]
pub struct Instance<P> {
    plugin: P,
    shape: Shape,
}

/// What an instance must know of its descriptor to build columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// The column types of each output: its fields, then the key columns of its references.
    pub outputs: Vec<Vec<DataType>>,
    /// How many paths the descriptor counts.
    pub paths: usize,
}

impl Shape {
    /// The shape of what `descriptor` promises.
    pub fn of(descriptor: &Descriptor) -> Self {
        Self {
            outputs: descriptor
                .outputs
                .iter()
                .map(|output| output.columns().map(|field| field.data_type).collect())
                .collect(),
            paths: descriptor.paths.len(),
        }
    }
}

impl<P: Plugin> Instance<P> {
    /// The contract's `describe`.
    pub fn describe(configuration: &Configuration) -> Result<Descriptor, Vec<Diagnostic>> {
        let mut descriptor = P::describe(configuration)?;
        let shape =
            postcard::to_allocvec(&Shape::of(&descriptor)).expect("a shape holds nothing that postcard refuses");
        let mut prepared = (shape.len() as u32).to_le_bytes().to_vec();
        prepared.extend_from_slice(&shape);
        prepared.append(&mut descriptor.prepared);
        descriptor.prepared = prepared;
        Ok(descriptor)
    }

    /// The contract's `configure`.
    pub fn configure(prepared: &[u8]) -> Result<Self, String> {
        let foreign = || "found prepared bytes of another plugin, expected what `describe` returned".to_owned();
        let (length, rest) = prepared.split_first_chunk().ok_or_else(foreign)?;
        let (shape, inner) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(foreign)?;
        let shape = postcard::from_bytes(shape).map_err(|_| foreign())?;
        Ok(Self { plugin: P::configure(inner)?, shape })
    }

    /// The contract's `transform`.
    pub fn transform(&mut self, batch: &BronzeBatch) -> Result<SilverBatch, String> {
        let batch = Batch::new(batch);
        let mut answer = AnswerBuilder::new(&self.shape);
        self.plugin.transform(&batch, &mut answer)?;
        if answer.record() as usize != batch.len() {
            return Err(format!(
                "found {} verdicts, expected one for each of {} records",
                answer.record(),
                batch.len()
            ));
        }
        Ok(answer.finish())
    }
}

/// Makes `$plugin`, a type that implements [`Plugin`](crate::plugin::Plugin), the component's exports.
///
/// Once in a crate, at its root. On other targets than `wasm32` it only checks the type, so that native tests link.
#[macro_export]
macro_rules! export {
    ($plugin:ty) => {
        #[allow(unsafe_code, reason = "the exports of the component")]
        const _: () = {
            struct Component;

            ::std::thread_local! {
                static INSTANCE: ::std::cell::RefCell<::std::option::Option<$crate::plugin::Instance<$plugin>>> =
                    const { ::std::cell::RefCell::new(None) };
            }

            impl $crate::plugin::bindings::Guest for Component {
                fn describe(
                    configuration: $crate::plugin::Configuration,
                ) -> Result<$crate::plugin::Descriptor, Vec<$crate::plugin::Diagnostic>> {
                    $crate::plugin::log::panics_are_logged();
                    $crate::plugin::Instance::<$plugin>::describe(&configuration)
                }

                fn configure(prepared: Vec<u8>) -> Result<(), String> {
                    $crate::plugin::log::panics_are_logged();
                    let instance = $crate::plugin::Instance::configure(&prepared)?;
                    INSTANCE.set(Some(instance));
                    Ok(())
                }

                fn transform(batch: $crate::plugin::BronzeBatch) -> Result<$crate::plugin::SilverBatch, String> {
                    INSTANCE.with_borrow_mut(|instance| match instance {
                        Some(instance) => instance.transform(&batch),
                        None => Err("`transform` was called before `configure`".to_owned()),
                    })
                }
            }

            #[cfg(target_arch = "wasm32")]
    $crate::plugin::bindings::export_bindings!(Component with_types_in $crate::plugin::bindings);
        };
    };
}

impl Output {
    /// The columns in the order of `rows.columns`: the fields, then the key columns of the references.
    pub fn columns(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().chain(self.references.iter().flat_map(|reference| &reference.key))
    }
}

impl Refusal {
    /// A refusal that concerns the record as a whole.
    pub fn of_record(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            entity: None,
            field: None,
            path: None,
            value: None,
            step: None,
        }
    }
}

/// As the contract of `/wit` names it: `upsert`.
impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Upsert => "upsert",
            Self::Patch => "patch",
            Self::Stub => "stub",
            Self::Delete => "delete",
        })
    }
}

/// As contracts write it: `text`, `decimal(18,2)`.
impl std::fmt::Display for DataType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text => f.write_str("text"),
            Self::Int64 => f.write_str("int64"),
            Self::Float64 => f.write_str("float64"),
            Self::Decimal(DecimalType { precision, scale }) => write!(f, "decimal({precision},{scale})"),
            Self::Boolean => f.write_str("boolean"),
            Self::Date => f.write_str("date"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Binary => f.write_str("binary"),
            Self::Json => f.write_str("json"),
        }
    }
}
