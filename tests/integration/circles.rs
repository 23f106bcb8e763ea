//! No two modules import each other in a circle: neither the layers below the crate root, nor the files and folders of one folder.

use std::collections::{BTreeMap, BTreeSet};

use crate::layers::absolute;
use crate::source::{Source, in_repository, read_sources};

/// Circles that stand, each as its modules in order; a row whose circle is gone has to go too.
const KNOWN: &[&[&str]] = &[
    // The evidence keeps the answers of these files, and they are asked through it.
    &[
        "evidence::blame",
        "evidence::flow",
        "evidence::holders",
        "evidence::identity",
        "evidence::lock_order",
        "evidence::memory",
        "evidence::running_polls",
        "evidence::task_wait",
        "evidence::view",
        "evidence::waiters",
    ],
    // Entities have a history, and the history of ends reads the counters of a task.
    &["model::entity", "model::history"],
];

/// A module, as the path that names it.
type Module = Vec<String>;

/// Which module of a folder imports which other one of the same folder, and the line that does so first.
type Imports = BTreeMap<String, BTreeMap<String, String>>;

#[test]
fn modules_do_not_import_each_other_in_a_circle() {
    let imports = imports(&read_sources(&in_repository("src")));
    assert!(imports["diagnosis"].contains_key("feed"), "the sources were not found: {imports:#?}");
    let found = circles(&imports);
    let known: BTreeSet<Vec<&str>> = KNOWN.iter().map(|circle| circle.to_vec()).collect();
    let new: Vec<String> = found.difference(&known).map(|circle| describe(circle, &imports)).collect();
    assert!(new.is_empty(), "modules import each other in a circle:\n{}", new.join("\n"));
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(gone.is_empty(), "these circles are gone, and so must be their rows: {gone:#?}");
}

/// What the modules of each folder import from each other. A parent is on another level than its children: it may export what they have,
/// and they may use what it says.
fn imports(sources: &[Source]) -> Imports {
    let modules: BTreeSet<Module> = sources.iter().map(module).collect();
    let named: Vec<(&Source, Vec<(Module, usize)>)> = sources.iter().map(|source| (source, named_in(source))).collect();
    // What a parent names, its children and others can import from there.
    let parents = named.iter().filter(|(source, _)| source.path.ends_with("/mod.rs"));
    let passed_on: BTreeMap<(Module, &String), &Module> = parents
        .flat_map(|(source, paths)| paths.iter().filter_map(|(path, _)| Some(((module(source), path.last()?), path))))
        .collect();
    let mut imports = Imports::new();
    for (source, paths) in named.iter().filter(|(source, _)| !source.is_exempt()) {
        for (path, line) in paths {
            let Some((from, to)) = home(path, &modules, &passed_on).and_then(|home| siblings(&module(source), &home))
            else {
                continue;
            };
            let place = || format!("{}:{line}", source.path);
            imports.entry(from).or_default().entry(to).or_insert_with(place);
        }
    }
    imports
}

fn module(source: &Source) -> Module {
    source.module().into_iter().map(str::to_owned).collect()
}

/// The paths into this crate that a file names, below the crate root, with their lines.
fn named_in(source: &Source) -> Vec<(Module, usize)> {
    let paths = source.named_paths().into_iter().map(|path| (absolute(source, &path.segments), path.line));
    paths
        .filter(|(path, _)| path.len() > 1 && path[0] == "crate")
        .map(|(path, line)| (path[1..].to_vec(), line))
        .collect()
}

/// The module that has what a path names, also where another one passes it on.
fn home(
    path: &[String],
    modules: &BTreeSet<Module>,
    passed_on: &BTreeMap<(Module, &String), &Module>,
) -> Option<Module> {
    let mut path = path.to_vec();
    // Nothing is passed on so often, unless in a circle.
    for _ in 0..8 {
        let length = (1..=path.len()).rev().find(|&length| modules.contains(&path[..length]))?;
        let home = path[..length].to_vec();
        let Some(next) = path.get(length).and_then(|item| passed_on.get(&(home.clone(), item))) else {
            return Some(home);
        };
        if next.starts_with(&path) {
            return Some(home);
        }
        path = [next, &path[length + 1..]].concat();
    }
    None
}

