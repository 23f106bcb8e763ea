//! The published schema of ndjson against what is really written.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};
use tokio_canary::alert::event::{Digest, Event, EventKind};
use tokio_canary::alert::sink::Sink;
use tokio_canary::alert::{LineFormat, Lines};
use tokio_canary::compare::{Criteria as CompareCriteria, Loss, Reason, Restarts, Side, compare};
use tokio_canary::config::word::Word;
use tokio_canary::detect::detectors::DETECTORS;
use tokio_canary::detect::doubt::Doubt;
use tokio_canary::detect::severity::{Grade, State};
use tokio_canary::detect::subject::{Role, SubjectKind};
use tokio_canary::diagnosis::{Verdict, Withheld};
use tokio_canary::doctor::{Mark, Topic};
use tokio_canary::report::Severity;
use tokio_canary::report::comparison::ComparisonView;
use tokio_canary::report::connection::ConnectionState;
use tokio_canary::report::outcome::NotEvaluated;
use tokio_canary::report::sanitize::Charset;

use super::{Desk, corpus, faults, schema};
use crate::source::{files_below, in_repository};

const EVENTS: &str = "tokio-canary.events.v1.json";

/// The schema in which nothing may be missing and nothing be added. For its readers it says less: fields may be added.
pub(crate) fn strict() -> Value {
    let mut schema = schema(EVENTS);
    tighten(&mut schema, "");
    schema
}

