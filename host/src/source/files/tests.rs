//! Each defined outcome of the table in `files`, on real folders.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// Records as (file, line, payload).
type Read = Vec<(String, Option<i64>, Vec<u8>)>;

/// A folder of files and what Bronze knows of it.
struct Host {
    folder: tempfile::TempDir,
    progress: Progress,
}

impl Host {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), progress: Progress::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), bytes).unwrap();
    }

    fn append(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let mut file = OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(bytes.as_ref()).unwrap();
    }

    fn source(&self, shape: Shape, reading: Reading) -> Files {
        Files::new("orders", self.folder.path().to_owned(), vec![Pattern::parse("*").unwrap()], shape, reading, None)
    }

    fn resumed(&self, reading: Reading) -> Files {
        let mut source = self.source(Shape::Lines, reading);
        source.resume(&self.progress).unwrap();
        source
    }

    /// Commits what `source` gives to the progress, until there is no more or `batches` came.
    fn drain(&mut self, source: &mut Files, bounds: BatchBounds, batches: usize) -> Result<Read, (Read, SourceError)> {
        let mut read = Read::new();
        for _ in 0..batches {
            let batch = match source.next(bounds) {
                Ok(Next::Batch(batch)) => batch,
                Ok(Next::Ended | Next::Nothing) => break,
                Err(error) => return Err((read, error)),
            };
            let first = self.progress.transactions.get("orders").map_or(0, |last| last + 1);
            let [span] = batch.spans.as_slice() else { panic!("one span a batch") };
            assert_eq!((span.first, span.last), (first, first + batch.len() as i64 - 1));
            assert!(!batch.is_empty());
            for index in 0..batch.len() {
                assert_eq!(batch.position(index).offset, first + index as i64);
                let file = batch.file(index).unwrap().to_owned();
                read.push((file, batch.line(index), batch.payloads().value(index).to_vec()));
            }
            self.progress.transactions.insert("orders".into(), span.last);
            self.progress.evidence.push(batch.evidence);
        }
        Ok(read)
    }

    /// A process that reads all there is, once.
    fn run(&mut self) -> Result<Read, (Read, SourceError)> {
        self.run_as(Shape::Lines)
    }

    fn run_as(&mut self, shape: Shape) -> Result<Read, (Read, SourceError)> {
        let mut source = self.source(shape, Reading::Once);
        source.resume(&self.progress).map_err(|error| (Read::new(), error))?;
        self.drain(&mut source, BOUNDS, usize::MAX)
    }

    #[track_caller]
    fn gives(&mut self, expected: &[(&str, i64, &str)]) {
        let read = self.run().unwrap();
        assert_eq!(read, lines(expected));
    }

    #[track_caller]
    fn halts(&mut self, expected: &str) {
        let (read, error) = self.run().unwrap_err();
        assert_eq!(read, Read::new());
        halted(&error, expected);
    }

    /// Makes the files old enough for their facts to be relied on; ctime cannot be set, so it is waited for.
    fn settle(&self) {
        std::thread::sleep(Duration::from_millis(2100));
    }
}

const BOUNDS: BatchBounds = BatchBounds { records_max: 1000, bytes_max: 1 << 20 };

fn lines(expected: &[(&str, i64, &str)]) -> Read {
    expected.iter().map(|(file, line, text)| ((*file).to_owned(), Some(*line), text.as_bytes().to_vec())).collect()
}

