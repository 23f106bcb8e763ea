//! The pages of the detectors have the form that `explain` promises, and the guides point to what exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tokio_canary::config::options::OPTIONS;
use tokio_canary::config::{check, variable};
use tokio_canary::detect::settings::Value;

use crate::source::{in_repository, read};

/// The sections of a detector's page, in this order and no others.
const SECTIONS: [&str; 5] =
    ["What it means", "Why it hurts", "What the evidence says", "What to do", "When it is wrong"];

#[test]
fn detector_pages_have_their_form() {
    let pages = markdown_below(&in_repository("docs/detectors"));
    assert!(!pages.is_empty(), "no page was found");
    let found: Vec<String> = pages
        .iter()
        .filter_map(|page| check_page(&id(page), &read(page)).err().map(|what| format!("{}: {what}", page.display())))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The table in the README is the registry's: change the one, and this prints the other.
#[test]
fn the_readme_lists_every_detector() {
    let readme = read(&in_repository("README.md"));
    let rows = tokio_canary::detect::detectors::DETECTORS.iter().map(|detector| {
        let (id, family, title) = (detector.id, detector.family.as_str(), detector.title);
        format!("| [`{id}`](docs/detectors/{id}.md) | {family} | {title} |\n")
    });
    let table = format!(
        "<!-- detectors -->\n| detector | family | finds that |\n|---|---|---|\n{}<!-- end of detectors -->",
        rows.collect::<String>()
    );
    assert!(readme.contains(&table), "the table of the README should be:\n{table}");
}

/// The README shows what the score says, as the command that writes both left it.
#[test]
fn the_readme_shows_the_score() {
    let (readme, score) = ("README.md", "docs/reference/score.md");
    let [shown, scored] = [readme, score].map(|page| {
        let text = read(&in_repository(page));
        let block = text.split_once("<!-- score -->").and_then(|(_, rest)| rest.split_once("<!-- end of score -->"));
        block.map(|(block, _)| block.trim().to_owned()).unwrap_or_else(|| panic!("{page} has no score"))
    });
    assert!(scored.lines().count() > 2, "{score} has no totals");
    assert_eq!(shown, scored, "{readme} (left) and {score} (right): `cargo test --test patients -- --score {score}`");
}

/// The table in the guide is the registry's: change the one, and this prints the other.
#[test]
fn the_guide_lists_every_option() {
    let guide = read(&in_repository("docs/guides/configuration.md"));
    let rows = OPTIONS.iter().map(|option| {
        let (key, help) = (option.key(), option.help());
        let default = match option.default() {
            Value::Unset => "not set".to_owned(),
            value => format!("`{}`", option.written(&value)),
        };
        format!("| `{key}` | `{}` | {default} | {help} |\n", variable(key))
    });
    let table = format!(
        "<!-- options -->\n| key | variable | default | meaning |\n|---|---|---|---|\n{}<!-- end of options -->",
        rows.collect::<String>()
    );
    assert!(guide.contains(&table), "the table of the guide should be:\n{table}");
}

/// What the guide and the README show can be copied.
#[test]
fn the_files_that_are_shown_are_right() {
    let folder = tempfile::tempdir().expect("a folder");
    for page in ["docs/guides/configuration.md", "README.md"] {
        let text = read(&in_repository(page));
        let files: Vec<&str> = text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(!files.is_empty(), "{page} shows no file");
        for text in files {
            let file = folder.path().join("shown.toml");
            fs::write(&file, text).expect("it can be written");
            assert_eq!(check(&file, SystemTime::UNIX_EPOCH).faults, [], "{page}: {text}");
        }
    }
}

#[test]
fn detectors_named_in_docs_exist() {
    let known: BTreeSet<String> =
        markdown_below(&in_repository("docs/detectors")).iter().map(|page| id(page)).collect();
    let mut mentions = 0;
    for page in markdown_below(&in_repository("docs")) {
        for name in explained(&read(&page)) {
            mentions += 1;
            assert!(known.contains(&name), "{}: `tokio-canary explain {name}` has nothing to print", page.display());
        }
    }
    assert!(mentions > 0, "no `tokio-canary explain` was found in the docs");
}

#[test]
fn links_within_docs_lead_somewhere() {
    let mut links = 0;
    for page in markdown_below(&in_repository("docs")) {
        let text = read(&page);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            if target.is_empty() || target.contains("://") {
                continue;
            }
            links += 1;
            let file = page.parent().unwrap_or(&page).join(target);
            assert!(file.exists(), "{}: the link to {target} leads nowhere", page.display());
        }
    }
    assert!(links > 0, "no link was found in the docs");
}

/// A page that lacks something must not pass.
#[test]
fn malformed_pages_are_found() {
    let good = format!("# a-b: one two\n\n{}", SECTIONS.map(|name| format!("## {name}\n\nText.\n")).join("\n"));
    assert_eq!(check_page("a-b", &good), Ok(()));
    let cases = [
        good.replace("# a-b:", "# a-c:"),
        good.replace("one two", ""),
        good.replace("## Why it hurts\n\nText.\n", ""),
        good.replace("## Why it hurts\n\nText.\n", "## Why it hurts\n\n"),
        good.replace("What to do", "What to try"),
        format!("{good}\n## More\n\nText.\n"),
        format!("{good}\n```rust\nfn f() {{}}\n"),
    ];
    for page in cases {
        assert!(check_page("a-b", &page).is_err(), "{page}");
    }
}

fn check_page(id: &str, text: &str) -> Result<(), String> {
    let title = text.lines().next().unwrap_or_default();
    let sentence = title.strip_prefix(&format!("# {id}: ")).unwrap_or_default();
    if sentence.split_whitespace().count() < 2 {
        return Err(format!("the first line is {title:?} and not `# {id}: ` with a sentence"));
    }
    let mut sections: Vec<(&str, usize)> = Vec::new();
    let mut fenced = false;
    for line in text.lines().skip(1) {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if let Some(name) = line.strip_prefix("## ").filter(|_| !fenced) {
            sections.push((name, 0));
        } else if let Some((_, lines)) = sections.last_mut().filter(|_| !line.trim().is_empty()) {
            *lines += 1;
        }
    }
    if fenced {
        return Err("a code block is not closed".to_owned());
    }
    let names: Vec<&str> = sections.iter().map(|(name, _)| *name).collect();
    if names != SECTIONS {
        return Err(format!("the sections are {names:?} and not {SECTIONS:?}"));
    }
    match sections.iter().find(|(_, lines)| *lines == 0) {
        Some((name, _)) => Err(format!("the section {name:?} is empty")),
        None => Ok(()),
    }
}

/// The detectors whose explanation a page tells the reader to print; a placeholder in capitals is none.
fn explained(text: &str) -> Vec<String> {
    text.split("tokio-canary explain ")
        .skip(1)
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect())
        .filter(|name: &String| !name.is_empty())
        .collect()
}

fn id(page: &Path) -> String {
    page.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn markdown_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{} cannot be listed: {error}", folder.display()));
    let mut pages = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            pages.extend(markdown_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
    pages.sort();
    pages
}
