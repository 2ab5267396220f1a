//! README's chapter "Your first tenant", followed word for word: every file it shows, every command it gives.

use std::process::Command;

use crate::readers::python;
use crate::support::{Workshop, call, root};

const CHAPTER: &str = "## Your first tenant";

/// A block of the chapter: its language, its text, and the last path that the prose before it names.
struct Block {
    language: String,
    text: String,
    file: Option<String>,
}

fn blocks() -> Vec<Block> {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("there is a README");
    let (_, chapter) = readme.split_once(CHAPTER).expect("README has the chapter");
    let chapter = chapter.split_once("\n## ").map_or(chapter, |(chapter, _)| chapter);
    let mut parts = chapter.split("\n```");
    let mut prose = parts.next().expect("a split has a first part").to_owned();
    let mut blocks = vec![];
    while let (Some(block), Some(after)) = (parts.next(), parts.next()) {
        let (language, text) = block.split_once('\n').expect("a block has lines");
        let file = prose.split('`').skip(1).step_by(2).filter(|quoted| quoted.starts_with("my-tenants/")).last();
        blocks.push(Block { language: language.to_owned(), text: format!("{text}\n"), file: file.map(str::to_owned) });
        prose = after.to_owned();
    }
    blocks
}

/// A workshop that holds the files of the chapter, and nothing else that matters.
pub(crate) fn shop() -> Workshop {
    let workshop = Workshop::new(&[]);
    for block in blocks() {
        if let (Some(file), true) = (&block.file, ["json", "yaml"].contains(&block.language.as_str())) {
            workshop.write(file, &block.text);
        }
    }
    workshop
}

#[test]
fn the_chapter_leads_from_an_ndjson_file_to_silver() {
    let workshop = shop();
    let mut said = vec![];
    for block in blocks() {
        match block.language.as_str() {
            "json" | "yaml" => assert!(block.file.is_some(), "no path is named before this file:\n{}", block.text),
            "sh" => {
                for line in block.text.lines() {
                    let arguments =
                        line.strip_prefix("silversmith ").unwrap_or_else(|| panic!("`{line}` calls something else"));
                    let done = call(&mut workshop.silversmith(arguments));
                    // `try` fails where it finds something to refuse, as the text says.
                    let code = i32::from(arguments.starts_with("try"));
                    assert_eq!(done.code, code, "`{line}`: {done:?}");
                    said.push((arguments.to_owned(), done.stdout));
                }
            }
            "python" => {
                let mut script = Command::new(python());
                let done =
                    script.args(["-c", &block.text]).current_dir(workshop.path("")).output().expect("Python runs");
                assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
                said.push(("python".to_owned(), String::from_utf8_lossy(&done.stdout).into_owned()));
            }
            other => panic!("the chapter has a block of `{other}`, and nobody knows what to do with it"),
        }
    }
    let of = |verb: &str| -> &str {
        let found = said.iter().find(|(arguments, _)| arguments.starts_with(verb));
        &found.unwrap_or_else(|| panic!("the chapter does not call `{verb}`")).1
    };
    let tried = of("try");
    assert!(tried.contains("3 records: 2 transformed, 0 filtered, 1 quarantined"), "{tried}");
    assert!(
        tried.contains("sales#2") && tried.contains("bad_timestamp"),
        "the third sale is refused for its time: {tried}"
    );
    assert!(of("run").contains("done"), "{}", of("run"));
    assert!(of("show").contains("2 versions"), "{}", of("show"));
    let quarantined = of("quarantine");
    assert!(quarantined.contains("sales#2") && quarantined.contains("bad_timestamp"), "{quarantined}");
    assert!(of("python").contains("C1"), "{}", of("python"));
}