#[track_caller]
fn halted(error: &SourceError, expected: &str) {
    let text = error.to_string();
    assert!(!error.is_retryable(), "{text}");
    assert!(text.contains(expected), "found `{text}`, expected `{expected}` in it");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

#[test]
fn files_are_read_in_the_order_of_their_paths() {
    let mut host = Host::new();
    host.write("b", "3\n");
    host.write("a", "1\n2\n");
    host.gives(&[("a", 1, "1"), ("a", 2, "2"), ("b", 1, "3")]);
    host.gives(&[]);
}

#[test]
fn a_new_file_is_read_whatever_its_name_and_one_that_grew_is_read_on() {
    let mut host = Host::new();
    host.write("m", "1\n");
    host.gives(&[("m", 1, "1")]);
    host.write("a", "2\n");
    host.append("m", "3\n");
    host.gives(&[("a", 1, "2"), ("m", 2, "3")]);
}

#[test]
fn a_line_is_stored_without_its_line_end_and_byte_for_byte_otherwise() {
    let mut host = Host::new();
    host.write("a", b"\xef\xbb\xbf{}\r\n \t\n\r\r\n\xff\0\n\n\r\nlast");
    let read = host.run().unwrap();
    let found: Vec<_> = read.iter().map(|(_, line, payload)| (line.unwrap(), payload.as_slice())).collect();
    assert_eq!(found, [(1, &b"\xef\xbb\xbf{}"[..]), (2, b" \t"), (3, b"\r"), (4, b"\xff\0"), (7, b"last")]);
}

#[test]
fn a_last_line_without_its_end_is_a_record_and_may_get_its_end_later() {
    for (line_end, first) in [("\n", "x"), ("\r\n", "x"), ("\n", "x\r")] {
        let mut host = Host::new();
        host.write("a", first);
        host.gives(&[("a", 1, "x")]);
        host.gives(&[]);
        host.append("a", line_end);
        host.append("a", "y");
        host.gives(&[("a", 2, "y")]);
        host.append("a", "\n\nz\n");
        host.gives(&[("a", 4, "z")]);
    }
}

#[test]
fn a_last_line_that_goes_on_after_it_was_read_halts() {
    let mut host = Host::new();
    host.write("a", "x");
    host.gives(&[("a", 1, "x")]);
    host.append("a", "y\n");
    host.halts("file `a` goes on in the middle of line 1, which was read as its last");
    host.halts("expected a line end behind byte 1");
    host.write("a", "x\ny\n");
    host.gives(&[("a", 2, "y")]);
}

#[test]
fn following_waits_for_the_end_of_a_line_and_for_new_files() {
    let mut host = Host::new();
    host.write("a", "1\nhal");
    let mut source = host.resumed(Reading::Following);
    let mut next = |host: &mut Host| host.drain(&mut source, BOUNDS, usize::MAX).unwrap();
    assert_eq!(next(&mut host), lines(&[("a", 1, "1")]));
    assert_eq!(next(&mut host), []);
    host.append("a", "f\n");
    host.write("0", "new\n");
    assert_eq!(next(&mut host), lines(&[("0", 1, "new"), ("a", 2, "half")]));
    host.append("a", "end");
    assert_eq!(next(&mut host), []);
    host.settle();
    host.gives(&[("a", 3, "end")]);
}

#[test]
fn a_line_that_following_left_alone_is_read_by_the_last_run_though_the_file_is_unchanged() {
    let mut host = Host::new();
    host.write("a", "1\nrest");
    host.settle();
    let mut source = host.resumed(Reading::Following);
    assert_eq!(host.drain(&mut source, BOUNDS, 9).unwrap(), lines(&[("a", 1, "1")]));
    assert!(host.progress.evidence[0]["files"]["a"]["facts"].is_object());
    host.gives(&[("a", 2, "rest")]);
}

#[test]
fn a_file_that_shrank_halts_until_it_is_as_it_was() {
    let mut host = Host::new();
    host.write("a", "1\n2\n");
    host.gives(&[("a", 1, "1"), ("a", 2, "2")]);
    host.write("a", "1\n");
    host.halts("file `a` ends after 2 bytes, expected the 4 that were read");
    host.write("a", "1\n2\n3\n");
    host.gives(&[("a", 3, "3")]);
}

#[test]
fn a_file_whose_consumed_part_changed_halts() {
    let mut host = Host::new();
    host.write("a", "1\n2\n");
    host.gives(&[("a", 1, "1"), ("a", 2, "2")]);
    host.write("a", "1\n3\n");
    host.halts("file `a` is not what it was in its first 4 bytes");
    host.write("a", "1\n3\n4\n5\n");
    host.halts("file `a` is not what it was in its first 4 bytes");
}

#[test]
fn a_change_is_seen_while_following() {
    let mut host = Host::new();
    host.write("a", "1\n");
    let mut source = host.resumed(Reading::Following);
    host.drain(&mut source, BOUNDS, 9).unwrap();
    host.write("a", "2\n3\n");
    let (_, error) = host.drain(&mut source, BOUNDS, 9).unwrap_err();
    halted(&error, "is not what it was");
    host.write("a", "1\n3\n");
    assert_eq!(host.drain(&mut source, BOUNDS, 9).unwrap(), lines(&[("a", 2, "3")]));
}

#[test]
fn what_came_before_a_halt_is_read_and_the_halt_stays() {
    let mut host = Host::new();
    host.write("b", "x");
    host.gives(&[("b", 1, "x")]);
    host.write("a", "1\n");
    host.append("b", "y\n");
    host.settle();
    let (read, error) = host.run().unwrap_err();
    assert_eq!(read, lines(&[("a", 1, "1")]));
    halted(&error, "goes on in the middle of line 1");
    host.halts("goes on in the middle of line 1");
}

#[test]
fn a_file_that_is_gone_halts_only_before_its_end() {
    let mut host = Host::new();
    host.write("a", "1\n2\n");
    let one = BatchBounds { records_max: 1, ..BOUNDS };
    let mut source = host.resumed(Reading::Once);
    host.drain(&mut source, one, 1).unwrap();
    fs::rename(host.path("a"), host.path(".a")).unwrap();
    host.halts("file `a` is gone and was read only up to byte 2, line 1");
    fs::rename(host.path(".a"), host.path("a")).unwrap();
    host.gives(&[("a", 2, "2")]);
    fs::remove_file(host.path("a")).unwrap();
    host.gives(&[]);
    host.write("a", "1\n2\n3\n");
    host.gives(&[("a", 3, "3")]);
}

#[test]
fn archives_are_told_by_their_bytes_and_have_several_members() {
    let mut host = Host::new();
    host.write("a", [gzip(b"1\n2"), gzip(b"3\n4")].concat());
    host.write("b.gz", "plain\n");
    host.write("c.ndjson", [zstd(b"5\n"), zstd(b"6\n")].concat());
    let all = [
        ("a", 1, "1"),
        ("a", 2, "23"),
        ("a", 3, "4"),
        ("b.gz", 1, "plain"),
        ("c.ndjson", 1, "5"),
        ("c.ndjson", 2, "6"),
    ];
    host.gives(&all);
    host.gives(&[]);
    host.append("c.ndjson", zstd(b"7\n"));
    host.append("a", gzip(b"\n8\n"));
    host.gives(&[("a", 4, "8"), ("c.ndjson", 3, "7")]);
}

#[test]
fn an_archive_compressed_again_is_the_same_file() {
    let mut host = Host::new();
    host.write("a", gzip(b"1\n"));
    host.gives(&[("a", 1, "1")]);
    host.write("a", zstd(b"1\n2\n"));
    host.gives(&[("a", 2, "2")]);
}

#[test]
fn a_truncated_archive_gives_what_it_has_and_goes_on_when_it_is_whole() {
    let text: String = (0..20_000).map(|i| format!("{{\"id\":{}}}\n", i * 7919 % 100_003)).collect();
    for whole in [gzip(text.as_bytes()), zstd(text.as_bytes())] {
        let mut host = Host::new();
        host.write("a", &whole[..whole.len() / 2]);
        let (before, error) = host.run().unwrap_err();
        halted(&error, "archive `a` is damaged or cut off after");
        assert!(before.len() < 20_000);
        let (none, error) = host.run().unwrap_err();
        assert_eq!(none, []);
        halted(&error, &format!("{} lines of it are in Bronze", before.len()));
        host.write("a", &whole);
        let after = host.run().unwrap();
        let read: Vec<u8> =
            before.iter().chain(&after).flat_map(|(_, _, payload)| [payload, &b"\n"[..]].concat()).collect();
        assert_eq!(read, text.as_bytes());
        // zstd gives nothing before the first block is whole; gzip does.
        assert!(!before.is_empty() || whole.starts_with(&[0x28]));
    }
}

#[test]
fn a_corrupt_archive_halts() {
    let mut host = Host::new();
    let mut bytes = gzip(&b"{\"a\":1}\n".repeat(1000));
    let crc = bytes.len() - 8;
    bytes[crc] ^= 1;
    host.write("a", bytes);
    let (_, error) = host.run().unwrap_err();
    halted(&error, "archive `a` is damaged or cut off");
}

#[test]
fn a_huge_line_is_a_batch_of_its_own() {
    let host = Host::new();
    let huge = "x".repeat(100 << 20);
    host.write("a", format!("1\n{huge}\n2\n"));
    let mut source = host.resumed(Reading::Once);
    let mut sizes = vec![];
    while let Next::Batch(batch) = source.next(BOUNDS).unwrap() {
        sizes.push((batch.len(), batch.payloads().value_data().len()));
    }
    assert_eq!(sizes, [(1, 1), (1, 100 << 20), (1, 1)]);
}

#[test]
fn a_record_over_the_maximum_halts() {
    let mut host = Host::new();
    host.write("a", format!("1\n{}\n2\n", "x".repeat(101)));
    for (maximum, shape) in [(100, Shape::Lines), (100, Shape::Documents)] {
        let mut source = host.source(shape, Reading::Once);
        source.manner.record_bytes_max = maximum;
        source.resume(&Progress::default()).unwrap();
        let mut host = Host { folder: tempfile::tempdir().unwrap(), progress: Progress::default() };
        let (read, error) = host.drain(&mut source, BOUNDS, 9).unwrap_err();
        assert_eq!(read.len(), usize::from(shape == Shape::Lines));
        halted(&error, "of file `a` has more than 100 bytes");
    }
    host.gives(&[("a", 1, "1"), ("a", 2, &"x".repeat(101)), ("a", 3, "2")]);
}

#[test]
fn documents_are_one_record_each_an_empty_one_too() {
    let mut host = Host::new();
    host.write("a.json", "{\n}\n");
    host.write("b.json", "");
    host.write("c.json.gz", gzip(b"[1]"));
    let document = |file: &str, payload: &str| (file.to_owned(), None, payload.as_bytes().to_vec());
    let expected = [document("a.json", "{\n}\n"), document("b.json", ""), document("c.json.gz", "[1]")];
    assert_eq!(host.run_as(Shape::Documents).unwrap(), expected);
    assert_eq!(host.run_as(Shape::Documents).unwrap(), []);
    for changed in ["{\n}\n\n", "{}\n\n", "{"] {
        host.write("a.json", changed);
        let (_, error) = host.run_as(Shape::Documents).unwrap_err();
        assert!(!error.is_retryable() && error.to_string().contains("a.json"), "{error}");
    }
    host.write("a.json", "{\n}\n");
    host.write("b.json", "{}");
    let (_, error) = host.run_as(Shape::Documents).unwrap_err();
    halted(&error, "document `b.json` has more than the 0 bytes that were read");
}

#[test]
fn following_leaves_a_young_document_alone() {
    let mut host = Host::new();
    host.write("a.json", "{}");
    let mut source = host.source(Shape::Documents, Reading::Following);
    source.resume(&host.progress).unwrap();
    assert_eq!(host.drain(&mut source, BOUNDS, 9).unwrap(), []);
    host.settle();
    assert_eq!(host.drain(&mut source, BOUNDS, 9).unwrap().len(), 1);
}

#[test]
fn empty_files_folders_and_hidden_files_give_nothing() {
    let mut host = Host::new();
    host.write("empty", "");
    host.write("blank", "\n\r\n\n");
    host.write(".hidden", "1\n");
    host.write("folder/inside", "1\n");
    host.gives(&[]);
    assert!(host.progress.evidence.is_empty());
    host.append("blank", "1\n");
    host.gives(&[("blank", 4, "1")]);
}

#[test]
fn a_file_that_cannot_be_read_may_be_tried_again() {
    let mut host = Host::new();
    host.write("a", "1\n");
    host.write("b", "2\n");
    let mut source = host.resumed(Reading::Once);
    // Permissions do not bind root, but nobody can read a folder's bytes.
    fs::remove_file(host.path("b")).unwrap();
    fs::create_dir(host.path("b")).unwrap();
    let (read, error) = host.drain(&mut source, BOUNDS, 9).unwrap_err();
    assert_eq!(read, lines(&[("a", 1, "1")]));
    assert!(error.is_retryable(), "{error}");
    fs::remove_dir(host.path("b")).unwrap();
    host.write("b", "2\n");
    assert_eq!(host.drain(&mut source, BOUNDS, 9).unwrap(), lines(&[("b", 1, "2")]));
}

#[test]
fn a_missing_folder_may_be_tried_again() {
    let mut source = Files::new("orders", "/nowhere/at/all".into(), vec![], Shape::Lines, Reading::Once, None);
    let error = source.resume(&Progress::default()).unwrap_err();
    assert!(error.is_retryable());
    assert_eq!(error.to_string(), "failed to read `/nowhere/at/all` of source `orders`");
}

#[test]
fn what_was_consumed_is_not_hashed_again_while_its_facts_stand() {
    let mut host = Host::new();
    let text: String = (0..300_000).map(|i| format!("line {i}\n")).collect();
    assert!(text.len() as u64 > 2 * ledger::BLOCK_BYTES);
    host.write("a", &text);
    host.settle();
    let mut source = host.resumed(Reading::Once);
    let half = BatchBounds { records_max: 250_000, bytes_max: usize::MAX };
    host.drain(&mut source, half, 1).unwrap();
    let known = source.ledger["a"].consumed.clone();
    assert!(known.facts.is_some());

    // A first block that is not what it was goes unseen under the same facts, and is seen without them.
    let mut forged = known.clone();
    forged.facts = None;
    let path = host.path("a");
    let manner = source.manner;
    assert!(Reader::open(&path, Some(&known), None, manner).is_ok());
    assert!(Reader::open(&path, Some(&forged), None, manner).is_ok());
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, text.replacen("line 0", "line x", 1)).unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    assert!(matches!(Reader::open(&path, Some(&known), None, manner), Err(ReadError::Changed)));
    let forged = Consumed { facts: Some(Facts::of(&fs::metadata(&path).unwrap())), ..known };
    assert!(Reader::open(&path, Some(&forged), None, manner).is_ok());
}

