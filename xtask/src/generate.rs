//! Records of tenants that do not exist, and the answer that Silver should give to them.
//!
//! ```text
//! world ─► story ─► message ─► acme, globex   the record, as bytes
//!                     └──────► meaning ─► answer   what it should become
//! ```
//! Nothing here knows the host, its mappings or its rule for duplicates. Everything follows from the seed, on any
//! machine: the same seed gives the same bytes. `github` and `clinic` write samples in the shape of public data.

mod acme;
mod answer;
mod clinic;
mod github;
mod globex;
mod json;
mod meaning;
mod message;
pub mod model;
mod schema;
mod story;
#[cfg(test)]
mod tests;
mod time;
mod world;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use flate2::{Compression, GzBuilder};

use acme::Acme;
pub use answer::{Answer, Dimension, Fact, Finding, Key, Records, RefusedRow, Row, Version};
use globex::Globex;
pub use meaning::{Operation, Values};
use schema::Schema;
use story::{Rates, Story};

/// The tenants that records can be generated for.
pub const TENANTS: [&str; 2] = ["acme", "globex"];

/// What to generate for one tenant.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many records.
    pub records: u64,
    /// The seed that everything follows from.
    pub seed: u64,
    /// What kind of story the records tell.
    pub plot: Plot,
    /// Whether to write the expected answer; it takes memory in proportion to the records.
    pub answer: bool,
}

/// A kind of story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plot {
    /// Changes, returns, late, repeated, partial, contradicting and broken records.
    Lively,
    /// Ten types of transactions that embed 100 customers, of which one changes in each thousand: nothing but the
    /// copies that normalising saves.
    Saving,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Bytes of all records, without line ends.
    pub bytes: u64,
    /// Of these, the bytes of embedded customers and products.
    pub copies: u64,
}

/// The types of transactions that [`Plot::Saving`] tells of.
const KINDS: [&str; 10] =
    ["order", "quote", "invoice", "shipment", "return", "refund", "payment", "subscription", "ticket", "reward"];

/// Files hold no more records than this, and there are two at least where there are two records.
const RECORDS_A_FILE_MAX: u64 = 100_000;

/// Writes the records of `tenant` to `folder/<tenant>/<source>-NNNN.ndjson[.gz]`, and the answer to
/// `folder/expected/<tenant>.json`. Fails on a tenant that is not one of [`TENANTS`].
pub fn write(tenant: &str, plan: Plan, folder: &Path) -> io::Result<(Written, Option<Answer>)> {
    let schema: &dyn Schema = match tenant {
        "acme" => &Acme,
        "globex" => &Globex,
        other => {
            let message = format!("found tenant `{other}`, expected one of {TENANTS:?}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
    };
    let (written, answer) = tell(schema, plan, |file, lines| save(&folder.join(tenant).join(file), lines))?;
    if let Some(answer) = &answer {
        let expected = folder.join("expected");
        fs::create_dir_all(&expected)?;
        let mut out = BufWriter::new(File::create(expected.join(format!("{tenant}.json")))?);
        serde_json::to_writer(&mut out, answer)?;
        out.flush()?;
    }
    Ok((written, answer))
}

/// Writes the samples that lie in the repository, below the tenants' folder.
pub fn write_samples(tenants: &Path) -> io::Result<()> {
    samples(|path, contents| save(&tenants.join(path), contents))
}

/// Hands every sample to `save`: its path below the tenants' folder, and its bytes.
fn samples(mut save: impl FnMut(&str, &[u8]) -> io::Result<()>) -> io::Result<()> {
    let plan = Plan { records: 200, seed: 1, plot: Plot::Lively, answer: false };
    for schema in [&Acme as &dyn Schema, &Globex] {
        tell(schema, plan, |file, lines| save(&format!("{}/samples/{file}", schema.tenant()), lines))?;
    }
    save("github/samples/deliveries.ndjson", &github::deliveries())?;
    for (name, bundle) in clinic::bundles() {
        save(&format!("clinic/samples/{name}"), &bundle)?;
    }
    Ok(())
}

/// Tells a story in `schema`: hands each file to `save`, its name and its bytes, in the order of names.
fn tell(
    schema: &dyn Schema,
    plan: Plan,
    mut save: impl FnMut(&str, &[u8]) -> io::Result<()>,
) -> io::Result<(Written, Option<Answer>)> {
    let mut story = match plan.plot {
        Plot::Lively => {
            let (customers, products) = ((plan.records / 20).clamp(20, 100_000), (plan.records / 10).clamp(30, 2000));
            Story::new(schema, Rates::LIVELY, plan.seed, customers as u32, products as u32)
        }
        Plot::Saving => Story::new(schema, Rates::calm(1000), plan.seed, 100, 200).of_kinds(&KINDS),
    };
    let mut answer = plan.answer.then(|| Answer::new(schema.tenant(), schema.source(), plan.seed));
    let mut written = Written::default();
    let records_a_file = plan.records.div_ceil(2).clamp(1, RECORDS_A_FILE_MAX);
    let mut lines = Vec::new();
    for number in 0..plan.records.div_ceil(records_a_file) {
        let compressed = schema.compresses(number as usize);
        let file = format!("{}-{number:04}.ndjson{}", schema.source(), if compressed { ".gz" } else { "" });
        lines.clear();
        let first = number * records_a_file;
        for record in first..plan.records.min(first + records_a_file) {
            let message = story.next();
            let start = lines.len();
            written.copies += schema::write_record(schema, &message, &mut lines) as u64;
            written.bytes += (lines.len() - start) as u64;
            lines.push(b'\n');
            if let Some(answer) = &mut answer {
                answer.add(&file, record - first + 1, meaning::outcome(&message, schema));
            }
        }
        if compressed { save(&file, &gzip(&lines)?)? } else { save(&file, &lines)? }
    }
    if let Some(answer) = &mut answer {
        answer.finish();
    }
    Ok((written, answer))
}

fn save(path: &Path, contents: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, contents)
}

/// Gzip without time or name in its header, so that the same bytes give the same bytes.
fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().write(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}
