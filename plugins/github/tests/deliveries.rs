//! The real deliveries through the plugin, natively, against counts by a walk that shares nothing with it.
//!
//! Reads `SILVERSMITH_DATA`, by default `../shared/data` beside the repository.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;
use silversmith_plugin_github::GitHub;
use silversmith_sdk::plugin::{Configuration, Operation, Verdict};
use silversmith_sdk::testing::{Answer, AnsweredRow, Harness, Record};

fn harness() -> Harness<GitHub> {
    let configuration =
        Configuration { source: "deliveries".into(), settings: String::new(), files: vec![], entities: vec![] };
    Harness::new(&configuration).expect("there is nothing to configure")
}

/// Every delivery of the data folder, in the order of its files.
fn lines() -> Vec<String> {
    let data = std::env::var_os("SILVERSMITH_DATA")
        .map_or_else(|| PathBuf::from(env!("SILVERSMITH_ROOT")).join("../shared/data"), PathBuf::from);
    let folder = data.join("github-events");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}: set SILVERSMITH_DATA to the data folder", folder.display()))
        .map(|entry| entry.expect("the folder lists").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "ndjson"))
        .collect();
    files.sort();
    let texts = files.iter().map(|path| std::fs::read_to_string(path).expect("the data reads"));
    texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn answer() -> (Vec<String>, Answer) {
    let lines = lines();
    let answer = harness().run_payloads(&lines).expect("the batch is answered");
    (lines, answer)
}

fn one(payload: &str) -> Answer {
    harness().run_payloads(&[payload]).expect("the batch is answered")
}

fn key(row: &AnsweredRow) -> i64 {
    row.cells["id"].as_i64().expect("a key is an integer")
}

/// Every object of a document, by an explicit stack.
fn objects(root: &Value) -> Vec<&serde_json::Map<String, Value>> {
    let (mut found, mut left) = (Vec::new(), vec![root]);
    while let Some(value) = left.pop() {
        left.extend(value.as_array().into_iter().flatten());
        left.extend(value.as_object().into_iter().flat_map(serde_json::Map::values));
        found.extend(value.as_object());
    }
    found
}