#[test]
fn a_summary_stands_for_the_evidence_before_it() {
    let mut host = Host::new();
    host.write("a", "1\n2\n");
    host.write("b", "3\n");
    let one = BatchBounds { records_max: 1, ..BOUNDS };
    let mut source = host.resumed(Reading::Once);
    host.drain(&mut source, one, 2).unwrap();
    host.progress.evidence = vec![source.summary()];
    host.drain(&mut source, one, 2).unwrap();
    assert_eq!(host.progress.evidence.len(), 2);
    host.gives(&[]);
}

#[test]
fn lost_evidence_halts() {
    let mut host = Host::new();
    host.write("a", "1\n2\n");
    host.run().unwrap();
    host.progress.evidence.clear();
    host.halts("Bronze holds 2 records, and its accounts tell of 0");
    host.progress.evidence = vec![serde_json::json!({"files": 3})];
    host.halts("an account in Bronze cannot be read");
}

#[test]
fn a_source_may_declare_the_schema_version() {
    let host = Host::new();
    host.write("a", "1\n");
    let mut source = host.source(Shape::Lines, Reading::Once);
    source.schema_version = Some("2.1".into());
    source.resume(&Progress::default()).unwrap();
    let Next::Batch(batch) = source.next(BOUNDS).unwrap() else { panic!("there is a record") };
    assert_eq!(batch.schema_version(0), Some("2.1"));
}

