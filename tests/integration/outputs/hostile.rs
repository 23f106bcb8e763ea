//! A target whose names try to break out of what they are written into, in every format.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use roxmltree::Document;
use serde_json::Value;
use tokio_canary::report::sanitize::is_hidden;

use super::{Desk, changed, faults, name_tasks, place_all, schema};

/// What a name may contain: the ends of everything that it may be written into.
const NAME: &str = "a\u{1b}[2J\u{1b}]0;t\u{7}\r\n::error file=x,line=1::pwned\n## pwned\n- [ ] x\n<img src=x onerror=alert(1)><!-- ]]> &lt; \"'` ``` ~~~ \
                    [l](https://evil.example) ![i](https://evil.example/i) @octocat #1 https://evil.example ##[error]pwned | %0A \u{202e}\u{200b}\u{e0041}\u{ffff}\u{fffe}\u{0}";
/// The same as a file of the service's own.
const FILE: &str = "src/a ::error file=x::b]]><b>`[l](u),\u{202e}\u{1b}[2J\n::warning::c%.rs";
/// What it says where it is not looked for.
const MARK: &str = "pwned";

fn written(format: &str) -> String {
    let desk = Desk::new();
    let file = "::error::`]]>\u{202e}\u{1b}[2J<b>.mcap";
    let target = changed(&desk, "old-0.4-crossed-mutexes", file, |message| {
        name_tasks(message, NAME);
        place_all(message, |location| location.file = Some(FILE.to_owned()));
    });
    let arguments = ["check", &target, "--for", "10m", "--output", format];
    let outcome = desk.run(&arguments);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("deadlock"), "{}", outcome.stdout);
    let hidden: Vec<char> = outcome.stdout.chars().filter(|it| is_hidden(*it) && *it != '\n').collect();
    assert_eq!(hidden, [' '; 0], "{format}: nothing is hidden in {:?}", outcome.stdout);
    outcome.stdout
}

#[test]
fn text_has_a_line_for_each_event_and_none_begins_with_a_name() {
    for line in written("text").lines() {
        assert!(!line.starts_with("::") && !line.contains("##["), "{line}");
        let begins = line.starts_with(|it: char| it.is_ascii_digit()) && line.contains("deadlock");
        assert!(begins || line.contains("FAIL (exit 1)") || line.contains("INCONCLUSIVE"), "{line}");
    }
}

#[test]
fn ndjson_has_an_object_a_line_in_which_the_name_is_whole() {
    let text = written("ndjson");
    let lines: Vec<Value> = text.lines().map(|line| line.parse().unwrap()).collect();
    assert!(lines.iter().all(|line| faults(&schema("tokio-canary.events.v1.json"), line).is_empty()));
    let finding = lines.iter().find(|line| line["detector"] == "deadlock").unwrap();
    assert!(finding["subject"]["name"].as_str().unwrap().starts_with("a\u{1b}[#J"), "{finding}");
}

/// Read as GitHub reads it, and as strictly: whatever is not code is ours.
#[test]
fn a_brief_has_nothing_of_a_name_outside_of_code() {
    let text = written("brief");
    let (mut headings, mut in_heading) = (Vec::new(), false);
    for event in Parser::new_ext(&text, Options::all()) {
        match event {
            Event::Start(Tag::Heading { .. }) => {
                in_heading = true;
                headings.push(String::new());
            }
            Event::End(TagEnd::Heading(_)) => in_heading = false,
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_) | CodeBlockKind::Indented)) => {
                panic!("a code block in {text}")
            }
            Event::Start(
                Tag::Link { .. } | Tag::Image { .. } | Tag::HtmlBlock | Tag::Table(_) | Tag::BlockQuote(_),
            ) => {
                panic!("{event:?} in {text}")
            }
            Event::Html(_) | Event::InlineHtml(_) | Event::InlineMath(_) | Event::DisplayMath(_) | Event::Rule => {
                panic!("{event:?} in {text}")
            }
            Event::TaskListMarker(_) | Event::FootnoteReference(_) => panic!("{event:?} in {text}"),
            Event::Text(said) => {
                for part in [MARK, "evil", "octocat", "onerror", "::", "#1", "@"] {
                    assert!(!said.contains(part), "{said:?} is not code, in {text}");
                }
                if in_heading {
                    headings.last_mut().unwrap().push_str(&said);
                }
            }
            _ => {}
        }
    }
    assert!(headings[0].starts_with("tokio-canary: FAIL (exit 1)"), "{headings:?}");
    assert!(headings[1..].iter().all(|it| it == "Findings" || it == "Could not be judged"), "{headings:?}");
}

#[test]
fn junit_has_only_elements_of_ours() {
    let text = written("junit");
    let document = Document::parse(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let known =
        ["testsuites", "testsuite", "testcase", "properties", "property", "failure", "error", "skipped", "system-out"];
    for node in document.descendants().filter(|it| it.is_element()) {
        assert!(known.contains(&node.tag_name().name()), "{node:?}");
        assert!(node.attributes().all(|it| {
            ["name", "classname", "type", "message", "value", "tests", "skipped", "errors", "failures", "file", "line"]
                .contains(&it.name())
        }));
    }
    assert!(!document.descendants().any(|it| it.is_comment() || it.is_pi()));
    assert!(text.contains("\\u{ffff}"), "what XML cannot hold is escaped: {text}");
}

/// Read as the runner reads it: a line that begins with `::` is a command, and so is whatever follows `##[` in a line that is none.
#[test]
fn github_has_only_commands_of_ours() {
    let text = written("github");
    for line in text.lines() {
        let rest = ["::error ", "::warning ", "::notice "].iter().find_map(|level| line.strip_prefix(level));
        let (properties, message) = rest.and_then(|rest| rest.split_once("::")).unwrap_or_else(|| panic!("{line}"));
        for property in properties.split(',') {
            let (name, value) = property.split_once('=').unwrap_or_else(|| panic!("{line}"));
            assert!(["file", "line", "col", "title"].contains(&name), "{line}");
            assert!(!value.contains([':', ',']) && !value.is_empty(), "{line}");
            assert!(!matches!(name, "line" | "col") || value.parse::<u32>().is_ok(), "{line}");
        }
        let decoded = message.replace("%25", "%");
        assert!(!message.is_empty() && message.matches('%').count() == decoded.matches('%').count(), "{line}");
    }
}

#[test]
fn sarif_has_no_link_and_no_place_of_a_name() {
    let text = written("sarif");
    let document: Value = text.parse().unwrap();
    assert_eq!(faults(&schema("vendored/sarif-2.1.0.json"), &document), [""; 0]);
    let run = &document["runs"][0];
    let results = run["results"].as_array().unwrap();
    let notes = run["invocations"][0]["toolExecutionNotifications"].as_array().unwrap();
    for said in results.iter().chain(notes).filter_map(|it| it["message"]["text"].as_str()) {
        let brackets = said.matches(['[', ']']).count();
        assert_eq!(brackets, said.matches("\\[").count() + said.matches("\\]").count(), "{said}");
    }
    for result in results {
        let uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].as_str().unwrap();
        assert!(uri.chars().all(|it| it.is_ascii_alphanumeric() || "-._~/%".contains(it)), "{uri}");
    }
}
