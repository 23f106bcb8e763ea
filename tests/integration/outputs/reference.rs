//! The pages about outputs, made from the registry of formats and from the schema.

use std::fmt::Write;
use std::fs;

use serde_json::Value;
use tokio_canary::config::output::Format;
use tokio_canary::config::word::Word;

use super::schema;
use crate::source::{in_repository, read};

/// Compares a part of a page between two marks with what it should be; `BLESS=1` writes it anew.
fn holds(page: &str, mark: &str, expected: &str) {
    let path = in_repository(page);
    let text = read(&path);
    let (begin, end) = (format!("<!-- {mark} -->\n"), format!("<!-- end of {mark} -->"));
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{page} has no {begin}"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{page} has no {end}"));
    let whole = format!("{before}{begin}{expected}{end}{after}");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, whole).unwrap();
    } else {
        assert!(text == whole, "{page}: {mark} has changed; `BLESS=1` writes it anew:\n{expected}");
    }
}

#[test]
fn the_guide_lists_every_format() {
    let rows = Format::ALL.iter().map(|format| format!("| `{}` | {} |\n", format.word(), format.meaning()));
    let table = format!("| format | what is written |\n|---|---|\n{}", rows.collect::<String>());
    holds("docs/guides/outputs.md", "formats", &table);
}

#[test]
fn the_reference_lists_every_field() {
    let schema = schema("tokio-canary.events.v1.json");
    let mut text = String::new();
    for line in schema["oneOf"].as_array().unwrap() {
        let name = line["$ref"].as_str().unwrap().trim_start_matches("#/$defs/");
        let object = &schema["$defs"][name];
        let _ = write!(
            text,
            "\n## {name}\n\n{}\n\n| field | value | meaning |\n|---|---|---|\n",
            object["description"].as_str().unwrap()
        );
        fields(&schema, object, "", &mut text);
    }
    text.push('\n');
    holds("docs/reference/events.md", "schema", &text);
}

/// A row for each field of an object, and of the objects in it.
fn fields(schema: &Value, object: &Value, above: &str, text: &mut String) {
    for name in object["required"].as_array().unwrap().iter().filter_map(Value::as_str) {
        let field = &object["properties"][name];
        let kind = field["$ref"].as_str().map_or(field, |path| &schema["$defs"][path.trim_start_matches("#/$defs/")]);
        let meaning = [field, kind].into_iter().find_map(|it| it["description"].as_str()).unwrap_or_default();
        let _ = writeln!(text, "| `{above}{name}` | {} | {meaning} |", value(schema, kind));
        let (inner, suffix) = if kind["type"] == "array" { (&kind["items"], "[]") } else { (kind, "") };
        if inner["properties"].is_object() {
            fields(schema, inner, &format!("{above}{name}{suffix}."), text);
        }
    }
}

/// What a field may be, in words.
fn value(schema: &Value, kind: &Value) -> String {
    if let Some(path) = kind["$ref"].as_str() {
        return value(schema, &schema["$defs"][path.trim_start_matches("#/$defs/")]);
    }
    if !kind["const"].is_null() {
        return format!("`{}`", kind["const"].as_str().unwrap());
    }
    if let Some(words) = kind["enum"].as_array() {
        let words =
            words.iter().map(|word| format!("`{}`", word.as_str().map_or_else(|| word.to_string(), str::to_owned)));
        return words.collect::<Vec<_>>().join(", ");
    }
    match &kind["type"] {
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        Value::String(one) if one == "array" => format!("array of {}", value(schema, &kind["items"])),
        Value::String(one) => one.clone(),
        other => panic!("no type: {other}"),
    }
}