#[test]
fn progress_is_measured_in_bytes_on_disk() {
    let mut host = Host::new();
    host.write("a", "1\n2\n");
    host.write("b", gzip(b"3\n"));
    let size = 4 + fs::metadata(host.path("b")).unwrap().len();
    let mut source = host.resumed(Reading::Once);
    assert_eq!(source.measure(), Some((size, 0)));
    host.drain(&mut source, BOUNDS, 9).unwrap();
    assert_eq!(source.measure(), Some((size, size)));
    assert_eq!(host.resumed(Reading::Once).measure().unwrap().0, size);
}

/// What happens to the folder and to the processes that read it.
#[derive(Clone, Debug)]
enum Step {
    Append { file: usize, text: Vec<u8> },
    Read { batches: usize, records_max: usize, bytes_max: usize },
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let byte = prop_oneof![4 => Just(b'x'), 2 => Just(b'\n'), 1 => Just(b'\r')];
    let step = prop_oneof![
        3 => (0usize..3, prop::collection::vec(byte, 0..12)).prop_map(|(file, text)| Step::Append { file, text }),
        3 => (1usize..4, 1usize..4, 0usize..9)
            .prop_map(|(batches, records_max, bytes_max)| Step::Read { batches, records_max, bytes_max }),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 0..24)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn appends_bounds_and_restarts_give_the_records_of_one_reading(steps in steps()) {
        let (mut host, mut whole) = (Host::new(), Host::new());
        let mut source = host.resumed(Reading::Following);
        let mut read = Read::new();
        for step in steps {
            match step {
                Step::Append { file, text } => {
                    host.append(&format!("{file}"), &text);
                    whole.append(&format!("{file}"), &text);
                }
                Step::Read { batches, records_max, bytes_max } => {
                    read.extend(host.drain(&mut source, BatchBounds { records_max, bytes_max }, batches).unwrap());
                }
                Step::Restart => source = host.resumed(Reading::Following),
            }
        }
        read.extend(host.run().unwrap());
        let position = |read: &(String, Option<i64>, Vec<u8>)| (read.0.clone(), read.1);
        let in_order = |file: &&str| read.iter().filter(|read| read.0 == **file).map(position).is_sorted();
        prop_assert!(["0", "1", "2"].iter().all(in_order));
        read.sort();
        prop_assert_eq!(read, whole.run().unwrap());
    }
}
