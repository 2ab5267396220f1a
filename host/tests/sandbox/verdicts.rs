//! What becomes of records: the same in every batch, and never more than the one record that is to blame.

use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use silversmith::entity::{Answer, Verdict};
use silversmith::sandbox::{Engine, HostFault, Limits, LogLevel, Patience};

use crate::guest::{alone, assemble, batch, engine, hostile, plain, plugin, refusal, run, settings, times};

/// Limits under which hostile records fail fast.
fn tight() -> Limits {
    Limits { fuel_base: 2_000_000, ..Limits::default() }
}

/// The record of each row, and its `id`.
fn rows(answer: &Answer) -> Vec<(u32, i64)> {
    let Some(rows) = answer.rows.first() else { return vec![] };
    let ids = rows.columns[0].values.as_primitive::<Int64Type>();
    rows.record.iter().copied().zip(ids.values().iter().copied()).collect()
}

/// Fuel of one call with one record that burns nothing, and of one turn of its loop.
fn fuel_of_a_turn() -> (u64, u64) {
    let plugin = plugin(&hostile("puppet"), Limits::default());
    let fuel = |turns| run(&plugin, &batch([Some(&times(b'b', turns)[..])])).1.fuel;
    (fuel(0), fuel(1) - fuel(0))
}

#[test]
fn every_crime_has_its_code() {
    let puppet = plugin(&hostile("puppet"), tight());
    let check = |record: &[u8], code: &str, message: &str| {
        let found = refusal(&puppet, record);
        assert!(found.0 == code && found.1.contains(message), "{record:?}: {found:?}");
        assert_eq!(refusal(&puppet, record), found, "the same again");
    };
    check(b"l", "fuel", "used more than 2001000 fuel");
    check(b"w", "fuel", "used more than");
    check(b"u", "trap", "unreachable");
    check(b"r", "trap", "call stack exhausted");
    check(b"m", "memory", "needs more than 268435456 of `memory_bytes`");
    check(b"t", "memory", "needs more than 65536 of `table_elements`");
    check(b"eno \x1b[2J", "plugin_error", "no \\u{1b}[2J");
    check(b"i", "bad_answer", "row of record 1 in output 0 (`thing`), expected a record that is transformed");
    check(b"c", "bad_answer", "found 2 verdicts, expected one for each of 1 records");
    check(b"d", "bad_answer", "discriminant");
    check(b"p", "bad_answer", "out of bounds");
    check(b"a", "bad_answer", "align");
    check(b"f\xff\xfe", "bad_answer", "utf-8");
    check(&times(b'q', 100_000_000), "output_bytes", "returned more than 1048736 bytes");
    let rich = Limits { fuel_base: 1_000_000_000, ..Limits::default() };
    let (code, _) = refusal(&plugin(&hostile("puppet"), rich), &times(b'g', 90_000));
    assert_eq!(code, "output_bytes");
    let roomy = plugin(&hostile("puppet"), Limits { output_bytes_base: 1 << 30, ..rich });
    let (code, message) = refusal(&roomy, &times(b'g', 10_000_000));
    assert_eq!((&*code, &*message), ("output_rows", "returned more than 100000 rows"));
    assert_eq!(alone(&puppet, b"fheartbeat"), Verdict::Filtered("heartbeat".into()));
}

#[test]
fn an_error_of_a_plugin_is_cut() {
    let puppet = plugin(&hostile("puppet"), Limits::default());
    let (code, message) = refusal(&puppet, &[b"e", &b"x".repeat(1 << 20)[..]].concat());
    assert_eq!((&*code, message.len()), ("plugin_error", 1024));
}

