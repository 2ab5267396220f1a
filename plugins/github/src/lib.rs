//! GitHub webhook deliveries: accounts, organisations, repositories, teams and apps wherever they are embedded, and
//! one fact a delivery.
//!
//! A record is `{delivered_at, event, payload}`. GitHub embeds the same user at dozens of paths, so the plugin knows
//! objects by their shape, not by their place. Hardly any of them says when it was last changed, so the
//! sequence of every entity is `seen_at`: when the delivery that carries the object was made.

mod deliveries;
mod entities;
mod paths;

use silversmith_sdk::columns::AnswerBuilder;
use silversmith_sdk::extract::Extraction;
use silversmith_sdk::plugin::{Batch, Configuration, Descriptor, Diagnostic, Plugin, Refusal};

use deliveries::Deliveries;
use entities::{Column, Kind};
use paths::{Node, Paths};

silversmith_sdk::export!(GitHub);

/// The plugin.
#[derive(Debug)]
pub struct GitHub {
    paths: Paths,
    columns: [Vec<Column>; 5],
}

impl Plugin for GitHub {
    fn describe(configuration: &Configuration) -> Result<Descriptor, Vec<Diagnostic>> {
        // The shapes are GitHub's, not the tenant's: there is nothing to set.
        match configuration.settings.trim() {
            "" | "{}" => {
                let paths = postcard::to_allocvec(&Paths::new()).expect("paths hold nothing that postcard refuses");
                Ok(entities::descriptor(paths))
            }
            _ => Err(vec![Diagnostic {
                file: String::new(),
                line: 0,
                column: 0,
                message: "found settings, expected none: this plugin has nothing to set".to_owned(),
                hint: Some("remove `settings` from the source".to_owned()),
            }]),
        }
    }

    fn configure(prepared: &[u8]) -> Result<Self, String> {
        let paths = postcard::from_bytes(prepared).map_err(|error| format!("failed to read the paths: {error}"))?;
        Ok(Self { paths, columns: Kind::ALL.map(Kind::columns) })
    }

    fn transform(&mut self, batch: &Batch<'_>, answer: &mut AnswerBuilder) -> Result<(), String> {
        let mut extraction = Extraction::new(&self.paths.plan);
        for index in 0..batch.len() {
            let Some(payload) = batch.payload(index) else {
                answer.filtered("tombstone");
                continue;
            };
            let read = match extraction.read(payload) {
                Ok(tree) => Deliveries { paths: &self.paths, columns: &self.columns, answer }
                    .read(Node::root(tree), batch.property(0, index)),
                Err(error) => Err(Box::new(Refusal::of_record(error.code(), error.to_string()))),
            };
            match read {
                Ok(()) => answer.transformed(),
                Err(refusal) => answer.refused(*refusal),
            }
        }
        Ok(())
    }
}
