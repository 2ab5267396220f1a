//! The Rust kit for Silversmith plugins.
//!
//! A plugin implements [`plugin::Plugin`] and calls `silversmith_sdk::export!`; the kit does the rest: it reads
//! paths out of raw JSON in one strict pass ([`extract`]), normalises values ([`normalise`]), builds columns
//! ([`columns`]) and runs the plugin natively in tests (`testing`).
//!
//! ```
//! use silversmith_sdk::columns::AnswerBuilder;
//! use silversmith_sdk::plugin::{
//!     Batch, Configuration, DataType, Descriptor, Diagnostic, Field, OnError, Operation, Output, Plugin, Refusal,
//! };
//! use silversmith_sdk::testing::Harness;
//!
//! /// Every record is a customer's number in digits.
//! struct Numbers;
//!
//! silversmith_sdk::export!(Numbers);
//!
//! impl Plugin for Numbers {
//!     fn describe(_: &Configuration) -> Result<Descriptor, Vec<Diagnostic>> {
//!         let id = Field { name: "id".into(), data_type: DataType::Int64, source: Some("$".into()) };
//!         Ok(Descriptor {
//!             name: "numbers".into(),
//!             version: "1.0.0".into(),
//!             outputs: vec![Output {
//!                 entity: "customer".into(),
//!                 on_error: OnError::Record,
//!                 fields: vec![id],
//!                 references: vec![],
//!             }],
//!             properties: vec![],
//!             paths: vec![],
//!             prepared: vec![],
//!             warnings: vec![],
//!         })
//!     }
//!
//!     fn configure(_: &[u8]) -> Result<Self, String> {
//!         Ok(Self)
//!     }
//!
//!     fn transform(&mut self, batch: &Batch<'_>, answer: &mut AnswerBuilder) -> Result<(), String> {
//!         for index in 0..batch.len() {
//!             let text = batch.payload(index).and_then(|bytes| std::str::from_utf8(bytes).ok());
//!             match text.and_then(|text| text.parse().ok()) {
//!                 Some(id) => {
//!                     let mut row = answer.row(0);
//!                     row.push_i64(id);
//!                     row.finish(Operation::Upsert);
//!                     answer.transformed();
//!                 }
//!                 None => answer.refused(Refusal::of_record("no_number", "found no digits, expected a number")),
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//!
//! let nothing = Configuration { source: "s".into(), settings: String::new(), files: vec![], entities: vec![] };
//! let harness = Harness::<Numbers>::new(&nothing).expect("it takes anything");
//! let answer = harness.run_payloads(&["7", "x"]).expect("it answers");
//! assert_eq!(answer.rows[0].cells["id"], 7);
//! assert_eq!(answer.rows.len(), 1);
//! ```

pub mod columns;
pub mod extract;
pub mod json;
pub mod normalise;
pub mod path;
pub mod plugin;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod value;

pub use plugin::log;
