//! Reads Rust sources well enough to ask which paths they name, and which of their lines are tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A source file, without its comments, literals and tests.
pub(crate) struct Source {
    /// Path below `src`, with slashes.
    pub(crate) path: String,
    /// The text as it is.
    pub(crate) text: String,
    /// What the compiler sees outside tests.
    pub(crate) tokens: Vec<Token>,
    /// Number of lines that are not part of a test.
    pub(crate) lines: usize,
}

/// A word, or one character of punctuation; `::` is one token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    /// Counted from one.
    pub(crate) line: usize,
}

/// A path as it is written or imported, with groups of `use` spelled out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NamedPath {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
}

impl Source {
    pub(crate) fn parse(path: &str, text: &str) -> Self {
        let all = tokens(text);
        let (tokens, test_lines) = without_tests(&all);
        let lines = text.lines().count() - test_lines;
        Self { path: path.to_owned(), text: text.to_owned(), tokens, lines }
    }

    /// The module's path below the crate root: `["detect", "engine"]` for `detect/engine.rs`, `["detect"]` for `detect/mod.rs`.
    pub(crate) fn module(&self) -> Vec<&str> {
        let stem = self.path.trim_end_matches(".rs").trim_end_matches("/mod");
        stem.split('/').collect()
    }

    /// Whether the file has nothing but tests in it, or was written by a program.
    pub(crate) fn is_exempt(&self) -> bool {
        self.module().contains(&"tests") || self.text.lines().take(3).any(|line| line.contains("@generated"))
    }

    /// Every path of two segments or more.
    pub(crate) fn named_paths(&self) -> Vec<NamedPath> {
        let mut found = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            at = if starts_path(&self.tokens, at) {
                read_path(&self.tokens, at, &mut Vec::new(), &mut found)
            } else {
                at + 1
            };
        }
        found.retain(|path| path.segments.len() > 1);
        found
    }

    /// The lines on which these tokens follow each other.
    pub(crate) fn lines_with(&self, wanted: &[&str]) -> BTreeSet<usize> {
        self.tokens
            .windows(wanted.len())
            .filter(|window| window.iter().map(|token| token.text.as_str()).eq(wanted.iter().copied()))
            .map(|window| window[0].line)
            .collect()
    }
}

/// All files below `folder` that end in `.rs`, sorted by path.
pub(crate) fn read_sources(folder: &Path) -> Vec<Source> {
    let files = files_below(folder, "rs");
    let sources = files.iter().map(|file| {
        let below = file.strip_prefix(folder).unwrap_or(file).to_string_lossy().replace('\\', "/");
        Source::parse(&below, &read(file))
    });
    sources.collect()
}

/// All files below `folder` with this extension, sorted by path.
pub(crate) fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    collect(folder, extension, &mut files);
    files.sort();
    files
}

/// The text of a file of this repository.
pub(crate) fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{} cannot be read: {error}", file.display()))
}

/// A path below the root of the repository.
pub(crate) fn in_repository(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

fn collect(folder: &Path, extension: &str, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{} cannot be listed: {error}", folder.display()));
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, extension, files);
        } else if path.extension().is_some_and(|it| it == extension) {
            files.push(path);
        }
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphanumeric() || first == '_')
}

/// Whether a word stands at `at` that is neither a keyword nor the continuation of what is before it.
fn starts_path(tokens: &[Token], at: usize) -> bool {
    const KEYWORDS: [&str; 12] =
        ["as", "dyn", "else", "for", "if", "impl", "in", "match", "mut", "return", "use", "where"];
    let word = |at: usize| {
        let text = tokens[at].text.as_str();
        is_word(text) && !KEYWORDS.contains(&text)
    };
    // `Vec::<T>::new` goes on after `>`, while `use ::tonic` begins with its colons.
    let continues = at > 1 && tokens[at - 1].text == "::" && (word(at - 2) || tokens[at - 2].text == ">");
    word(at) && !continues
}

/// Reads a path from `at`, following groups, and returns where it ends.
fn read_path(tokens: &[Token], mut at: usize, prefix: &mut Vec<String>, found: &mut Vec<NamedPath>) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let line = tokens[at].line;
    let depth = prefix.len();
    prefix.push(text(at).to_owned());
    at += 1;
    while text(at) == "::" {
        if is_word(text(at + 1)) || text(at + 1) == "*" {
            prefix.push(text(at + 1).to_owned());
            at += 2;
        } else if text(at + 1) == "{" {
            at += 2;
            while at < tokens.len() && text(at) != "}" {
                // Anything else in a group is a comma, or a star, which names nothing new.
                at = if is_word(text(at)) { read_path(tokens, at, prefix, found) } else { at + 1 };
            }
            prefix.truncate(depth);
            return at + 1;
        } else {
            // A generic argument: `collect::<Vec<_>>`. The path ends, its arguments are paths of their own.
            at += 1;
            break;
        }
    }
    found.push(NamedPath { segments: prefix.clone(), line });
    prefix.truncate(depth);
    if depth > 0 && text(at) == "as" { at + 2 } else { at }
}

