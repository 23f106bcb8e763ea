//! `blame` by the real binary: the table as a terminal shows it, the stacks as a viewer reads them, the lines as the schema has them.

use std::fs;

use serde_json::Value;

use super::schema::strict;
use super::{changed, faults, name_tasks};
use crate::source::in_repository;
use crate::tool::{Desk, corpus};

/// A recording with a lock that is contended.
const RECORDING: &str = "field/sqlx_tx_over_http-faulty";

/// A name that tries to break every format.
const HOSTILE: &str = "a;b 7\nc;d 9\u{1b}[2J";

fn blamed(desk: &Desk, file: &str, output: &str) -> String {
    let run = desk.run(&["blame", file, "--output", output, "--isolated"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    run.stdout
}

#[test]
fn the_table_fits_into_a_terminal_and_shows_where_the_time_goes() {
    let desk = Desk::new();
    let table = blamed(&desk, &corpus(RECORDING).display().to_string(), "table");
    let long: Vec<&str> = table.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(long.iter().all(|line| !line.trim().contains(' ')), "only a long word may be wider: {long:#?}");
    assert!(table.lines().any(|line| line.contains("task-seconds/s from")), "{table}");
    assert!(table.contains("waiting for Semaphore"), "{table}");
}

#[test]
fn lines_keep_to_the_schema_and_causes_add_up() {
    let desk = Desk::new();
    let lines = blamed(&desk, &corpus(RECORDING).display().to_string(), "ndjson");
    let lines: Vec<Value> = lines.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(lines[0]["type"], "hello");
    assert!(lines.len() > 1);
    for line in &lines {
        assert_eq!(faults(&strict(), line), [""; 0], "{line}");
    }
    for site in lines.iter().filter(|line| line["type"] == "blame") {
        let causes = site["causes"].as_array().unwrap();
        let sum: f64 = causes.iter().map(|cause| cause["rate"].as_f64().unwrap()).sum();
        assert!((sum - site["lived"].as_f64().unwrap()).abs() < 1e-6, "{site}");
    }
}

#[test]
fn stacks_are_read_alike_whatever_tasks_are_called() {
    let desk = Desk::new();
    let file = changed(&desk, RECORDING, "hostile.mcap", |message| name_tasks(message, HOSTILE));
    let (plain, hostile) =
        (blamed(&desk, &corpus(RECORDING).display().to_string(), "folded"), blamed(&desk, &file, "folded"));
    for stacks in [&plain, &hostile] {
        assert!(!stacks.is_empty());
        for line in stacks.lines() {
            let (stack, count) = line.rsplit_once(' ').unwrap();
            assert!(count.parse::<u64>().is_ok_and(|count| count > 0), "{line}");
            let frames: Vec<&str> = stack.split(';').collect();
            assert!((2..=3).contains(&frames.len()) && frames.iter().all(|frame| !frame.is_empty()), "{line}");
        }
    }
    let lock = |stacks: &str| stacks.lines().filter(|line| line.contains(";Semaphore ")).count();
    assert!(lock(&plain) > 0, "{plain}");
    assert!(!hostile.contains('\u{1b}') && hostile.contains("a\\u{3b}b #\\nc\\u{3b}d #"), "{hostile}");
}

#[test]
fn nothing_to_measure_is_exit_code_3_and_no_data() {
    let desk = Desk::new();
    let nobody = desk.run(&["blame", "127.0.0.1:1", "--for", "1s", "--isolated"]);
    assert_eq!((nobody.code, nobody.stdout.as_str()), (Some(3), ""), "{}", nobody.stderr);
    assert!(nobody.stderr.contains("Nothing to measure: no update came."), "{}", nobody.stderr);
    for wrong in [&["blame"][..], &["blame", "127.0.0.1:1", "--output", "svg"], &["blame", "nowhere.mcap"]] {
        let run = desk.run(wrong);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{wrong:?}: {}", run.stderr);
    }
}

/// The guide shows what is printed of a recording of the corpus; `BLESS=1` writes it anew.
#[test]
fn the_guide_shows_a_real_table() {
    let desk = Desk::new();
    fs::copy(corpus(RECORDING), desk.file("orders.mcap")).unwrap();
    let table = blamed(&desk, "orders.mcap", "table");
    let path = in_repository("docs/guides/blame.md");
    let page = fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- example -->\n", "<!-- end of example -->");
    let (before, rest) = page.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    let whole = format!("{before}{begin}```\n{table}```\n{end}{after}");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, whole).unwrap();
    } else {
        assert!(page == whole, "the example of blame.md is not up to date; `BLESS=1` writes it anew");
    }
}
