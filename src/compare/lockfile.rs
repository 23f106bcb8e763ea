//! The concurrency lockfile: the structure of a service as sorted text that is committed beside its source.
//!
//! A line for each part, of words and JSON strings, so that a name may contain anything and a diff shows one line for one change.

use std::collections::BTreeSet;

use super::item::{Item, Thing, Who};

/// The version of the format that this tool reads and writes.
const VERSION: u32 = 1;

/// The name of the file unless another is given.
pub const DEFAULT_FILE: &str = "tokio-canary.lock";

const HEAD: &str = "\
# Tasks, locks and channels of a service, and which tasks take which lock: by name and file, not by line.
# `tokio-canary compare --stable TARGET --write=FILE` adds what it sees; `tokio-canary check TARGET --locked=FILE` fails on what is not here.
";

/// Why a text is not a lockfile. A sentence for the user, without the name of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockfileError {
    /// The line with the version is missing.
    #[error("it does not begin with `version {VERSION}`, so it is not a concurrency lockfile")]
    NoVersion,
    /// A later tool wrote it.
    #[error("it has version {0} and this tool reads version {VERSION}; update the tool")]
    Newer(u32),
    /// A line makes no sense.
    #[error(
        "line {line} cannot be read: {reason}. Restore it from version control, or remove the file and write it again"
    )]
    Line {
        /// Its number, from one.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

/// The text for these parts.
pub fn write<'a>(items: impl IntoIterator<Item = &'a Item>) -> String {
    let sorted: BTreeSet<&Item> = items.into_iter().collect();
    let lines: String = sorted.into_iter().map(|item| line(item) + "\n").collect();
    format!("{HEAD}version {VERSION}\n{lines}")
}

/// The parts that a text lists.
///
/// # Errors
/// It is not a lockfile, or one of a later version.
pub fn read(text: &str) -> Result<BTreeSet<Item>, LockfileError> {
    let lines = text.lines().map(str::trim).zip(1..);
    let mut lines = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    let version = lines.next().and_then(|(line, _)| line.strip_prefix("version "));
    match version.map(|version| version.trim().parse::<u32>()) {
        Some(Ok(VERSION)) => {}
        Some(Ok(newer)) if newer > VERSION => return Err(LockfileError::Newer(newer)),
        _ => return Err(LockfileError::NoVersion),
    }
    lines.map(|(line, number)| item(line).map_err(|reason| LockfileError::Line { line: number, reason })).collect()
}

fn line(item: &Item) -> String {
    let who = |who: &Who| format!("{} {}", quoted(&who.name), quoted(&who.file));
    let thing = |it: &Thing| format!("{} {} {}", quoted(&it.kind), quoted(&it.name), quoted(&it.file));
    let word = item.word();
    match item {
        Item::Spawns { kind, who: it } => format!("{word} {} {}", quoted(kind), who(it)),
        Item::Makes(it) => format!("{word} {}", thing(it)),
        Item::Waits { who: it, thing: what } => format!("{word} {} for {}", who(it), thing(what)),
        Item::Nests { who: it, outer, inner } => {
            format!("{word} {} holds {} takes {}", who(it), thing(outer), thing(inner))
        }
        Item::Inverts { one, other, locks: (first, second) } => {
            format!("{word} {} and {} take {} and {}", who(one), who(other), thing(first), thing(second))
        }
    }
}

/// A JSON string in which nothing is hidden.
fn quoted(text: &str) -> String {
    let escaped = |units: &[u16]| units.iter().fold(String::new(), |text, unit| text + &format!("\\u{unit:04x}"));
    let shown = |it: char| match it {
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        ' '..='~' => it.to_string(),
        it if it.is_alphanumeric() => it.to_string(),
        it => escaped(it.encode_utf16(&mut [0; 2])),
    };
    format!("\"{}\"", text.chars().map(shown).collect::<String>())
}