#[test]
fn every_delivery_is_transformed_but_the_one_that_says_organization_twice() {
    let (lines, answer) = answer();
    assert!(!lines.is_empty());
    let refused: Vec<_> = answer
        .verdicts
        .iter()
        .enumerate()
        .filter_map(|(record, verdict)| match verdict {
            Verdict::Transformed => None,
            Verdict::Refused(refusal) => Some((record, refusal.code.as_str())),
            Verdict::Filtered(reason) => panic!("record {record} was filtered: {reason}"),
        })
        .collect();
    let twice = |line: &&String| {
        line.contains(r#""example":"check_run.rerequested"#) && line.matches(r#""organization":{"#).count() > 1
    };
    let expected: Vec<_> =
        lines.iter().enumerate().filter(|(_, line)| twice(line)).map(|(at, _)| (at, "duplicate_key")).collect();
    assert_eq!(refused, expected);
    assert_eq!(answer.rows_of("delivery").count(), lines.len() - refused.len());
    let ids: BTreeSet<_> = answer.rows_of("delivery").map(|row| row.cells["id"].to_string()).collect();
    let distinct: BTreeSet<_> = lines.iter().collect();
    assert_eq!(ids.len(), distinct.len() - refused.len());
}

#[test]
fn distinct_entities_equal_an_independent_count() {
    let (lines, answer) = answer();
    let mut expected: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
    for line in &lines {
        let record: Value = serde_json::from_str(line).expect("the data is JSON");
        for object in objects(&record["payload"]) {
            let is = |name: &str| object.contains_key(name);
            let Some(id) = object.get("id").and_then(Value::as_i64) else { continue };
            let kind = match object.get("type").and_then(Value::as_str) {
                Some("User" | "Bot") if is("login") => "account",
                Some("Organization") if is("login") => "organization",
                None if is("login") && is("public_members_url") => "organization",
                _ if is("full_name") || (object.len() == 3 && is("url") && is("name")) => "repository",
                _ if is("repositories_url") && is("slug") => "team",
                _ if is("external_url") => "app",
                _ => continue,
            };
            expected.entry(kind).or_default().insert(id);
        }
    }
    for kind in ["account", "organization", "repository", "team", "app"] {
        let found: BTreeSet<_> = answer.rows_of(kind).map(key).collect();
        // A team that is only seen as gone is a key too, which the walk does not know.
        let gone: BTreeSet<_> =
            answer.rows_of(kind).filter(|row| row.operation == Operation::Delete).map(key).collect();
        let alive: BTreeSet<_> = found.difference(&gone).chain(expected[kind].intersection(&gone)).copied().collect();
        assert_eq!(alive, expected[kind], "{kind}");
    }
}

#[test]
fn repository_186853002_is_seen_in_all_its_copies() {
    let (lines, answer) = answer();
    let copies: usize = lines
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).expect("the data is JSON"))
        .map(|record| {
            let here = |object: &&serde_json::Map<String, Value>| object.get("id") == Some(&186853002.into());
            objects(&record["payload"]).into_iter().filter(here).count()
        })
        .sum();
    let rows: Vec<_> = answer.rows_of("repository").filter(|row| key(row) == 186853002).collect();
    assert_eq!(rows.len(), copies);
    for row in rows {
        assert_eq!(row.cells["seen_at"].as_str().map(|text| text.ends_with('Z')), Some(true));
        // Whatever push says in seconds, others say as text.
        let created = row.cells.get("created_at").and_then(Value::as_str);
        assert!(
            created.is_none_or(|text| ["2019-05-15T15:19:25Z", "2018-07-20T20:11:57Z"].contains(&text)),
            "{created:?}"
        );
    }
}

#[test]
fn a_copy_asserts_what_it_carries_and_no_more() {
    let answer = one(
        r#"{"delivered_at":"2020-04-27T16:11:26-07:00","event":"check_run","payload":{"check_run":{"pull_requests":[
            {"head":{"repo":{"id":7,"url":"https://api.github.com/repos/o/n","name":"n"}}}]},
            "label":{"id":8,"url":"https://api.github.com/repos/o/n/labels/bug","name":"bug"}}}"#,
    );
    let rows: Vec<_> = answer.rows_of("repository").collect();
    assert_eq!(rows.len(), 1, "{answer}");
    assert_eq!(rows[0].operation, Operation::Patch);
    let expected = serde_json::json!({ "id": 7, "name": "n", "seen_at": "2020-04-27T23:11:26Z" });
    assert_eq!(serde_json::json!(rows[0].cells), expected);
}

#[test]
fn a_sender_is_an_account_or_an_organisation_and_an_invitation_is_neither() {
    let delivery = |kind: &str| {
        let answer = one(&format!(
            r#"{{"delivered_at":"2020-01-01T00:00:00Z","event":"fork","payload":{{
                "sender":{{"login":"x","id":9,"type":"{kind}"}},
                "invitation":{{"login":"y","id":10,"role":"member"}}}}}}"#
        ));
        let row = answer.rows_of("delivery").next().expect("there is a delivery").clone();
        let embedded = answer.rows.len() - 1;
        (row.cells["sender_account.id"].clone(), row.cells["sender_organization.id"].clone(), embedded)
    };
    assert_eq!(delivery("Bot"), (9.into(), Value::Null, 1));
    assert_eq!(delivery("Organization"), (Value::Null, 9.into(), 1));
    assert_eq!(delivery("Ghost"), (Value::Null, Value::Null, 0));
}

