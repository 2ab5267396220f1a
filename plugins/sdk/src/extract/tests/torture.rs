//! JSONTestSuite (Nicolas Seriot): what every JSON parser must refuse and accept, followed and skipped.

use std::fs;

use super::{super::*, data, path};

/// What the suite leaves open, and is accepted here: numbers of any size and nesting up to the limit. The rest of it is refused: text that is not UTF-8, lone halves
/// of surrogate pairs, and a byte order mark.
const OPEN_AND_ACCEPTED: &[&str] = &[
    "i_number_double_huge_neg_exp.json",
    "i_number_huge_exp.json",
    "i_number_neg_int_huge_exp.json",
    "i_number_pos_double_huge_exp.json",
    "i_number_real_neg_overflow.json",
    "i_number_real_pos_overflow.json",
    "i_number_real_underflow.json",
    "i_number_too_big_neg_int.json",
    "i_number_too_big_pos_int.json",
    "i_number_very_big_negative_int.json",
    "i_structure_500_nested_arrays.json",
];

/// Accepted where no path follows the name that stands twice.
const TWICE: &[&str] = &["y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"];

fn read(text: Option<&str>, record: &[u8]) -> Result<(), JsonError> {
    let mut builder = Plan::builder();
    if let Some(text) = text {
        builder.select(builder.record(), Base::Record, path(text));
    }
    let plan = builder.build();
    Extraction::new(&plan).read(record).map(drop)
}

#[test]
fn the_torture_suite_is_refused_and_accepted_as_it_must() {
    let files = fs::read_dir(data("json-torture-nst").join("test_parsing")).expect("the suite can be read");
    let (mut n_files, mut wrong) = (0, Vec::new());
    for file in files {
        let file = file.expect("the suite can be listed").path();
        let name = file.file_name().expect("a file has a name").to_string_lossy().into_owned();
        let record = fs::read(&file).expect("the suite can be read");
        n_files += 1;
        for text in [None, Some("$"), Some("$[0]"), Some("$.x.y"), Some("$[0][0].a.b"), Some("$..*")] {
            let expected = match &name[..2] {
                "y_" => !(text == Some("$..*") && TWICE.contains(&name.as_str())),
                "n_" => false,
                _ => OPEN_AND_ACCEPTED.contains(&name.as_str()),
            };
            let read = read(text, &record);
            if read.is_ok() != expected {
                wrong.push(format!("{name} with {text:?}: {read:?}, expected {expected}"));
            }
        }
    }
    assert!(n_files >= 150, "{n_files} files: the suite is not whole");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
