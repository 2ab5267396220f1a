//! The rules about the source itself that ARCHITECTURE.md states, each checked.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::root;

fn rust_files() -> Vec<PathBuf> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                walk(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let mut files = Vec::new();
    for folder in ["host", "plugins", "tests", "xtask"] {
        walk(&root().join(folder), &mut files);
    }
    assert!(files.len() > 30, "the walk found {} files only", files.len());
    files
}

/// Lines of code, without comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_file_says_what_it_owns() {
    for path in rust_files() {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//! "), "{} does not open with `//!`", path.display());
    }
}

#[test]
fn each_foreign_system_is_named_in_one_module_only() {
    let owners = [
        ("rdkafka", "host/src/source/kafka"),
        ("wasmtime", "host/src/sandbox"),
        ("deltalake", "host/src/lake"),
        ("object_store", "host/src/lake"),
        ("jsonpath_rust", "plugins/sdk/"),
        ("fjall", "host/src/conform/"),
    ];
    for path in rust_files() {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        if !name.starts_with("host/src") && !name.starts_with("plugins") {
            continue;
        }
        let code = code(&path);
        for (foreign, owner) in owners {
            let used = code.contains(&format!("{foreign}::")) || code.contains(&format!("use {foreign}"));
            assert!(!used || name.starts_with(owner), "{name} names {foreign}, which only {owner} may");
        }
    }
}

#[test]
fn unsafe_code_of_sources_is_in_one_module() {
    for path in rust_files() {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        if name.starts_with("host/src/source") && name != "host/src/source/kafka/native.rs" {
            assert!(!code(&path).contains("unsafe"), "{name} has unsafe code");
        }
    }
}

#[test]
fn pure_modules_do_no_input_or_output() {
    for path in rust_files() {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        let pure = [
            "host/src/record.rs",
            "host/src/position.rs",
            "host/src/entity.rs",
            "host/src/digest.rs",
            "host/src/manifest",
            "host/src/source/kafka/verdict.rs",
            "host/src/source/kafka/buffer.rs",
        ];
        if pure.iter().any(|prefix| name.starts_with(prefix)) {
            let code = code(&path);
            for effect in ["std::fs", "SystemTime::now", "Instant::now", "tokio::", "std::env"] {
                assert!(!code.contains(effect), "{name} is pure and names {effect}");
            }
        }
    }
}

#[test]
fn nothing_unfinished_is_left() {
    for path in rust_files() {
        if path.ends_with("tidy.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for mark in ["todo!(", "unimplemented!(", "dbg!(", "#[ignore", "FIXME", "XXX"] {
            assert!(!text.contains(mark), "{} holds `{mark}`", path.display());
        }
    }
}

#[test]
fn architecture_names_only_what_exists() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let mut checked = 0;
    for quoted in text.split('`').skip(1).step_by(2) {
        let looks_like_path = quoted.contains('/') && !quoted.contains([' ', '<', '*', '$', '{', '=', ':']);
        if looks_like_path
            && ["host/", "plugins/", "wit/", "tenants/", "tests/", "xtask/"].iter().any(|top| quoted.starts_with(top))
        {
            assert!(root().join(quoted).exists(), "ARCHITECTURE.md names `{quoted}`, which does not exist");
            checked += 1;
        }
    }
    assert!(checked > 10, "ARCHITECTURE.md names {checked} paths only");
}