/// Where two modules part: the two of one folder that they are or stand in. None if one is in the other.
fn siblings(from: &[String], to: &[String]) -> Option<(String, String)> {
    let level = from.iter().zip(to).position(|(from, to)| from != to)?;
    Some((from[..=level].join("::"), to[..=level].join("::")))
}

/// The sets of modules that reach each other.
fn circles(imports: &Imports) -> BTreeSet<Vec<&str>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        imports.keys().map(|module| (module.as_str(), reached_from(module, imports))).collect();
    let reaches = |from: &str, to: &str| reached.get(from).is_some_and(|reached| reached.contains(to));
    let in_circles = reached.keys().filter(|module| reaches(module, module));
    in_circles.map(|module| reached[module].iter().copied().filter(|other| reaches(other, module)).collect()).collect()
}

fn reached_from<'a>(module: &'a str, imports: &'a Imports) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut next = vec![module];
    while let Some(module) = next.pop() {
        let others = imports.get(module).into_iter().flat_map(BTreeMap::keys);
        next.extend(others.map(String::as_str).filter(|other| reached.insert(*other)));
    }
    reached
}

/// The imports that make a circle.
fn describe(circle: &[&str], imports: &Imports) -> String {
    let within = circle.iter().flat_map(|from| imports[*from].iter().map(move |(to, place)| (from, to, place)));
    let within = within.filter(|(_, to, _)| circle.contains(&to.as_str()));
    let lines: Vec<String> = within.map(|(from, to, place)| format!("  {place}: `{from}` imports `{to}`")).collect();
    lines.join("\n")
}

/// Each kind of circle must be found, and what is none must not.
#[test]
fn circles_are_found_on_every_level() {
    type Case = (&'static str, &'static [(&'static str, &'static str)], &'static [&'static [&'static str]]);
    let cases: [Case; 8] = [
        ("two layers", &[("a/mod.rs", "use crate::b::X;"), ("b/mod.rs", "fn f(y: crate::a::Y) {}")], &[&["a", "b"]]),
        (
            "folders, through different files",
            &[
                ("m/a/one.rs", "use crate::m::b::one::X;"),
                ("m/a/two.rs", ""),
                ("m/b/one.rs", ""),
                ("m/b/two.rs", "use super::super::a::two::Y;"),
            ],
            &[&["m::a", "m::b"]],
        ),
        (
            "three files",
            &[("m/a.rs", "use super::b::X;"), ("m/b.rs", "use super::c::X;"), ("m/c.rs", "use super::a::X;")],
            &[&["m::a", "m::b", "m::c"]],
        ),
        (
            "through what the parent exports",
            &[
                ("m/mod.rs", "pub use self::a::Thing;"),
                ("m/a.rs", "use super::b::X;"),
                ("m/b.rs", "use crate::m::Thing;"),
            ],
            &[&["m::a", "m::b"]],
        ),
        (
            "a parent and its children",
            &[("m/mod.rs", "mod a;\npub use self::a::Thing;\npub struct Own;"), ("m/a.rs", "use super::Own;")],
            &[],
        ),
        (
            "a circle in tests",
            &[("m/a.rs", "use super::b::X;"), ("m/b.rs", "#[cfg(test)]\nmod tests {\n use crate::m::a::X;\n}")],
            &[],
        ),
        ("one way", &[("m/a.rs", "use super::{b, c};"), ("m/b.rs", "use super::c::X;"), ("m/c.rs", "")], &[]),
        ("a crate of the same name", &[("a.rs", "use crate::tokio::X;"), ("tokio.rs", "use a::Y;")], &[]),
    ];
    for (what, files, expected) in cases {
        let sources: Vec<Source> = files.iter().map(|(path, text)| Source::parse(path, text)).collect();
        let imports = imports(&sources);
        let expected: BTreeSet<Vec<&str>> = expected.iter().map(|circle| circle.to_vec()).collect();
        assert_eq!(circles(&imports), expected, "{what}: {imports:#?}");
    }
}