fn item(line: &str) -> Result<Item, String> {
    let (word, mut rest) = line.split_once(' ').unwrap_or((line, ""));
    let rest = &mut rest;
    let item = match word {
        "spawns" => Item::Spawns { kind: string(rest)?, who: who(rest)? },
        "makes" => Item::Makes(thing(rest)?),
        "waits" => {
            let who = who(rest)?;
            keyword(rest, "for")?;
            Item::Waits { who, thing: thing(rest)? }
        }
        "nests" => {
            let who = who(rest)?;
            keyword(rest, "holds")?;
            let outer = thing(rest)?;
            keyword(rest, "takes")?;
            Item::Nests { who, outer, inner: thing(rest)? }
        }
        "inverts" => {
            let one = who(rest)?;
            keyword(rest, "and")?;
            let other = who(rest)?;
            keyword(rest, "take")?;
            let first = thing(rest)?;
            keyword(rest, "and")?;
            Item::Inverts { one, other, locks: (first, thing(rest)?) }
        }
        _ => return Err("it begins with none of spawns, makes, waits, nests and inverts".to_owned()),
    };
    if rest.trim().is_empty() { Ok(item) } else { Err("there is more than belongs into it".to_owned()) }
}

fn who(rest: &mut &str) -> Result<Who, String> {
    Ok(Who { name: string(rest)?, file: string(rest)? })
}

fn thing(rest: &mut &str) -> Result<Thing, String> {
    Ok(Thing { kind: string(rest)?, name: string(rest)?, file: string(rest)? })
}

fn keyword(rest: &mut &str, word: &str) -> Result<(), String> {
    *rest = rest.trim_start().strip_prefix(word).ok_or_else(|| format!("the word `{word}` is missing"))?;
    Ok(())
}

/// Takes a JSON string from the front.
fn string(rest: &mut &str) -> Result<String, String> {
    let text = rest.trim_start();
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<String>();
    let value = values.next().and_then(Result::ok).ok_or("a name or file in double quotes is missing")?;
    let read = values.byte_offset();
    *rest = text.get(read..).unwrap_or_default();
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items() -> Vec<Item> {
        let who = |name: &str| Who { name: name.to_owned(), file: "src/main.rs".to_owned() };
        let thing =
            |name: &str| Thing { kind: "Mutex".to_owned(), name: name.to_owned(), file: "src/a b.rs".to_owned() };
        vec![
            Item::Nests { who: who("a"), outer: thing(""), inner: thing("cache") },
            Item::Waits { who: who("\"\\\n\u{1b}[2J\u{202e}ü🦀"), thing: thing("for") },
            Item::Makes(thing("")),
            Item::Inverts { one: who("a"), other: who("b"), locks: (thing(""), thing("cache")) },
            Item::Spawns { kind: "task".to_owned(), who: who("") },
        ]
    }

    #[test]
    fn what_is_written_is_read_and_sorted() {
        let items = items();
        let text = write(&items);
        assert_eq!(read(&text), Ok(items.iter().cloned().collect()));
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(lines[0], "version 1");
        assert_eq!(lines[1], r#"spawns "task" "" "src/main.rs""#);
        assert_eq!(lines[2], r#"makes "Mutex" "" "src/a b.rs""#);
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
        assert_eq!(write(&read(&text).unwrap()), text, "the same parts give the same text");
    }

    #[test]
    fn what_is_no_lockfile_is_said() {
        for (text, expected) in [
            ("", "does not begin with `version 1`"),
            ("hello", "does not begin with `version 1`"),
            ("version 2\nfuture", "has version 2"),
            ("version 1\nspawns \"task\" \"a\"", "line 2 cannot be read: a name or file"),
            ("# a\n\nversion 1\nwaits \"a\" \"b\" \"Mutex\" \"\" \"c\"", "line 4 cannot be read: the word `for`"),
            ("version 1\nmakes \"Mutex\" \"\" \"c\" more", "line 2 cannot be read: there is more"),
            ("version 1\n<<<<<<< HEAD", "line 2 cannot be read: it begins with none"),
        ] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
