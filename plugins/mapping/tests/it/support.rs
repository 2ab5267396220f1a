//! Configurations from the few words that a test is about.

use silversmith_plugin_mapping::Mappings;
use silversmith_sdk::plugin::{
    ConfigFile, Configuration, ContractColumn, DataType, DecimalType, Diagnostic, EntityContract, Verdict,
};
use silversmith_sdk::testing::{Answer, AnsweredRow, Harness};

/// `name: column type [key|required], …`, one entity a line.
pub(crate) fn contracts(text: &str) -> Vec<EntityContract> {
    let entity = |line: &str| {
        let (name, columns) = line.split_once(':').expect("`entity: columns`");
        EntityContract { name: name.trim().to_owned(), columns: columns.split(';').map(column).collect() }
    };
    text.lines().filter(|line| !line.trim().is_empty()).map(entity).collect()
}

fn column(text: &str) -> ContractColumn {
    let mut words = text.split_whitespace();
    let (name, data_type) = (words.next().expect("a name"), words.next().expect("a type"));
    let rest: Vec<_> = words.collect();
    let key = rest.contains(&"key");
    ContractColumn {
        name: name.to_owned(),
        data_type: data_type_of(data_type),
        required: key || rest.contains(&"required"),
        key,
    }
}

pub(crate) fn data_type_of(text: &str) -> DataType {
    match text {
        "text" => DataType::Text,
        "int64" => DataType::Int64,
        "float64" => DataType::Float64,
        "boolean" => DataType::Boolean,
        "date" => DataType::Date,
        "timestamp" => DataType::Timestamp,
        "binary" => DataType::Binary,
        "json" => DataType::Json,
        decimal => {
            let digits = decimal.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')')).expect("a type");
            let (precision, scale) = digits.split_once(',').expect("`decimal(precision,scale)`");
            DataType::Decimal(DecimalType {
                precision: precision.parse().expect("digits"),
                scale: scale.parse().expect("digits"),
            })
        }
    }
}

/// One mapping file for every record of the source `orders`.
pub(crate) fn configuration(mapping: &str, contracts: Vec<EntityContract>) -> Configuration {
    Configuration {
        source: "orders".to_owned(),
        settings: r#"{"mapping": "mappings/orders.yaml"}"#.to_owned(),
        files: vec![ConfigFile { path: "mappings/orders.yaml".to_owned(), text: mapping.to_owned() }],
        entities: contracts,
    }
}

pub(crate) fn harness(configuration: &Configuration) -> Harness<Mappings> {
    Harness::new(configuration).unwrap_or_else(|errors| panic!("{}", rendered(&errors)))
}

/// What the answer to `payloads` says, under a mapping that has the head and `entities` of `body`.
pub(crate) fn run(body: &str, contracts_text: &str, payloads: &[&str]) -> Answer {
    let mapping = format!("mapping: 1\n{body}");
    harness(&configuration(&mapping, contracts(contracts_text))).run_payloads(payloads).expect("the batch is answered")
}

/// `operation entity {cells}` of each row.
pub(crate) fn rows(answer: &Answer) -> Vec<String> {
    answer.rows.iter().map(row).collect()
}

pub(crate) fn row(row: &AnsweredRow) -> String {
    let cells = serde_json::to_string(&row.cells).expect("cells are JSON");
    format!("{:?} {} {cells}", row.operation, row.entity).replace('"', "'").replace("Operation::", "")
}

/// `code field path value step` of a record's refusal, or its verdict.
pub(crate) fn verdict(answer: &Answer, record: usize) -> String {
    match &answer.verdicts[record] {
        Verdict::Transformed => "transformed".to_owned(),
        Verdict::Filtered(reason) => format!("filtered {reason}"),
        Verdict::Refused(refusal) => {
            let part = |part: &Option<String>| part.clone().unwrap_or_else(|| "-".to_owned());
            let (field, path, value, step) =
                (part(&refusal.field), part(&refusal.path), part(&refusal.value), part(&refusal.step));
            format!("refused {} {field} {path} {value} {step}", refusal.code)
        }
    }
}

/// `file:line:column: message` and the hint, one finding after the other.
pub(crate) fn rendered(findings: &[Diagnostic]) -> String {
    let line = |finding: &Diagnostic| {
        let Diagnostic { file, line, column, message, hint } = finding;
        let hint = hint.as_ref().map(|hint| format!("\n  hint: {hint}")).unwrap_or_default();
        format!("{file}:{line}:{column}: {message}{hint}")
    };
    findings.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What is wrong with a mapping that has the head and `entities` of `body`.
pub(crate) fn errors(body: &str, contracts_text: &str) -> String {
    let configuration = configuration(&format!("mapping: 1\n{body}"), contracts(contracts_text));
    match Harness::<Mappings>::new(&configuration) {
        Err(errors) => rendered(&errors).replace("mappings/orders.yaml:", ""),
        Ok(_) => panic!("found a sound mapping, expected errors"),
    }
}

/// The warnings of a sound mapping.
pub(crate) fn warnings(body: &str, contracts_text: &str) -> String {
    let configuration = configuration(&format!("mapping: 1\n{body}"), contracts(contracts_text));
    rendered(&harness(&configuration).descriptor().warnings).replace("mappings/orders.yaml:", "")
}

/// A file of the real data, or none where the data is not at hand.
pub(crate) fn data(path: &str) -> std::path::PathBuf {
    let root = std::env::var_os("SILVERSMITH_DATA").map_or_else(
        || std::path::PathBuf::from(concat!(env!("SILVERSMITH_ROOT"), "/../shared/data")),
        std::path::PathBuf::from,
    );
    root.join(path)
}
