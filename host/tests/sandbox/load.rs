//! What is refused before it sees a record.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use silversmith::sandbox::{Configuration, DescribeError, Engine, Limits, PluginLoadError};

use crate::guest::{assemble, assemble_with, core, engine, hostile, load, plain, settings};

#[track_caller]
fn refused(wasm: &[u8], expected: &str) {
    refused_under(wasm, &Limits::default(), expected);
}

#[track_caller]
fn refused_under(wasm: &[u8], limits: &Limits, expected: &str) {
    let error = engine().load(wasm, limits).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn bytes_that_are_no_component_are_named() {
    refused(b"", "found no bytes at all");
    refused(b"  (component)", "found WebAssembly text");
    refused(b"\x7fELF\x02\x01\x01", "found native or compiled code");
    refused(b"PK\x03\x04", "found something that is not WebAssembly");
    refused(b"\0asm\x02\0\0\0", "found WebAssembly of an unknown version");
    refused(&core(""), "found a core module, expected a WebAssembly component");
    refused(&plain()[..200], "the component is not valid");
}

#[test]
fn compiled_code_is_never_taken_from_outside() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::new(settings(folder.path())).unwrap();
    engine.load(&plain(), &Limits::default()).unwrap();
    let cache = folder.path().join("compiled");
    assert_eq!(fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700);
    let files: Vec<_> = fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "one compiled component, no temporary file: {files:?}");
    let code = fs::read(&files[0]).unwrap();
    refused(&code[32..], "found native or compiled code");

    // A second engine finds it there: its compiler need not even exist.
    let mut found = settings(folder.path());
    found.compiler = vec!["/nowhere".into()];
    let second = Engine::new(found).unwrap();
    assert_eq!(
        second.load(&plain(), &Limits::default()).unwrap().digest(),
        load(&plain(), &Limits::default()).digest()
    );
    // And compiles anew what was tampered with.
    let mut changed = code.clone();
    *changed.last_mut().unwrap() ^= 1;
    fs::write(&files[0], changed).unwrap();
    assert!(matches!(second.load(&plain(), &Limits::default()), Err(PluginLoadError::Compiler { .. })));
    engine.load(&plain(), &Limits::default()).unwrap();
    assert_eq!(fs::read(&files[0]).unwrap()[32..], code[32..], "compiling is deterministic");
}

#[test]
fn an_import_that_is_not_offered_is_named() {
    let wit = r#"
        package hostile:wasi;
        world extractor {
            include silversmith:extractor/extractor@0.1.0;
            import wasi:clocks/monotonic-clock@0.2.0;
        }
        package wasi:clocks@0.2.0 { interface monotonic-clock { now: func() -> u64; } }
    "#;
    let text = r#"(import "wasi:clocks/monotonic-clock@0.2.0" "now" (func (result i64)))"#;
    refused(&assemble_with(text, wit), "found imports `wasi:clocks/monotonic-clock@0.2.0`");
}

#[test]
fn exports_must_be_there_and_have_their_shape() {
    refused(&wat::parse_str("(component)").unwrap(), "found no export `describe`, `configure`, `transform`");
    let shapeless = r#"(component
        (core module $m (func (export "f")))
        (core instance $i (instantiate $m))
        (func $f (canon lift (core func $i "f")))
        (export "describe" (func $f)) (export "configure" (func $f)) (export "transform" (func $f)))"#;
    refused(&wat::parse_str(shapeless).unwrap(), "another contract than `silversmith:extractor@0.1.0`");
}