#[test]
fn only_the_records_to_blame_are_refused() {
    let puppet = plugin(&hostile("puppet"), tight());
    let crimes: [&[u8]; 14] =
        [b"l", b"u", b"r", b"m", b"t", b"eno", b"i", b"c", b"d", b"p", b"a", b"f\xff", b"w", &times(b'q', 100_000_000)];
    for crime in crimes {
        let (code, _) = refusal(&puppet, crime);
        let records: Vec<&[u8]> = (0..1000).map(|i| if i == 999 { crime } else { b"o" }).collect();
        let (answer, report) = run(&puppet, &batch(records.iter().map(|record| Some(*record))));
        let refused: Vec<_> = answer.verdicts.iter().enumerate().filter(|(_, v)| **v != Verdict::Transformed).collect();
        let [(999, Verdict::Refused(refusal))] = &refused[..] else { panic!("{code}: {refused:?}") };
        assert_eq!(refusal.code, code);
        assert_eq!(rows(&answer), (0..999).map(|i| (i, 7)).collect::<Vec<_>>());
        assert!(report.calls <= 1 + 2 * 10 + 10, "{code}: {} calls for one bad record", report.calls);
    }
}

#[test]
fn one_bad_record_among_ten_thousand_costs_a_logarithm_of_calls() {
    let puppet = plugin(&hostile("puppet"), tight());
    let good = batch((0..10_000).map(|_| Some(&b"o"[..])));
    let bad = batch((0..10_000).map(|i| Some(if i == 6_789 { &b"l"[..] } else { b"o" })));
    let (calls, more) = (run(&puppet, &good).1.calls, run(&puppet, &bad).1.calls);
    assert_eq!(calls, 10);
    assert!(more <= calls + 2 * 10 + 8, "{more} calls");
}

#[test]
fn a_verdict_on_fuel_does_not_depend_on_the_batch() {
    let (fixed, turn) = fuel_of_a_turn();
    let limits = Limits { fuel_base: 200_000, fuel_per_byte: 1_000, ..Limits::default() };
    let puppet = plugin(&hostile("puppet"), limits);
    let budget = limits.fuel_base + 5 * limits.fuel_per_byte;
    let burn = |share: f64| times(b'b', ((budget as f64 * share - fixed as f64) / turn as f64) as u32);
    for (share, passes) in [(0.9, true), (1.1, false), (5.0, false)] {
        let record = burn(share);
        let expected = alone(&puppet, &record);
        assert_eq!(expected == Verdict::Transformed, passes, "{share} x its budget: {expected:?}");
        for size in [10, 10_000] {
            let (answer, report) = run(&puppet, &batch((0..size).map(|_| Some(&record[..]))));
            assert!(answer.verdicts.iter().all(|verdict| *verdict == expected), "{share} x its budget among {size}");
            assert_eq!(rows(&answer).len(), if passes { size } else { 0 });
            assert!(report.calls <= 2 * size as u64, "{} calls for {size} records", report.calls);
        }
        // Among others that are cheap, that have more of a budget, and that fail.
        let large = [&b"o"[..], &[0; 5_000]].concat();
        let mixed: Vec<&[u8]> = (0..300)
            .map(|i| match i % 4 {
                0 => &record[..],
                1 => b"o",
                2 => &large,
                _ => b"u",
            })
            .collect();
        let (answer, _) = run(&puppet, &batch(mixed.iter().map(|record| Some(*record))));
        for (i, verdict) in answer.verdicts.iter().enumerate() {
            match i % 4 {
                0 => assert_eq!(*verdict, expected),
                1 | 2 => assert_eq!(*verdict, Verdict::Transformed),
                _ => assert!(matches!(verdict, Verdict::Refused(refusal) if refusal.code == "trap")),
            }
        }
    }
}

#[test]
fn verdicts_on_output_do_not_depend_on_the_batch() {
    let limits = Limits { output_bytes_base: 10_000, output_rows_base: 40, ..Limits::default() };
    let puppet = plugin(&hostile("puppet"), limits);
    for (number, code) in [(36, None), (45, Some("output_rows")), (900, Some("output_bytes"))] {
        let record = times(b'g', number);
        let expected = alone(&puppet, &record);
        match &expected {
            Verdict::Refused(refusal) => assert_eq!(Some(&*refusal.code), code),
            _ => assert_eq!(code, None),
        }
        let (answer, _) = run(&puppet, &batch((0..500).map(|_| Some(&record[..]))));
        assert!(answer.verdicts.iter().all(|verdict| *verdict == expected), "{number} rows");
    }
}

