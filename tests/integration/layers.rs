//! The sources keep to the layers of docs/architecture.md and to the parts of the house style that a program can check.

use std::collections::BTreeSet;

use crate::source::{Source, in_repository, read, read_sources};

/// The longest a file may be, in lines, not counting its tests.
const MAX_LINES: usize = 400;

/// What a module directly below the crate root may name.
struct Layer {
    name: &'static str,
    /// The other modules of this crate.
    modules: Modules,
    /// The crates it depends on, besides `std`.
    crates: Crates,
}

enum Modules {
    Any,
    /// Modules by their names, or parts of them by their paths, such as `detect::detectors`.
    Only(&'static [&'static str]),
}

impl Modules {
    fn allow(&self, path: &[&str]) -> bool {
        match self {
            Self::Any => true,
            Self::Only(names) => {
                names.iter().any(|name| name.split("::").eq(path.iter().copied().take(name.split("::").count())))
            }
        }
    }
}

enum Crates {
    Any,
    Only(&'static [&'static str]),
    AllBut(&'static [&'static str]),
}

const WIRE: &[&str] = &["console_api", "prost", "prost_types", "tonic"];
const WIRE_AND_TERMINAL: &[&str] = &["console_api", "prost", "prost_types", "tonic", "crossterm", "ratatui"];

/// Every module below the crate root has a row here; one without is a violation, so that a new layer is a decision.
const LAYERS: &[Layer] = &[
    Layer { name: "files", modules: Modules::Only(&[]), crates: Crates::Only(&["tempfile"]) },
    Layer { name: "paths", modules: Modules::Only(&[]), crates: Crates::Only(&[]) },
    Layer { name: "panics", modules: Modules::Only(&[]), crates: Crates::Only(&["thiserror"]) },
    Layer {
        name: "wire",
        modules: Modules::Only(&["paths"]),
        crates: Crates::Only(&["console_api", "foldhash", "prost", "prost_types", "thiserror"]),
    },
    Layer {
        name: "feed",
        modules: Modules::Only(&["panics", "paths", "secret", "setup", "wire", "words"]),
        crates: Crates::AllBut(&["clap", "crossterm", "ratatui"]),
    },
    Layer {
        name: "model",
        modules: Modules::Only(&["paths", "wire"]),
        crates: Crates::Only(&["foldhash", "hdrhistogram", "rustc_hash", "slotmap", "thin_vec"]),
    },
    Layer { name: "playing", modules: Modules::Only(&[]), crates: Crates::Only(&[]) },
    Layer { name: "secret", modules: Modules::Only(&[]), crates: Crates::Only(&[]) },
    Layer { name: "setup", modules: Modules::Only(&[]), crates: Crates::Only(&[]) },
    Layer { name: "words", modules: Modules::Only(&[]), crates: Crates::Only(&[]) },
    Layer { name: "spelling", modules: Modules::Only(&[]), crates: Crates::Only(&["strsim"]) },
    Layer { name: "evidence", modules: Modules::Only(&["model"]), crates: Crates::Only(&["rustc_hash", "slotmap"]) },
    Layer {
        name: "detect",
        modules: Modules::Only(&["evidence", "model", "setup", "spelling", "words"]),
        crates: Crates::Only(&["humantime", "rustc_hash", "slotmap", "thiserror", "wildmatch"]),
    },
    Layer {
        name: "diagnosis",
        modules: Modules::Only(&["detect", "evidence", "feed", "model"]),
        crates: Crates::AllBut(WIRE_AND_TERMINAL),
    },
    Layer {
        name: "compare",
        modules: Modules::Only(&["detect", "diagnosis", "evidence", "model"]),
        crates: Crates::Only(&["serde_json", "statrs", "thiserror"]),
    },
    Layer { name: "fleet", modules: Modules::Only(&["detect", "diagnosis", "playing"]), crates: Crates::Only(&[]) },
    Layer {
        name: "witness",
        modules: Modules::Only(&["detect", "diagnosis", "evidence", "feed", "model", "paths", "wire"]),
        crates: Crates::Only(&["console_api", "ring"]),
    },
    Layer {
        name: "report",
        modules: Modules::Only(&["compare", "detect", "diagnosis", "evidence", "fleet", "model", "playing", "words"]),
        crates: Crates::Only(&[]),
    },
    Layer {
        name: "doctor",
        modules: Modules::Only(&["feed", "report", "setup", "words"]),
        crates: Crates::Only(&["humantime"]),
    },
    Layer {
        name: "config",
        modules: Modules::Only(&["detect", "feed", "files", "model", "report::sanitize", "secret", "spelling"]),
        crates: Crates::Only(&["etcetera", "http", "humantime", "thiserror", "toml", "tracing_subscriber"]),
    },
    Layer {
        name: "tui",
        modules: Modules::Only(&[
            "config",
            "detect::detectors",
            "diagnosis",
            "explain",
            "fleet",
            "panics",
            "playing",
            "report",
            "words",
        ]),
        crates: Crates::AllBut(&["clap", "console_api", "prost", "prost_types", "tonic"]),
    },
    Layer {
        name: "alert",
        modules: Modules::Only(&["config", "detect::detectors", "diagnosis", "files", "fleet", "report", "words"]),
        crates: Crates::AllBut(&["clap", "console_api", "prost", "prost_types", "tonic", "crossterm", "ratatui"]),
    },
    Layer { name: "cli", modules: Modules::Any, crates: Crates::AllBut(WIRE_AND_TERMINAL) },
    Layer {
        name: "explain",
        modules: Modules::Only(&["detect"]),
        crates: Crates::Only(&["anstyle", "pulldown_cmark", "textwrap"]),
    },
    Layer { name: "run", modules: Modules::Any, crates: Crates::Any },
    Layer { name: "lib", modules: Modules::Any, crates: Crates::Any },
    Layer { name: "main", modules: Modules::Any, crates: Crates::Any },
];