#[test]
fn what_the_engine_leaves_out_is_not_valid() {
    let proposals = [
        ("memory64", "(memory i64 1)"),
        ("multi-memory", "(memory 1) (memory 1)"),
        ("threads", "(memory 1 1 shared)"),
        ("custom page sizes", "(memory 1 (pagesize 1))"),
        ("exceptions", "(tag)"),
        ("garbage collection", "(type (struct (field i32)))"),
        ("tail calls", "(func $f (return_call $f))"),
        ("relaxed simd", "(func (param v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 0)))"),
        ("wide arithmetic", "(func (result i64 i64) (i64.mul_wide_u (i64.const 1) (i64.const 1)))"),
    ];
    for (proposal, text) in proposals {
        let wasm = wat::parse_str(format!("(component (core module {text}))")).unwrap();
        let error = engine().load(&wasm, &Limits::default()).unwrap_err();
        assert!(matches!(error, PluginLoadError::Invalid { .. }), "{proposal}: {error}");
    }
    let asynchronous = wat::parse_str(r#"(component (type (func async)))"#).unwrap();
    refused(&asynchronous, "the component is not valid");
}

#[test]
fn memory_and_tables_are_bounded_from_the_start() {
    refused(&hostile("memory_declared"), "memory");
    refused(&hostile("table_declared"), "table");
    refused(&hostile("tables_declared"), "table");
}

#[test]
fn a_start_function_is_metered() {
    refused(&hostile("start_traps"), "failed to start (trap): wasm trap: wasm `unreachable`");
    refused(&hostile("start_loops"), "failed to start (fuel): used more than 100000000 fuel");
}

#[test]
fn a_compile_bomb_ends_in_its_own_process() {
    // Many functions with many branches: tens of seconds for a compiler.
    let body = "(block (br_if 0 (local.get 0)) (local.set 0 (i32.mul (local.get 0) (local.get 0))))".repeat(300);
    let function = format!("(func (param i32) {body})");
    let bomb = assemble(&function.repeat(1_000));
    let limits = Limits { compile_seconds: 1, ..Limits::default() };
    refused_under(&bomb, &limits, "compiling took more than 1 s: raise `compile_seconds`");
    let limits = Limits { compile_memory_bytes: 64 << 20, ..Limits::default() };
    refused_under(&bomb, &limits, "compiling took more than 67108864 bytes: raise `compile_memory_bytes`");
    let limits = Limits { component_bytes: 1 << 20, ..Limits::default() };
    refused_under(&bomb, &limits, "expected at most 1048576: raise `component_bytes`");
}

#[test]
fn a_million_types_are_refused() {
    // A component whose one section, of types, has 1,000,001 times `bool`.
    let count = [0xc1, 0x84, 0x3d];
    let mut size = count.len() as u32 + 1_000_001;
    let mut bomb = b"\0asm\x0d\0\x01\0\x07".to_vec();
    while size >= 0x80 {
        bomb.push(size as u8 | 0x80);
        size >>= 7;
    }
    bomb.push(size as u8);
    bomb.extend_from_slice(&count);
    bomb.resize(bomb.len() + 1_000_001, 0x7f);
    refused(&bomb, "the component is not valid");
}

#[test]
fn a_description_is_checked_and_metered() {
    let describe =
        |name: &str| load(&hostile(name), &Limits::default()).describe(&Configuration::default(), &Limits::default());
    let Err(DescribeError::Diagnostics(findings)) = describe("describe_refuses") else { panic!("it refuses") };
    let [finding] = &findings[..] else { panic!("with one finding") };
    assert_eq!((&*finding.file, finding.line, finding.column), ("a.yaml", 3, 4));
    assert_eq!(finding.message, "bad\\u{1b}[2Jkey");

    let failed = |name: &str| describe(name).unwrap_err().to_string();
    assert!(failed("describe_lies").contains("(bad_answer): found an empty name"), "{}", failed("describe_lies"));
    assert!(failed("configure_refuses").contains("plugin_error while starting: no luck"));
    assert!(failed("configure_loops").contains("fuel while starting"));
    let limits = Limits { describe_fuel: 1_000_000, ..Limits::default() };
    let error = load(&hostile("describe_loops"), &limits).describe(&Configuration::default(), &limits).unwrap_err();
    assert!(error.to_string().contains("(fuel): used more than 1000000 fuel"), "{error}");
}

#[test]
fn a_configuration_reaches_the_plugin_whole() {
    use silversmith::entity::DataType;
    use silversmith::sandbox::{ContractColumn, EntityContract};
    // Hands back, as its warnings' file, whatever text its source has.
    let echo = assemble(
        r#"(func (export "describe") (param $source i32) (param $length i32) (param i32 i32 i32 i32 i32 i32) (result i32)
             (i32.store (i32.const 1028) (local.get $source))
             (i32.store (i32.const 1032) (local.get $length))
             (i32.const 1024))
           (data (i32.const 1036) "\00\08\00\00\01\00\00\00") (data (i32.const 2048) "1")"#,
    );
    let column = ContractColumn {
        name: "id".into(),
        data_type: DataType::Decimal { precision: 9, scale: 2 },
        required: true,
        key: true,
    };
    let configuration = Configuration {
        source: "ördërs".into(),
        settings: "{}".into(),
        files: vec![("a.yaml".into(), "mapping: 1".into()); 100],
        entities: vec![EntityContract { name: "thing".into(), columns: vec![column; 100] }; 50],
    };
    let limits = Limits::default();
    assert_eq!(load(&echo, &limits).describe(&configuration, &limits).unwrap().name, "ördërs");
}
