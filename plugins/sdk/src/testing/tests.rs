//! The native harness runs a plugin as the host would.

use super::*;
use crate::columns::AnswerBuilder;
use crate::log;
use crate::plugin::{Batch, DataType, Field, OnError, Operation, Output, Refusal, Verdict};

/// Gives every record that is text back as a row, marked with its settings.
#[derive(Debug)]
struct Echo {
    mark: String,
}

impl Plugin for Echo {
    fn describe(configuration: &Configuration) -> Result<Descriptor, Vec<Diagnostic>> {
        let field = |name: &str| Field { name: name.into(), data_type: DataType::Text, source: None };
        let output = Output {
            entity: "line".into(),
            on_error: OnError::Record,
            fields: vec![field("mark"), field("text"), field("checksum")],
            references: vec![],
        };
        Ok(Descriptor {
            name: "echo".into(),
            version: "1".into(),
            outputs: vec![output],
            properties: vec![Property::Header("v".into()), Property::Checksum],
            paths: vec!["$".into()],
            prepared: configuration.settings.as_bytes().to_vec(),
            warnings: vec![],
        })
    }

    fn configure(prepared: &[u8]) -> Result<Self, String> {
        Ok(Self { mark: String::from_utf8(prepared.to_vec()).map_err(|error| error.to_string())? })
    }

    fn transform(&mut self, batch: &Batch<'_>, answer: &mut AnswerBuilder) -> Result<(), String> {
        for index in 0..batch.len() {
            let text = match batch.payload(index).map(std::str::from_utf8) {
                None => {
                    answer.filtered("tombstone");
                    continue;
                }
                Some(Ok("stop")) => return Ok(()),
                Some(Ok(text)) => text,
                Some(Err(_)) => {
                    answer.refused(Refusal::of_record("no_text", "found bytes, expected UTF-8"));
                    continue;
                }
            };
            if let Some(header) = batch.property(0, index) {
                log::info(&format!("header {}", String::from_utf8_lossy(header)));
            }
            answer.hit(0, 1);
            let mut row = answer.row(0);
            row.push_text(&self.mark);
            row.push_text(text);
            row.push_bytes(batch.property(1, index).unwrap_or_default());
            row.finish(Operation::Upsert);
            answer.transformed();
        }
        Ok(())
    }
}

fn harness() -> Harness<Echo> {
    let configuration = Configuration { source: "s".into(), settings: "mark".into(), files: vec![], entities: vec![] };
    Harness::new(&configuration).expect("echo takes anything")
}

#[test]
fn a_plugin_runs_from_configuration_to_answer() {
    let records = [
        Record::new("one"),
        Record::tombstone(),
        Record::new(b"\xff".to_vec()),
        Record::new("two").with(Property::Header("v".into()), "2.1"),
    ];
    let (answer, logs) = collect_logs(|| harness().run(&records).expect("the batch is answered"));
    assert_eq!(logs, [(Level::Info, "header 2.1".to_owned())]);
    assert_eq!(answer.path_hits, [2]);
    assert_eq!(answer.verdicts[1], Verdict::Filtered("tombstone".into()));
    assert_eq!(answer.rows_of("line").map(|row| row.record).collect::<Vec<_>>(), [0, 3]);
    let digest = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";
    let expected = format!(
        "1: filtered, tombstone\n\
         2: refused, no_text: found bytes, expected UTF-8\n\
         0: upsert line {{\"checksum\":\"{digest}\",\"mark\":\"mark\",\"text\":\"one\"}}\n"
    );
    assert!(answer.to_string().starts_with(&expected), "{answer}");
}

#[test]
fn a_record_without_a_verdict_refuses_the_batch() {
    let error = harness().run_payloads(&["one", "stop", "three"]).expect_err("two verdicts are missing");
    assert_eq!(error, "found 1 verdicts, expected one for each of 3 records");
}

#[test]
fn prepared_bytes_of_another_origin_are_refused() {
    for prepared in [&b""[..], b"\xff\xff\xff\xff", b"\x01\x00\x00\x00\x09mark"] {
        let error = Instance::<Echo>::configure(prepared).expect_err("nobody described this");
        assert!(error.starts_with("found prepared bytes of another plugin"), "{error}");
    }
}

#[test]
fn a_panic_is_logged_before_it_traps_and_cut() {
    let ((), logs) = collect_logs(|| {
        let usual = std::panic::take_hook();
        log::panics_are_logged();
        let caught = std::panic::catch_unwind(|| panic!("{}", "é".repeat(2000)));
        std::panic::set_hook(usual);
        assert!(caught.is_err());
    });
    let [(Level::Error, message)] = logs.as_slice() else { panic!("expected one line, found {logs:?}") };
    assert!(message.contains("éé") && message.len() <= 1024, "{message}");
}
