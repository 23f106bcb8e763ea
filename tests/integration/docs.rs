//! The pages of the detectors have the form that `explain` promises, and the guides point to what exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use tokio_canary::alert::http::metrics::{METRICS, rules};
use tokio_canary::config::options::OPTIONS;
use tokio_canary::config::{check, variable};
use tokio_canary::detect::doubt::Doubt;
use tokio_canary::detect::settings::{Settings, Value};
use tokio_canary::explain;
use tokio_canary::report::terms::{self, ListTerms};

use crate::source::{files_below, in_repository, read};

/// The sections of a detector's page, in this order and no others.
const SECTIONS: [&str; 6] =
    ["What it means", "Why it hurts", "What the evidence says", "What to do", "When it is wrong", "Settings"];

#[test]
fn detector_pages_have_their_form() {
    let pages = files_below(&in_repository("docs/detectors"), "md");
    assert!(!pages.is_empty(), "no page was found");
    let found: Vec<String> = pages
        .iter()
        .filter_map(|page| check_page(&id(page), &read(page)).err().map(|what| format!("{}: {what}", page.display())))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// A page has the title of its detector, which the lists of detectors and of findings show.
#[test]
fn pages_have_the_titles_of_their_detectors() {
    let detectors = tokio_canary::detect::detectors::DETECTORS;
    for detector in detectors {
        let title = format!("# {}: {}", detector.id, detector.title);
        assert_eq!(detector.explain.lines().next(), Some(&*title), "docs/detectors/{}.md", detector.id);
    }
    assert_eq!(files_below(&in_repository("docs/detectors"), "md").len(), detectors.len(), "a page without a detector");
}

/// Code in a page is not wrapped: with its indentation it has to fit into a terminal of 80 columns.
#[test]
fn code_in_pages_fits_into_a_terminal() {
    for page in files_below(&in_repository("docs/detectors"), "md") {
        let text = read(&page);
        let code = text.split("```").skip(1).step_by(2).flat_map(str::lines);
        let long: Vec<&str> = code.filter(|line| line.chars().count() > 74).collect();
        assert!(long.is_empty(), "{}: {}", page.display(), long.join("\n"));
    }
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

/// The pages show the defaults, in their text as in the list at their end. `BLESS=1` writes that list anew.
#[test]
fn pages_show_the_settings() {
    for detector in tokio_canary::detect::detectors::DETECTORS {
        let path = in_repository(&format!("docs/detectors/{}.md", detector.id));
        let page = read(&path);
        let prose = explain::prose(&page);
        let mut keys = BTreeSet::new();
        for (shown, key, setting) in prose.lines().flat_map(|line| explain::links(detector, line)) {
            assert_eq!(shown, setting.in_words(&setting.default()), "{}: [{shown}][{key}]", path.display());
            keys.insert(key);
        }
        let links: Vec<String> = keys.iter().map(|key| format!("[{key}]: #settings\n")).collect();
        let (gap, links) = (if keys.is_empty() { "" } else { "\n" }, links.concat());
        let whole = format!("{prose}{}{gap}{links}", explain::settings_section(detector, &Settings::default()));
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, whole).expect("a page that can be written");
        } else {
            assert!(page == whole, "{}: its settings have changed; `BLESS=1` writes them anew", path.display());
        }
    }
}

#[test]
fn the_gates_guide_lists_why_a_verdict_is_inconclusive() {
    let rows = Doubt::ALL.map(|doubt| format!("| `{}` | {} |\n", doubt.as_str(), doubt.describe())).concat();
    let guide = read(&in_repository("docs/guides/ci-gate.md"));
    assert!(guide.contains(&rows), "the table should be:\n{rows}");
}