/// Splits a source into tokens and leaves out comments and the contents of literals.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let end = token_end(&chars, at);
        let piece: String = chars[at..end].iter().collect();
        let literal = piece.len() > 1 && piece.ends_with(['"', '#', '\'']);
        let comment = piece.starts_with("//") || piece.starts_with("/*");
        if !literal && !comment && !piece.trim().is_empty() {
            tokens.push(Token { text: piece.clone(), line });
        }
        line += piece.matches('\n').count();
        at = end;
    }
    tokens
}

/// Where the comment, literal, word or punctuation ends that starts at `at`.
fn token_end(chars: &[char], at: usize) -> usize {
    let rest = &chars[at..];
    match rest {
        ['/', '/', ..] => at + rest.iter().position(|&c| c == '\n').unwrap_or(rest.len()),
        ['/', '*', ..] => at + block_comment(rest),
        [':', ':', ..] => at + 2,
        ['\'', '\\', ..] => at + 3 + rest.iter().skip(3).position(|&c| c == '\'').map_or(0, |n| n + 1),
        ['\'', _, '\'', ..] => at + 3,
        ['"', ..] => at + string(rest),
        [first, ..] if first.is_alphanumeric() || *first == '_' => {
            let word = rest.iter().position(|c| !c.is_alphanumeric() && *c != '_').unwrap_or(rest.len());
            let prefix: String = rest[..word].iter().collect();
            match prefix.as_str() {
                "r" | "br" | "cr" => raw_string(&rest[word..]).map_or(at + word, |length| at + word + length),
                "b" | "c" if rest.get(word) == Some(&'"') => at + word + string(&rest[word..]),
                "b" if rest.get(word) == Some(&'\'') => token_end(chars, at + word),
                _ => at + word,
            }
        }
        _ => at + 1,
    }
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] if depth == 1 => return at + 2,
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    at
}

fn string(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of `#"…"#` at the start of `rest`; `None` if it is a raw identifier or no string at all.
fn raw_string(rest: &[char]) -> Option<usize> {
    let hashes = rest.iter().take_while(|&&c| c == '#').count();
    if rest.get(hashes) != Some(&'"') {
        return None;
    }
    let close: String = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body: String = rest[hashes + 1..].iter().collect();
    let length = body.find(&close).map_or(body.chars().count(), |bytes| body[..bytes].chars().count() + hashes + 1);
    Some(hashes + 1 + length)
}

/// Takes out every item under `#[cfg(test)]`, and counts the lines it had.
fn without_tests(all: &[Token]) -> (Vec<Token>, usize) {
    let (mut kept, mut lines) = (Vec::new(), 0);
    let mut at = 0;
    while at < all.len() {
        if let Some(attribute_end) = test_attribute(all, at) {
            let end = item_end(all, attribute_end);
            lines += all[end - 1].line - all[at].line + 1;
            at = end;
        } else {
            kept.push(all[at].clone());
            at += 1;
        }
    }
    (kept, lines)
}

/// Where an attribute at `at` ends, if it is one that only tests are compiled with.
fn test_attribute(all: &[Token], at: usize) -> Option<usize> {
    let text = |at: usize| all.get(at).map_or("", |token| token.text.as_str());
    if (text(at), text(at + 1), text(at + 2)) != ("#", "[", "cfg") {
        return None;
    }
    let end = (at..all.len()).find(|&end| text(end) == "]")? + 1;
    let has = |word: &str| (at..end).any(|at| text(at) == word);
    (has("test") && !has("not")).then_some(end)
}

/// Where the item ends whose attributes go on at `at`: after its block, or its semicolon.
fn item_end(all: &[Token], at: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in all.iter().enumerate().skip(at) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" if depth == 1 => return index + 1,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            ";" if depth == 0 => return index + 1,
            _ => {}
        }
    }
    all.len()
}

#[test]
fn tokens_leave_out_comments_and_literals() {
    let text = "a /* b /* c */ d */ 'x' '\\'' b'y' 'life \"s \\\" t\" r#\"u \" v\"# r#type // w\n::e";
    let words: Vec<String> = tokens(text).into_iter().map(|token| token.text).collect();
    assert_eq!(words, ["a", "'", "life", "r", "#", "type", "::", "e"]);
    assert_eq!(tokens("\"one\ntwo\"\nthree")[0].line, 3);
}

#[test]
fn paths_are_spelled_out() {
    let source =
        Source::parse("x.rs", "use crate::{a::{B, c::D as E}, f::*};\nlet g = ::tonic::h::<Vec<std::i::J>>();");
    let paths: Vec<String> = source.named_paths().iter().map(|path| path.segments.join("::")).collect();
    assert_eq!(paths, ["crate::a::B", "crate::a::c::D", "crate::f::*", "tonic::h", "std::i::J"]);
}

#[test]
fn tests_are_taken_out() {
    let source = Source::parse(
        "x.rs",
        "mod a;\n#[cfg(test)]\n#[path = \"t.rs\"]\nmod t {\n use b::c;\n}\nd::e();\n#[cfg(test)]\nuse f::g;\n",
    );
    let paths: Vec<String> = source.named_paths().iter().map(|path| path.segments.join("::")).collect();
    assert_eq!((paths, source.lines), (vec!["d::e".to_owned()], 2));
}
