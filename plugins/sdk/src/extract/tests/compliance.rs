//! The RFC 9535 compliance suite, all of it, against parser, plan, pass and evaluator together.

use std::fs;

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{data, select};
use crate::path::Path;

/// Tests that fail, each with its reason.
const KNOWN_FAILURES: &[(&str, &str)] = &[];

#[derive(Deserialize)]
struct Suite {
    tests: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    selector: String,
    #[serde(default)]
    invalid_selector: bool,
    document: Option<Box<RawValue>>,
    result: Option<Vec<Value>>,
    results: Option<Vec<Vec<Value>>>,
}

impl Case {
    fn run(&self) -> Result<(), String> {
        if self.invalid_selector {
            return match Path::parse(&self.selector) {
                Ok(_) => Err("accepted, and is invalid".into()),
                Err(_) => Ok(()),
            };
        }
        Path::parse(&self.selector).map_err(|error| format!("refused: {error}"))?;
        let document = self.document.as_ref().expect("a valid selector comes with a document");
        let found = select(document.get(), &self.selector).map_err(|error| error.to_string())?;
        let found: Vec<Value> =
            found.iter().map(|raw| serde_json::from_str(raw).expect("a selected value is JSON")).collect();
        let expected = self.results.clone().unwrap_or_else(|| self.result.clone().into_iter().collect());
        if expected.contains(&found) { Ok(()) } else { Err(format!("selected {found:?}, expected {expected:?}")) }
    }
}

#[test]
fn the_compliance_suite_passes() {
    let suite = fs::read(data("jsonpath-cts").join("cts.json")).expect("the suite can be read");
    let Suite { tests } = serde_json::from_slice(&suite).expect("the suite is JSON of its own schema");
    assert!(tests.len() >= 300, "{} tests: the suite is not whole", tests.len());

    let mut wrong = Vec::new();
    for case in &tests {
        let known = KNOWN_FAILURES.iter().find(|(name, _)| *name == case.name);
        match (case.run(), known) {
            (Ok(()), Some((name, _))) => wrong.push(format!("{name}: passes now; take it off the list")),
            (Err(error), None) => wrong.push(format!("{} `{}`: {error}", case.name, case.selector)),
            (Ok(()), None) | (Err(_), Some(_)) => {}
        }
    }
    assert!(wrong.is_empty(), "{} of {} tests:\n{}", wrong.len(), tests.len(), wrong.join("\n"));
}