/// A harmless explanation is told where the page says when the finding is wrong, and a scenario shows a finding that it has lowered.
#[test]
fn every_look_alike_is_documented_and_shown_by_a_scenario() {
    let mut missing = Vec::new();
    for detector in tokio_canary::detect::detectors::DETECTORS {
        let page = words(&explain::markdown(detector, &Settings::default()));
        let wrong = page.split_once("## When it is wrong").map(|(_, section)| section).unwrap_or_default();
        let shown = snapshots_below(&in_repository(&format!("tests/scenarios/{}", detector.id)));
        for look_alike in detector.look_alikes {
            let sentence = look_alike.describe();
            if !wrong.contains(sentence) {
                missing.push(format!("docs/detectors/{}.md does not say: {sentence}", detector.id));
            }
            if !shown.contains(&format!("info {} {sentence}", detector.id)) {
                missing.push(format!("no scenario of {} is lowered by: {sentence}", detector.id));
            }
        }
        let sentences: Vec<&str> = detector.look_alikes.iter().map(|it| it.describe()).collect();
        for line in shown.lines() {
            let sentence = line.strip_prefix(&format!("info {} ", detector.id)).unwrap_or_default();
            if !sentence.is_empty() && !sentences.contains(&sentence) {
                missing.push(format!("the row of {} lacks the look-alike: {sentence}", detector.id));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// What the scenarios of a folder show of look-alikes: severity, detector and sentence, a line each.
fn snapshots_below(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|it| it == "snap"));
    let mut lines = String::new();
    for text in paths.map(|path| read(&path)) {
        let mut told = String::new();
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if words.get(1) == Some(&"s") && words.len() > 4 {
                told = format!("{} {}", words[3], words[4]);
            } else if line.trim_start().starts_with("Possibly ") {
                lines += &format!("{told} {}\n", line.trim());
            }
        }
    }
    lines
}

/// A text without its line breaks.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A number with a unit in the text of a page comes from a setting, so that it cannot go stale.
#[test]
fn numbers_in_pages_are_links_to_settings() {
    let mut typed = Vec::new();
    for detector in tokio_canary::detect::detectors::DETECTORS {
        let path = in_repository(&format!("docs/detectors/{}.md", detector.id));
        let page = explain::markdown(detector, &Settings::default());
        assert!(!page.contains("]["), "{}: a link names no setting", path.display());
        let prose = explain::prose(detector.explain);
        typed.extend(typed_numbers(prose).into_iter().map(|number| format!("{}: {number}", path.display())));
    }
    assert!(typed.is_empty(), "{}", typed.join("\n"));
}

/// The numbers with units that stand in a page as such: outside of code, and not as the text of a link.
fn typed_numbers(page: &str) -> Vec<String> {
    let mut typed = Vec::new();
    let mut fenced = false;
    for line in page.lines() {
        fenced ^= line.starts_with("```");
        let plain: String = line.split('`').step_by(2).collect::<Vec<_>>().join(" ");
        let words: Vec<&str> = plain.split_whitespace().collect();
        let is_number = |word: &str| word.ends_with(|c: char| c.is_ascii_digit()) && !word.contains('[');
        let is_unit = |word: &str| {
            let word = word.trim_end_matches(['.', ',', ';', ':', ')', ']']);
            ["s", "ms", "µs", "%", "seconds", "minutes", "polls", "tasks", "kB", "MB"].contains(&word)
        };
        let found = words.windows(2).filter(|pair| !fenced && is_number(pair[0]) && is_unit(pair[1]));
        typed.extend(found.map(|pair| pair.join(" ")));
    }
    typed
}

#[test]
fn typed_numbers_are_found() {
    let page = "From [1 s][critical] on, `2 s` and\nup to 30 s, or 5 %.\n```\n7 s\n```\nIn 3 updates.";
    assert_eq!(typed_numbers(page), ["30 s,", "5 %."]);
}

/// The README shows what the score says, as the command that writes both left it.
#[test]
fn the_readme_shows_the_score() {
    let (readme, score) = ("README.md", "docs/reference/score.md");
    let [shown, scored] = [readme, score].map(|page| {
        let text = read(&in_repository(page));
        let block = text.split_once("<!-- score -->").and_then(|(_, rest)| rest.split_once("<!-- end of score -->"));
        block.map_or_else(|| panic!("{page} has no score"), |(block, _)| block.trim().to_owned())
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

/// The table of metrics and the file of rules are the code's; `BLESS=1` writes them anew.
#[test]
fn metrics_and_rules_are_documented_as_they_are() {
    let rows = METRICS.iter().map(|metric| {
        let labels = metric.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        format!("| `{}` | {} | {labels} | {} |\n", metric.full_name(), metric.measure.as_str(), metric.help)
    });
    let (begin, end) = ("<!-- metrics -->\n", "<!-- end of metrics -->");
    let table = format!("| metric | type | labels | meaning |\n|---|---|---|---|\n{}", rows.collect::<String>());
    let path = in_repository("docs/reference/metrics.md");
    let page = read(&path);
    let (before, rest) = page.split_once(begin).expect("a place for the table");
    let (_, after) = rest.split_once(end).expect("an end of the table");
    let whole = format!("{before}{begin}{table}{end}{after}");
    for (path, right) in [(path, whole), (in_repository("deploy/prometheus/tokio-canary.rules.yml"), rules::text())] {
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, right).expect("a file that can be written");
        } else {
            assert!(read(&path) == right, "{} is not up to date; `BLESS=1` writes it anew", path.display());
        }
    }
}

/// What the guide and the README show can be copied.
/// The terms of filters are the columns'; `BLESS=1` writes them anew.
#[test]
fn terms_of_filters_are_documented_as_they_are() {
    let path = in_repository("docs/guides/filters.md");
    let page = read(&path);
    let section = |terms: &ListTerms| {
        let rows = terms.rows.iter().map(|row| format!("| `{}` | {} |\n", row.example, row.help));
        format!("\n## Terms for {}\n\n| term | what it asks for |\n|---|---|\n{}", terms.list, rows.collect::<String>())
    };
    let right = terms::all().iter().map(section).collect::<String>();
    let (begin, end) = ("<!-- terms -->\n", "<!-- end of terms -->");
    let (before, rest) = page.split_once(begin).expect("a place for the terms");
    let (_, after) = rest.split_once(end).expect("an end of the terms");
    let whole = format!("{before}{begin}{right}{end}{after}");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, whole).expect("a page that can be written");
    } else {
        assert!(page == whole, "{} is not up to date; `BLESS=1` writes it anew", path.display());
    }
}

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
        files_below(&in_repository("docs/detectors"), "md").iter().map(|page| id(page)).collect();
    let mut mentions = 0;
    for page in files_below(&in_repository("docs"), "md") {
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
    for page in files_below(&in_repository("docs"), "md") {
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