#[test]
fn the_end_of_a_repository_comes_after_its_other_copies() {
    let answer = one(r#"{"delivered_at":"2020-01-01T00:00:00Z","event":"repository","payload":{"action":"deleted",
            "repository":{"id":7,"name":"n","full_name":"o/n","owner":{"login":"o","id":1,"type":"User"}},
            "other":{"id":7,"name":"n","full_name":"o/n"}}}"#);
    let operations: Vec<_> = answer.rows_of("repository").map(|row| row.operation).collect();
    assert_eq!(operations, [Operation::Patch, Operation::Delete]);
    assert_eq!(answer.rows_of("account").count(), 1);
    let gone = one(r#"{"delivered_at":"2020-01-01T00:00:00Z","event":"membership","payload":{"action":"removed",
            "team":{"id":3,"name":"t","deleted":true}}}"#);
    assert_eq!(gone.rows_of("team").map(|row| row.operation).collect::<Vec<_>>(), [Operation::Delete]);
    assert_eq!(gone.rows_of("delivery").next().map(|row| row.cells["team.id"].clone()), Some(3.into()));
}

#[test]
fn what_is_no_delivery_is_refused_with_a_reason() {
    let code = |payload: &str| match one(payload).verdicts.remove(0) {
        Verdict::Refused(refusal) => refusal.code,
        verdict => panic!("{payload}: {verdict:?}"),
    };
    assert_eq!(code("not JSON"), "invalid_json");
    assert_eq!(code("[]"), "no_delivery");
    assert_eq!(code(r#"{"delivered_at":"2020-01-01T00:00:00Z","event":"x"}"#), "no_delivery");
    assert_eq!(code(r#"{"delivered_at":"2020-01-01T00:00:00Z","payload":{}}"#), "no_delivery");
    assert_eq!(code(r#"{"delivered_at":"yesterday","event":"x","payload":{}}"#), "bad_timestamp");
    let wrong = r#"{"delivered_at":"2020-01-01T00:00:00Z","event":"x","payload":{
        "user":{"id":1,"login":"a","type":"User"},"repository":{"id":1,"name":"n","full_name":"o/n","fork":"maybe"}}}"#;
    assert_eq!(code(wrong), "wrong_type");
    assert!(one(wrong).rows.is_empty());
    let verdicts = harness().run(&[Record::tombstone()]).expect("the batch is answered").verdicts;
    assert_eq!(verdicts, [Verdict::Filtered("tombstone".into())]);
}

#[test]
fn cutting_the_batch_elsewhere_changes_nothing() {
    let lines: Vec<_> = lines().into_iter().take(60).collect();
    let whole = harness().run_payloads(&lines).expect("the batch is answered");
    let mut verdicts = Vec::new();
    let mut rows: BTreeMap<usize, Vec<AnsweredRow>> = BTreeMap::new();
    for (at, line) in lines.iter().enumerate() {
        let answer = one(line);
        verdicts.extend(answer.verdicts);
        for row in answer.rows {
            rows.entry(row.output).or_default().push(AnsweredRow { record: at, ..row });
        }
    }
    assert_eq!(verdicts, whole.verdicts);
    assert_eq!(rows.into_values().flatten().collect::<Vec<_>>(), whole.rows);
}

/// Bytes of real deliveries, cut, flipped and spliced: anything may be refused, nothing may panic.
#[test]
fn broken_deliveries_get_a_verdict_each() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let lines: Vec<_> = lines().into_iter().step_by(10).collect();
    let mut broken = Vec::new();
    for line in &lines {
        let mut bytes = line.as_bytes().to_vec();
        for _ in 0..3 {
            let at = random(bytes.len());
            bytes[at] = b"0\"{}[],:x\\\xffe-"[random(13)];
            broken.push(bytes.clone());
        }
        broken.push(line.as_bytes()[..random(line.len())].to_vec());
        let other = &lines[random(lines.len())];
        broken.push([&line.as_bytes()[..random(line.len())], &other.as_bytes()[random(other.len())..]].concat());
    }
    let answer = harness().run_payloads(&broken).expect("the batch is answered");
    let refused = answer.verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Refused(_))).count();
    assert!(refused > broken.len() / 4, "most of what is broken is refused: {refused} of {}", broken.len());
}