#[test]
fn any_range_gives_the_same_answer() {
    let puppet = plugin(&hostile("puppet"), tight());
    let kinds: [&[u8]; 6] = [b"o", b"f1", b"u", b"", b"eno", b"n"];
    let records = batch((0..200).map(|i| (i % 11 != 3).then(|| kinds[i * i % 6])));
    let (whole, _) = run(&puppet, &records);
    for step in [1, 7, 64] {
        let mut verdicts = vec![];
        let mut found = vec![];
        for start in (0..records.len()).step_by(step) {
            let end = (start + step).min(records.len());
            let (part, _) = puppet.transform(&records, start..end).unwrap();
            found.extend(rows(&part).into_iter().map(|(record, id)| (record + start as u32, id)));
            verdicts.extend(part.verdicts);
        }
        assert_eq!((verdicts, found), (whole.verdicts.clone(), rows(&whole)));
    }
    let cut = puppet.cut(&records);
    assert_eq!(cut.iter().map(ExactSizeIterator::len).sum::<usize>(), records.len());
    assert_eq!(run(&puppet, &batch([])).0.verdicts, []);
}

#[test]
fn nothing_stays_from_call_to_call() {
    let puppet = plugin(&hostile("puppet"), Limits::default());
    for _ in 0..200 {
        for record in [b"s", b"y"] {
            assert_eq!(rows(&run(&puppet, &batch([Some(&record[..])])).0), [(0, 0)]);
        }
    }
}

#[test]
fn thousands_of_failed_instances_leave_the_pool_whole() {
    let puppet = plugin(&hostile("puppet"), tight());
    let bad = batch((0..2_000).map(|_| Some(&b"u"[..])));
    let (answer, report) = run(&puppet, &bad);
    assert!(report.instances >= 2_000);
    assert!(answer.verdicts.iter().all(|verdict| matches!(verdict, Verdict::Refused(_))));
    assert_eq!(alone(&puppet, b"o"), Verdict::Transformed);
}

#[test]
fn nan_has_one_face() {
    let puppet = plugin(&hostile("puppet"), Limits::default());
    let (answer, _) = run(&puppet, &batch([Some(&b"n"[..])]));
    assert_eq!(rows(&answer), [(0, 0x7ff8_0000_0000_0000)]);
}

#[test]
fn logs_are_bounded_and_harmless() {
    let puppet = plugin(&hostile("puppet"), Limits { fuel_base: 5_000_000, ..Limits::default() });
    let (answer, report) = run(&puppet, &batch([Some(&b"k\x1b[31mred\n"[..])]));
    assert_eq!(answer.verdicts, [Verdict::Transformed]);
    assert_eq!((report.log.len(), report.log_dropped), (64, 936));
    assert!(report.log.iter().all(|line| line.level == LogLevel::Warn && line.message == "\\u{1b}[31mred\\n"));
    let (answer, report) = run(&puppet, &batch([Some(&b"z"[..])]));
    assert!(matches!(&answer.verdicts[0], Verdict::Refused(refusal) if refusal.code == "trap"));
    assert_eq!((report.log.len(), report.log[0].message.len()), (1, 1024));
    // Lines cost what they cost the host: ten thousand of them do not fit this budget.
    let record = [&b"k"[..], &[b'x'; 1000]].concat();
    let records: Vec<_> = (0..10).map(|_| Some(&record[..])).collect();
    let (answer, report) = run(&puppet, &batch(records));
    assert!(report.calls > 1 && answer.verdicts.iter().all(|verdict| *verdict == Verdict::Transformed));
    assert!(report.log.iter().map(|line| line.message.len()).sum::<usize>() <= 8 << 10);
}

#[test]
fn a_bad_allocator_harms_nobody() {
    // It is called to take even an empty configuration.
    const STARTUP: &str = "startup startup";
    let codes = ["realloc_null", "realloc_outside", "realloc_traps", "realloc_calls_out"].map(|name| {
        let plugin = plugin_without_description(name);
        let (answer, _) = run(&plugin, &batch([Some(&b"record"[..]), Some(&b"record"[..])]));
        answer
            .verdicts
            .into_iter()
            .map(|verdict| match verdict {
                Verdict::Refused(refusal) => refusal.code,
                Verdict::Transformed | Verdict::Filtered(_) => "passed".to_owned(),
            })
            .collect::<Vec<_>>()
    });
    // Address 0 is memory like any other: what the guest finds there is its own loss.
    assert_eq!(codes.map(|codes| codes.join(" ")), ["bad_answer bad_answer", STARTUP, STARTUP, STARTUP]);
}