/// The one folder of the model that reads protobuf.
const DECODE: &str = "model/ingest/decode/";

/// Where output may be written with `println!` and its kin.
const PRINTERS: [&str; 3] = ["alert", "run", "main"];

#[test]
fn sources_keep_to_their_layers() {
    let sources = read_sources(&in_repository("src"));
    assert!(sources.iter().any(|source| source.module()[0] == "feed"), "the sources were not found");
    let dependencies = dependencies();
    let found: Vec<String> = sources.iter().flat_map(|source| violations(source, &sources, &dependencies)).collect();
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

/// Everything that is wrong with one file, a line each.
fn violations(source: &Source, all: &[Source], dependencies: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    if !source.text.contains("@generated") && !source.text.starts_with("//! ") {
        found.push(format!("{}:1: begins without a `//!` sentence", source.path));
    }
    if source.is_exempt() {
        return found;
    }
    if source.lines > MAX_LINES {
        found.push(format!("{}: {} lines without its tests, {MAX_LINES} are allowed", source.path, source.lines));
    }
    let Some(layer) = LAYERS.iter().find(|layer| layer.name == source.module()[0]) else {
        found.push(format!("{}: the layer `{}` has no row in the table of layers", source.path, source.module()[0]));
        return found;
    };
    let mut report = |line: usize, what: String| found.push(format!("{}:{line}: {what}", source.path));
    for path in source.named_paths() {
        let segments = absolute(source, &path.segments);
        check_modules(layer, source, all, &segments, &mut |what| report(path.line, what));
        if dependencies.contains(&segments[0]) && !allows_crate(layer, source, &segments[0]) {
            report(path.line, format!("`{}` may not use the crate `{}`", layer.name, segments[0]));
        }
    }
    check_words(layer, source, &mut report);
    found
}

/// A path from the crate root where it is relative to this module by `crate`, `self` or `super`.
pub(crate) fn absolute(source: &Source, segments: &[String]) -> Vec<String> {
    let mut base: Vec<String> = source.module().iter().map(|&name| name.to_owned()).collect();
    let mut rest = segments;
    match rest[0].as_str() {
        "crate" | "tokio_canary" => {
            base.clear();
            rest = &rest[1..];
        }
        "self" => rest = &rest[1..],
        "super" => {
            while rest.first().is_some_and(|first| first == "super") {
                base.pop();
                rest = &rest[1..];
            }
        }
        _ => return rest.to_vec(),
    }
    let mut absolute = vec!["crate".to_owned()];
    absolute.extend(base);
    absolute.extend_from_slice(rest);
    absolute
}

fn check_modules(layer: &Layer, source: &Source, all: &[Source], segments: &[String], report: &mut dyn FnMut(String)) {
    let names: Vec<&str> = segments.iter().map(String::as_str).collect();
    let ["crate", path @ ..] = names.as_slice() else {
        return;
    };
    let [module, rest @ ..] = path else {
        return;
    };
    let is_module = all.iter().any(|other| other.module()[0] == *module);
    let allowed = *module == layer.name || layer.modules.allow(path);
    // What is not a module is an item that lib.rs exports again; that would be a way around the table.
    if !allowed || (*module == "*" && matches!(layer.modules, Modules::Only(_))) {
        let kind = if is_module { "the layer" } else { "the root item" };
        report(format!("`{}` may not name {kind} `{module}`", layer.name));
    }
    if layer.name == "diagnosis"
        && *module == "feed"
        && rest.first().is_some_and(|next| next.starts_with(char::is_lowercase))
    {
        report(format!("`diagnosis` may name the events of `feed`, not its `{}`", rest[0]));
    }
    // A detector is a file or a folder of this name, and the registry beside them is the one that knows them all.
    let own = source.module();
    if let (["detect", "detectors", family, detector], ["detect", "detectors", its, other, ..]) =
        (own.as_slice(), &names[1..])
        && (family, detector) != (its, other)
        && all.iter().any(|source| source.module().get(..4) == Some(&["detect", "detectors", *its, *other]))
    {
        report(format!("the detector `{detector}` may not name the detector `{other}`"));
    }
}

fn allows_crate(layer: &Layer, source: &Source, name: &str) -> bool {
    match layer.crates {
        Crates::Any => true,
        Crates::Only(names) => names.contains(&name) || source.path.starts_with(DECODE) && WIRE.contains(&name),
        Crates::AllBut(names) => !names.contains(&name),
    }
}

/// Looks for words that do not depend on what they are imported as.
fn check_words(layer: &Layer, source: &Source, report: &mut dyn FnMut(usize, String)) {
    let mut forbid = |words: &[&str], why: &str| {
        for line in source.lines_with(words) {
            report(line, format!("`{}` {why}", words.concat()));
        }
    };
    forbid(&[".", "unwrap", "("], "outside tests");
    forbid(&["#", "[", "allow"], "instead of `#[expect(…, reason = …)]`");
    forbid(&["#", "!", "[", "allow"], "instead of `#![expect(…, reason = …)]`");
    if !PRINTERS.contains(&layer.name) {
        for name in ["print", "println", "eprint", "eprintln"] {
            forbid(&[name, "!"], "outside alert, run and main");
        }
    }
    if matches!(layer.name, "model" | "evidence" | "detect") {
        forbid(&["SystemTime", "::", "now"], "in a layer without a clock");
        forbid(&["Instant", "::", "now"], "in a layer without a clock");
        for name in ["fs", "io", "net", "process", "thread"] {
            forbid(&["std", "::", name], "in a layer without IO and threads");
        }
        forbid(&["async"], "in a synchronous layer");
        forbid(&["await"], "in a synchronous layer");
    }
}

/// The names by which sources call the dependencies in Cargo.toml.
fn dependencies() -> BTreeSet<String> {
    let manifest: toml::Table =
        read(&in_repository("Cargo.toml")).parse().unwrap_or_else(|error| panic!("Cargo.toml cannot be read: {error}"));
    let names: BTreeSet<String> = ["dependencies", "dev-dependencies"]
        .iter()
        .filter_map(|section| manifest.get(*section)?.as_table())
        .flat_map(|section| section.keys().map(|name| name.replace('-', "_")))
        .collect();
    assert!(names.contains("tonic") && names.contains("console_api"), "the dependencies were not found: {names:?}");
    names
}

/// Each rule must be able to fail: a file that breaks it, and what is said about that.
#[test]
fn each_rule_finds_its_violation() {
    let long = format!("//! S.\n{}", "fn f() {}\n".repeat(MAX_LINES));
    let cases = [
        ("feed/live.rs", "//! S.\nuse crate::model::Model;", "`feed` may not name the layer `model`"),
        ("feed/mod.rs", "//! S.\nuse super::model::Model;", "`feed` may not name the layer `model`"),
        ("feed/live.rs", "//! S.\nuse crate::{feed::Status, model::Model};", "`feed` may not name the layer `model`"),
        ("feed/live.rs", "//! S.\nuse ratatui::Frame;", "`feed` may not use the crate `ratatui`"),
        (
            "model/task.rs",
            "//! S.\nfn f(t: console_api::tasks::Task) {}",
            "`model` may not use the crate `console_api`",
        ),
        ("model/task.rs", "//! S.\nuse tracing::debug;", "`model` may not use the crate `tracing`"),
        ("model/task.rs", "//! S.\nfn f() -> T { SystemTime::now() }", "`SystemTime::now` in a layer without a clock"),
        ("detect/engine.rs", "//! S.\nuse crate::feed::FeedEvent;", "`detect` may not name the layer `feed`"),
        ("detect/engine.rs", "//! S.\nuse ::tonic::Status;", "`detect` may not use the crate `tonic`"),
        ("detect/engine.rs", "//! S.\nuse crate::*;", "`detect` may not name the root item `*`"),
        (
            "detect/detectors/stuck/deadlock.rs",
            "//! S.\nuse crate::detect::detectors::blocking::long_polls::scan;",
            "may not name the detector `long_polls`",
        ),
        ("diagnosis.rs", "//! S.\nuse crate::feed::live;", "may name the events of `feed`, not its `live`"),
        ("tui/mod.rs", "//! S.\nuse crate::alert::text;", "`tui` may not name the layer `alert`"),
        ("tui/mod.rs", "//! S.\nuse tonic::Code;", "`tui` may not use the crate `tonic`"),
        ("tui/mod.rs", "//! S.\nuse crate::model::TaskKey;", "`tui` may not name the layer `model`"),
        ("tui/mod.rs", "//! S.\nuse crate::detect::finding::Finding;", "`tui` may not name the layer `detect`"),
        ("alert/mod.rs", "//! S.\nuse crate::evidence::Evidence;", "`alert` may not name the layer `evidence`"),
        ("report/mod.rs", "//! S.\nuse ratatui::style::Style;", "`report` may not use the crate `ratatui`"),
        ("fleet.rs", "//! S.\nuse crate::report::Snapshot;", "`fleet` may not name the layer `report`"),
        ("alert/text.rs", "//! S.\nuse crate::tui::theme;", "`alert` may not name the layer `tui`"),
        ("alert/text.rs", "//! S.\nfn f(c: console_api::Field) {}", "`alert` may not use the crate `console_api`"),
        ("tui/mod.rs", "//! S.\nfn f() { println!(); }", "`println!` outside alert, run and main"),
        ("run.rs", "//! S.\nfn f() { g().unwrap(); }", "`.unwrap(` outside tests"),
        ("run.rs", "//! S.\n#[allow(dead_code)]\nfn f() {}", "`#[allow` instead of"),
        ("run.rs", "// S.\nfn f() {}", "begins without a `//!` sentence"),
        ("run.rs", long.as_str(), "401 lines without its tests, 400 are allowed"),
        ("extras.rs", "//! S.", "the layer `extras` has no row"),
    ];
    for (path, text, expected) in cases {
        let found = check_one(path, text);
        assert!(
            found.len() == 1 && found[0].contains(expected),
            "{path} with {text:.60?}: expected {expected:?}, found {found:#?}"
        );
    }
}

/// And must not find what is allowed.
#[test]
fn allowed_sources_pass() {
    let tests = format!("//! S.\n#[cfg(test)]\nmod tests {{\n{}}}\n", "fn f() { g().unwrap(); }\n".repeat(MAX_LINES));
    let cases = [
        ("feed/live.rs", "//! S.\nuse tonic::Status;\nuse crate::feed::endpoint::Endpoint;\nuse super::lag;"),
        ("model/ingest/decode/values.rs", "//! S.\nuse console_api::tasks;\nuse crate::model::entity::task::Task;"),
        (
            "model/site.rs",
            "//! S.\n/// Not `crate::feed`, says tonic::Status.\nfn f() -> &'static str { \"crate::tui::x.unwrap()\" }",
        ),
        (
            "detect/detectors/mod.rs",
            "//! S.\nstatic ALL: &[&D] = &[&stuck::deadlock::DETECTOR, &self::blocking::long_polls::DETECTOR];",
        ),
        (
            "detect/detectors/stuck/deadlock.rs",
            "//! S.\nuse crate::evidence::Evidence;\nuse crate::detect::detector::Detector;",
        ),
        ("diagnosis.rs", "//! S.\nuse crate::feed::{FeedEvent, Status};\nuse crate::{detect, model};"),
        ("alert/text.rs", "//! S.\nfn f() { println!(); }"),
        ("tui/mod.rs", "//! S.\nuse crate::detect::detectors::DETECTORS;\nuse crate::fleet::Step;"),
        ("tui/mod.rs", tests.as_str()),
        ("tui/tests.rs", "//! S.\nuse crate::feed::live;"),
    ];
    for (path, text) in cases {
        let found = check_one(path, text);
        assert!(found.is_empty(), "{path} with {text:.60?}: {found:#?}");
    }
}

/// Checks one file as if it stood among a few others.
fn check_one(path: &str, text: &str) -> Vec<String> {
    let others = [
        "alert/mod.rs",
        "detect/detectors/stuck/deadlock.rs",
        "detect/detectors/blocking/long_polls.rs",
        "evidence/mod.rs",
        "feed/mod.rs",
        "fleet.rs",
        "model/mod.rs",
        "report/mod.rs",
        "tui/mod.rs",
    ];
    let all: Vec<Source> = others.iter().map(|other| Source::parse(other, "")).collect();
    violations(&Source::parse(path, text), &all, &dependencies())
}