fn tighten(schema: &mut Value, place: &str) {
    match schema {
        Value::Object(fields) => {
            if let Some(properties) = fields.get("properties").filter(|_| fields.contains_key("type")).cloned() {
                let known: BTreeSet<&str> = properties.as_object().unwrap().keys().map(String::as_str).collect();
                let required = fields["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
                assert_eq!(known, required, "{place}: every field is always there");
                fields.insert("additionalProperties".to_owned(), json!(false));
            }
            fields.iter_mut().for_each(|(name, inner)| tighten(inner, &format!("{place}/{name}")));
        }
        Value::Array(items) => items.iter_mut().for_each(|inner| tighten(inner, place)),
        _ => {}
    }
}

/// Everything that a run over all recordings of the corpus writes.
fn written(desk: &Desk) -> Vec<Value> {
    let mut recordings = files_below(&in_repository("tests/recordings"), "mcap");
    recordings.retain(|path| path.parent().is_some_and(|folder| folder.ends_with("recordings")));
    // Its finding is resolved while it lasts.
    recordings.push(corpus("field/sqlx_stream_nested-faulty"));
    let whole = fs::read(corpus("feed-process-paused")).unwrap();
    fs::write(desk.file("cut.mcap"), &whole[..whole.len() - 20]).unwrap();
    let recordings: Vec<&str> = recordings.iter().filter_map(|path| path.to_str()).chain(["cut.mcap"]).collect();
    let watched = desk.run(
        &[&["watch", "--output", "ndjson", "--heartbeat", "1ms", "--rate-limit", "off"], recordings.as_slice()]
            .concat(),
    );
    assert_eq!(watched.code, Some(0), "{}", watched.stderr);
    watched.stdout.lines().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn every_line_keeps_to_the_schema_and_every_kind_of_line_is_seen() {
    let desk = Desk::new();
    let schema = strict();
    let lines = written(&desk);
    let mut seen = BTreeSet::new();
    for line in &lines {
        assert_eq!(faults(&schema, line), [""; 0], "{line}");
        seen.insert((line["type"].as_str().unwrap(), line["state"].as_str().unwrap_or_default()));
    }
    for (kind, state) in [
        ("hello", ""),
        ("status", "live"),
        ("status", "ended"),
        ("status", "truncated"),
        ("quality", ""),
        ("finding", "pending"),
        ("finding", "firing"),
        ("finding", "resolved"),
        ("heartbeat", ""),
        ("summary", ""),
        ("run", ""),
    ] {
        assert!(seen.contains(&(kind, state)), "there is no {kind} {state}");
    }
    assert_eq!(lines.iter().filter(|line| line["type"] == "run").count(), 1);
    assert_eq!(lines.last().unwrap()["type"], "run", "it is the last line");
}

#[test]
fn the_line_of_a_comparison_keeps_to_it_too() {
    let desk = Desk::new();
    let [canary, stable] = ["field/sqlx_stream_nested-faulty", "field/redis_blpop_shared-healthy"]
        .map(|it| corpus(it).display().to_string());
    let run = desk.run(&["compare", "--canary", &canary, "--stable", &stable, "--output", "ndjson"]);
    let lines: Vec<Value> = run.stdout.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!((lines.len(), lines[0]["type"].as_str()), (1, Some("comparison")), "{}", run.stderr);
    assert_eq!(faults(&strict(), &lines[0]), [""; 0], "{}", lines[0]);
    assert!(!lines[0]["differences"].as_array().unwrap().is_empty());
}

/// What a recording does not lead to.
#[test]
fn lines_that_no_recording_of_the_corpus_brings_keep_to_it_too() {
    let at = SystemTime::UNIX_EPOCH;
    let digest = Digest {
        detector: "deadlock",
        since: at,
        openings: 3,
        resolutions: 2,
        findings: 1,
        firing: 1,
        worst: Severity::Critical,
        next: Duration::from_secs(60),
    };
    let mut written = Vec::new();
    {
        let mut lines = Lines::new(&mut written, LineFormat::Ndjson, Charset::Unicode);
        for kind in [EventKind::Digest(digest), EventKind::Left] {
            lines.take(&Event { target: "a".to_owned(), at, kind }).unwrap();
        }
    }
    let lines: Vec<Value> = String::from_utf8(written).unwrap().lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(lines.len(), 2);
    for line in lines {
        assert_eq!(faults(&strict(), &line), [""; 0], "{line}");
    }
}

#[test]
fn a_field_that_is_missing_renamed_or_not_documented_is_found() {
    let desk = Desk::new();
    let schema = strict();
    let finding = written(&desk).into_iter().find(|line| {
        let has_some = |key: &str| line[key].as_array().is_some_and(|items| !items.is_empty());
        line["type"] == "finding" && has_some("related") && has_some("evidence")
    });
    let finding = finding.unwrap();
    assert_eq!(faults(&schema, &finding), [""; 0]);
    let change = |place: &str, change: &dyn Fn(&mut Map<String, Value>)| {
        let mut changed = finding.clone();
        change(changed.pointer_mut(place).and_then(Value::as_object_mut).unwrap());
        !faults(&schema, &changed).is_empty()
    };
    for place in ["", "/subject", "/related/0", "/evidence/0"] {
        let fields: Vec<String> = finding.pointer(place).and_then(Value::as_object).unwrap().keys().cloned().collect();
        for field in fields {
            let without = |it: &mut Map<String, Value>| drop(it.remove(&field));
            assert!(change(place, &without), "{place} without {field}");
            let other = |it: &mut Map<String, Value>| it[&field] = json!({});
            assert!(change(place, &other), "{place} with another {field}");
        }
        let more = |it: &mut Map<String, Value>| drop(it.insert("new".to_owned(), json!(1)));
        assert!(change(place, &more), "{place} with one more");
    }
}

/// Every reason why a comparison may be inconclusive, in the order of the schema.
fn reasons() -> [Reason; 12] {
    let (side, time, restarts) = (Side::Canary, Duration::from_secs(1), Restarts { times: 1, targets: 1 });
    [
        Reason::NoUpdates { side, answers: None },
        Reason::TooShort { side, watched: time, needed: time },
        Reason::Incomplete(side),
        Reason::CanaryIdle,
        Reason::StableIdle,
        Reason::Idle,
        Reason::Lost { side, how: Loss::Gone, after: time },
        Reason::Restarted { canary: restarts, stable: restarts },
        Reason::Load(2.0),
        Reason::TooFewTargets,
        Reason::TooManyParts(side),
        Reason::Interrupted,
    ]
}

#[test]
fn the_schema_knows_every_word() {
    let schema = schema(EVENTS);
    let words = |place: &str| -> Vec<String> {
        let words = schema.pointer(place).and_then(Value::as_array).unwrap();
        words.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let doubts = Doubt::ALL.map(|doubt| doubt.as_str().to_owned());
    assert_eq!(words("/$defs/summary/properties/inconclusive_because/items/enum"), doubts);
    let mut comparison = compare(&[], &[], CompareCriteria { fail_on: Severity::Warning, fails_on_new: false });
    comparison.reasons = reasons().into();
    let reasons: Vec<_> = ComparisonView::of(&comparison).reasons.into_iter().map(|(word, _)| word).collect();
    assert_eq!(words("/$defs/comparison/properties/inconclusive_because/items/enum"), reasons);
    let severities: Vec<_> = Severity::ALL.iter().map(|it| it.word().to_owned()).collect();
    assert_eq!(words("/$defs/severity/enum"), severities);
    let families: BTreeSet<String> = DETECTORS.iter().map(|it| it.family.as_str().to_owned()).collect();
    assert_eq!(BTreeSet::from_iter(words("/$defs/finding/properties/family/enum")), families);
    let mut states: Vec<&str> = ConnectionState::ALL.map(ConnectionState::as_str).into();
    states.dedup();
    // Not a state of a connection: the target is not watched any more.
    states.push("left");
    assert_eq!(words("/$defs/status/properties/state/enum"), states);
    let withheld = BTreeSet::from(Withheld::ALL.map(|it| it.as_str().to_owned()));
    assert_eq!(BTreeSet::from_iter(words("/$defs/quality/properties/reasons/items/enum")), withheld);
    assert_eq!(words("/$defs/finding/properties/state/enum"), State::ALL.map(State::as_str));
    assert_eq!(words("/$defs/finding/properties/grade/enum"), Grade::ALL.map(Grade::as_str));
    assert_eq!(words("/$defs/kind/enum"), SubjectKind::ALL.map(SubjectKind::as_str));
    assert_eq!(words("/$defs/finding/properties/related/items/properties/role/enum"), Role::ALL.map(Role::as_str));
    let verdicts = BTreeSet::from(Verdict::ALL.map(|it| it.as_str().to_owned()));
    assert_eq!(BTreeSet::from_iter(words("/$defs/verdict/enum")), verdicts);
    assert_eq!(words("/$defs/step/properties/step/enum"), Topic::all().map(Topic::as_str).collect::<Vec<_>>());
    assert_eq!(words("/$defs/step/properties/result/enum"), Mark::ALL.map(Mark::as_str));
    let reasons = "/$defs/summary/properties/detectors_not_evaluated/items/properties/reason/enum";
    assert_eq!(words(reasons), NotEvaluated::ALL.map(NotEvaluated::as_str));
    let codes = schema.pointer("/$defs/exit_code/enum").and_then(Value::as_array).unwrap();
    let codes: BTreeSet<u64> = codes.iter().filter_map(Value::as_u64).collect();
    assert_eq!(codes, Verdict::ALL.map(|verdict| verdict.exit_code().into()).into());
}