/// A plugin whose allocator fails even for its own configuration: it gets the plain one's descriptor.
fn plugin_without_description(name: &str) -> silversmith::sandbox::Plugin {
    let limits = Limits::default();
    let descriptor = plugin(&plain(), limits).descriptor().clone();
    engine().load(&hostile(name), &limits).unwrap().plugin(descriptor, limits)
}

#[test]
fn a_plugin_that_cannot_start_refuses_every_record_at_one_call() {
    let limits = Limits::default();
    let descriptor = plugin(&plain(), limits).descriptor().clone();
    let broken = engine().load(&hostile("configure_refuses"), &limits).unwrap().plugin(descriptor, limits);
    let (answer, report) = run(&broken, &batch((0..500).map(|_| Some(&b"o"[..]))));
    assert_eq!((answer.verdicts.len(), report.calls), (500, 1));
    for verdict in answer.verdicts {
        let Verdict::Refused(refusal) = verdict else { panic!("refused") };
        assert_eq!((&*refusal.code, &*refusal.message), ("startup", "plugin_error while starting: no luck"));
    }
}

#[test]
fn the_clock_never_gives_a_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    settings.patience = Patience { base: Duration::from_millis(100), fuel_per_second: u64::MAX };
    let engine = Engine::new(settings).unwrap();
    let limits = Limits { fuel_base: u64::MAX / 2, ..Limits::default() };
    let component = engine.load(&hostile("puppet"), &limits).unwrap();
    let descriptor = component.describe(&Default::default(), &limits).unwrap();
    let puppet = component.plugin(descriptor, limits);
    let fault = puppet.transform(&batch([Some(&b"l"[..])]), 0..1).unwrap_err();
    assert!(matches!(fault, HostFault::Deadline) && fault.is_retryable());
    assert_eq!(alone(&puppet, b"o"), Verdict::Transformed);
}

#[test]
fn many_threads_share_few_instances() {
    let puppet = plugin(&hostile("puppet"), tight());
    let records = batch((0..4_000).map(|i| Some(if i % 500 == 77 { &b"u"[..] } else { b"o" })));
    let (whole, _) = run(&puppet, &records);
    let parts: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|i| {
                let (puppet, records) = (&puppet, &records);
                scope.spawn(move || puppet.transform(records, i * 250..(i + 1) * 250).unwrap().0.verdicts)
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(parts, whole.verdicts);
}

/// Prints what passing records costs, on one core; the bound is far off, for machines under load.
#[test]
fn passing_a_record_costs_little() {
    let plain = plugin(&plain(), Limits::default());
    let records: Vec<_> = (0..2_000).map(|i| format!("{i:1100}")).collect();
    let records = batch(records.iter().map(|record| Some(record.as_bytes())));
    // The shortest of many is what it costs where nobody else uses the core.
    let cost = |range: std::ops::Range<usize>| {
        let once = || {
            let started = Instant::now();
            assert_eq!(plain.transform(&records, range.clone()).unwrap().0.verdicts.len(), range.len());
            started.elapsed()
        };
        (0..1_000).map(|_| once()).min().unwrap()
    };
    let several = plain.cut(&records)[0].clone();
    let (one, many) = (cost(0..1), cost(several.clone()));
    let each = many / several.len() as u32;
    println!("a call of one record: {one:?}; of {} records of 1,100 bytes: {many:?}, {each:?} each", several.len());
    assert!(one < Duration::from_millis(5) && each < Duration::from_micros(5));
}

#[test]
fn a_component_without_rows_is_fine() {
    let empty = plugin(&assemble(""), Limits::default());
    let (answer, report) = run(&empty, &batch([None, Some(&b"x"[..])]));
    assert_eq!((answer.verdicts.len(), answer.rows.len(), report.calls), (2, 0, 1));
}
