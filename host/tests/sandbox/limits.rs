//! Every limit is on: lowered, it stops a plugin that does no harm.

use silversmith::entity::Verdict;
use silversmith::sandbox::{Configuration, Limits};

use crate::guest::{batch, engine, hostile, plugin, run};

/// The first thing that goes wrong with the puppet under `limits`, from loading to one harmless record of each kind;
/// none where nothing does.
fn first_failure(limits: Limits) -> Option<String> {
    let component = match engine().load(&hostile("puppet"), &limits) {
        Ok(component) => component,
        Err(error) => return Some(error.to_string()),
    };
    let descriptor = match component.describe(&Configuration::default(), &limits) {
        Ok(descriptor) => descriptor,
        Err(error) => return Some(error.to_string()),
    };
    let (answer, report) = run(&component.plugin(descriptor, limits), &batch([Some(&b"o"[..]), Some(b"khello")]));
    let refused = answer.verdicts.into_iter().find_map(|verdict| match verdict {
        Verdict::Refused(refusal) => Some(format!("{}: {}", refusal.code, refusal.message)),
        Verdict::Transformed | Verdict::Filtered(_) => None,
    });
    refused.or((report.log.len() < 64).then(|| format!("{} lines of log", report.log.len())))
}

#[test]
fn every_limit_is_on() {
    let harmless = Limits::default();
    assert_eq!(first_failure(harmless), None);
    let lowered: [(&str, Limits, &str); 16] = [
        ("fuel_base", Limits { fuel_base: 0, ..harmless }, "fuel: used more than 6000 fuel"),
        ("fuel_per_byte", Limits { fuel_base: 0, fuel_per_byte: 0, ..harmless }, "fuel: used more than 0 fuel"),
        ("startup_fuel", Limits { startup_fuel: 0, ..harmless }, "failed to start (fuel): used more than 0 fuel"),
        ("describe_fuel", Limits { describe_fuel: 0, ..harmless }, "(fuel): used more than 0 fuel"),
        ("memory_bytes", Limits { memory_bytes: 1 << 16, ..harmless }, "more than 65536 of `memory_bytes`"),
        ("table_elements", Limits { table_elements: 0, ..harmless }, "more than 0 of `table_elements`"),
        ("output_bytes_base", Limits { output_bytes_base: 8, ..harmless }, "output_bytes: returned more than 40 bytes"),
        (
            "output_bytes_per_byte",
            Limits { output_bytes_base: 8, output_bytes_per_byte: 0, ..harmless },
            "output_bytes: returned more than 8 bytes",
        ),
        ("output_rows_base", Limits { output_rows_base: 0, ..harmless }, "output_rows: returned more than 0 rows"),
        (
            "output_rows_per_kib",
            Limits { output_rows_base: 0, output_rows_per_kib: 1_024, ..harmless },
            "", // one row a byte: the harmless records pass
        ),
        ("descriptor_bytes", Limits { descriptor_bytes: 8, ..harmless }, "(output_bytes): returned more than 8 bytes"),
        ("log_lines", Limits { log_lines: 3, ..harmless }, "3 lines of log"),
        ("log_bytes", Limits { log_bytes: 12, ..harmless }, "3 lines of log"),
        ("component_bytes", Limits { component_bytes: 100, ..harmless }, "raise `component_bytes`"),
        // The puppet is in the cache by now: `load::a_compile_bomb_ends_in_its_own_process` lowers these two.
        ("compile_seconds", Limits { compile_seconds: 0, ..harmless }, ""),
        ("compile_memory_bytes", Limits { compile_memory_bytes: 0, ..harmless }, ""),
    ];
    let fields = serde_json::to_value(harmless).unwrap();
    let names: Vec<_> = lowered.iter().map(|(name, ..)| *name).collect();
    for name in fields.as_object().unwrap().keys() {
        assert!(names.contains(&&**name), "limit `{name}` has no case here");
    }
    for (name, limits, expected) in lowered {
        let found = first_failure(limits).unwrap_or_default();
        assert!(if expected.is_empty() { found.is_empty() } else { found.contains(expected) }, "{name}: {found}");
    }
}

#[test]
fn the_defaults_admit_a_large_record() {
    // As large as the clinic's largest bundle, with as many rows as it has entries, and 300 fuel for each byte.
    let puppet = plugin(&hostile("puppet"), Limits::default());
    let pad = |mut record: Vec<u8>| {
        record.resize(3_800_000, b' ');
        record
    };
    for record in [pad(crate::guest::times(b'g', 12_000)), pad(crate::guest::times(b'b', 200_000_000))] {
        let (answer, _) = run(&puppet, &batch([Some(&b"o"[..]), Some(&record)]));
        assert_eq!(answer.verdicts, [Verdict::Transformed, Verdict::Transformed]);
    }
}
