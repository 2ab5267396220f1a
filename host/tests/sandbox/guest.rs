//! Hostile plugins made into components, and the host that runs them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use silversmith::entity::{Answer, Verdict};
use silversmith::record::{Batch, BatchBuilder, Received};
use silversmith::sandbox::{
    COMPILE_COMMAND, CallReport, Component, Configuration, Engine, EngineSettings, Limits, Patience, Plugin,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The engine of all tests but those that need one of their own.
pub(crate) fn engine() -> Engine {
    static ENGINE: LazyLock<(tempfile::TempDir, Engine)> = LazyLock::new(|| {
        let cache = tempfile::tempdir().unwrap();
        let engine = Engine::new(settings(cache.path())).unwrap();
        (cache, engine)
    });
    ENGINE.1.clone()
}

pub(crate) fn settings(cache: &Path) -> EngineSettings {
    EngineSettings {
        cache: cache.join("compiled"),
        instances: 4,
        compiler: vec![env!("CARGO_BIN_EXE_silversmith").into(), COMPILE_COMMAND.into()],
        patience: Patience::default(),
    }
}

fn folder() -> PathBuf {
    Path::new(env!("SILVERSMITH_ROOT")).join("plugins/hostile")
}

/// The plugin `name` of `plugins/hostile`, as a component.
pub(crate) fn hostile(name: &str) -> Vec<u8> {
    assemble(&fs::read_to_string(folder().join(name).with_extension("wat")).unwrap())
}

/// A plugin that has only what the prelude has: it transforms every record into nothing.
pub(crate) fn plain() -> Vec<u8> {
    assemble("")
}

/// A component from the inside of a core module.
pub(crate) fn assemble(text: &str) -> Vec<u8> {
    let (resolve, world) = world("");
    encode(&core(text), &resolve, world)
}

/// The same in a world that has `wit` beside ours, and imports what it names.
pub(crate) fn assemble_with(text: &str, wit: &str) -> Vec<u8> {
    let (resolve, world) = world(wit);
    encode(&core(text), &resolve, world)
}

/// A core module: what the prelude has and `text` does not.
pub(crate) fn core(text: &str) -> Vec<u8> {
    let prelude = fs::read_to_string(folder().join("prelude.wat")).unwrap();
    let mut module = format!("(module {text}\n");
    for part in prelude.split(";; part: ").skip(1) {
        let (name, body) = part.split_once('\n').unwrap();
        if !text.contains(&format!("\"{name}\"")) {
            module.push_str(body);
        }
    }
    module.push(')');
    wat::parse_str(&module).unwrap()
}

fn world(wit: &str) -> (Resolve, wit_parser::WorldId) {
    let mut resolve = Resolve::default();
    let (ours, _) = resolve.push_path(Path::new(env!("SILVERSMITH_ROOT")).join("wit")).unwrap();
    let package = if wit.is_empty() { ours } else { resolve.push_str("test.wit", wit).unwrap() };
    let world = resolve.select_world(&[package], None).unwrap();
    (resolve, world)
}

fn encode(core: &[u8], resolve: &Resolve, world: wit_parser::WorldId) -> Vec<u8> {
    let mut module = core.to_vec();
    embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}

/// Loads and configures; the limits are for both.
pub(crate) fn plugin(wasm: &[u8], limits: Limits) -> Plugin {
    let component = load(wasm, &limits);
    let descriptor = component.describe(&Configuration::default(), &limits).unwrap();
    component.plugin(descriptor, limits)
}

pub(crate) fn load(wasm: &[u8], limits: &Limits) -> Component {
    engine().load(wasm, limits).unwrap()
}

/// A batch of these payloads; none is a tombstone.
pub(crate) fn batch<'a>(payloads: impl IntoIterator<Item = Option<&'a [u8]>>) -> Batch {
    let mut builder = BatchBuilder::new("orders");
    for (offset, payload) in payloads.into_iter().enumerate() {
        builder.push(&Received { payload, offset: offset as i64, ..Received::default() });
    }
    builder.finish(vec![], serde_json::Value::Null)
}

/// A record for the puppet: what to do, and how often.
pub(crate) fn times(what: u8, number: u32) -> Vec<u8> {
    let mut record = vec![what];
    record.extend_from_slice(&number.to_le_bytes());
    record
}

pub(crate) fn run(plugin: &Plugin, batch: &Batch) -> (Answer, CallReport) {
    plugin.transform(batch, 0..batch.len()).unwrap()
}

/// The one verdict on one record.
pub(crate) fn alone(plugin: &Plugin, record: &[u8]) -> Verdict {
    run(plugin, &batch([Some(record)])).0.verdicts.remove(0)
}

/// Code and message of the refusal of one record.
#[track_caller]
pub(crate) fn refusal(plugin: &Plugin, record: &[u8]) -> (String, String) {
    match alone(plugin, record) {
        Verdict::Refused(refusal) => (refusal.code, refusal.message),
        other => panic!("found {other:?} for {:?}, expected a refusal", String::from_utf8_lossy(record)),
    }
}
