//! A baseline: the findings of a service that are known and accepted, by their fingerprints, in a file that `check` reads and writes.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

pub use super::accepted::Accepted;
use super::document;
use super::fault::Fault;
use super::file;
use super::origin::{Origin, Sourced};
use super::quote::quoted;
use crate::detect::suppression::Suppression;
use crate::files;

/// The findings that are known and accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Baseline {
    /// The file.
    pub path: PathBuf,
    /// Its entries, in the order of the file.
    pub accepted: Vec<Accepted>,
}

const HEADER: &str = "\
# Findings that are known and accepted: they do not count until `expired_at`, if there is one.
# `tokio-canary check --baseline FILE --update-baseline` adds what is new and removes what does not occur any more.
# Statements and dates are yours to edit.
";

impl Baseline {
    /// Reads a file. One that is to be written need not exist yet.
    pub(super) fn read(path: PathBuf, is_written: bool, faults: &mut Vec<Fault>) -> Self {
        if is_written && !file::exists(&path) {
            return Self { path, accepted: Vec::new() };
        }
        let shown: Arc<str> = path.display().to_string().into();
        let accepted = match file::content_of(&path) {
            Ok(content) => {
                let (accepted, wrong) = document::read_baseline(&content, &shown);
                faults.extend(wrong);
                accepted
            }
            Err(error) => {
                let hint = match error.kind() {
                    io::ErrorKind::NotFound => "; --update-baseline writes a new one",
                    _ => "",
                };
                let origin = Origin::File { path: shown, line: None };
                faults.push(Fault::new(origin, format!("the baseline cannot be read: {error}{hint}")));
                Vec::new()
            }
        };
        Self { path, accepted }
    }

    /// What keeps these findings from counting.
    pub(super) fn suppressions(&self) -> impl Iterator<Item = Sourced<Suppression>> {
        self.accepted.iter().map(|it| {
            let suppression = Suppression {
                detectors: Vec::new(),
                names: Vec::new(),
                locations: Vec::new(),
                fingerprints: vec![it.fingerprint.clone()],
                statement: it.statement.clone(),
                expires: it.expires,
            };
            Sourced::new(suppression, it.origin.clone())
        })
    }

    /// Replaces the file in one step.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self) -> io::Result<()> {
        files::replace(&self.path, self.text().as_bytes())
    }

    fn text(&self) -> String {
        let mut text = HEADER.to_owned();
        for Accepted { fingerprint, finding, statement, expires, .. } in &self.accepted {
            text += &format!("\n[[accepted]]\nfingerprint = {}\n", quoted(fingerprint));
            if let Some(finding) = finding {
                text += &format!("finding = {}\n", quoted(finding));
            }
            text += &format!("statement = {}\n", quoted(statement));
            if let Some(at) = expires {
                text += &format!("expired_at = {}\n", humantime::format_rfc3339_seconds(*at));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(text: &str) -> (Baseline, Vec<String>) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("b.toml");
        fs::write(&path, text).expect("it can be written");
        let mut faults = Vec::new();
        let baseline = Baseline::read(path, false, &mut faults);
        let place = format!("{}/", folder.path().display());
        (baseline, faults.iter().map(|it| it.to_string().replace(&place, "")).collect())
    }

    const ENTRY: &str = "[[accepted]]\nfingerprint = \"deadlock:3f2a0011223344ff\"\nstatement = \"known\"\n";

    #[test]
    fn what_is_written_is_read_again() {
        let whole = format!("{ENTRY}finding = \"deadlock at \\\"a\\u001b[2J\\\"\"\nexpired_at = 2027-01-31\n");
        let (mut baseline, faults) = read(&whole);
        assert_eq!((faults.len(), baseline.accepted.len()), (0, 1), "{faults:?}");
        let folder = tempfile::tempdir().expect("a folder");
        baseline.path = folder.path().join("c.toml");
        baseline.write().expect("it can be written");
        let text = fs::read_to_string(&baseline.path).expect("it is there");
        assert!(text.contains("expired_at = 2027-01-31T00:00:00Z") && !text.contains('\u{1b}'), "{text}");
        let (again, faults) = read(&text);
        assert_eq!(faults, [""; 0]);
        let entry = |it: &Baseline| Accepted { origin: Origin::Default, ..it.accepted[0].clone() };
        assert_eq!(entry(&again), entry(&baseline));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing else is left");
    }

    #[test]
    fn every_mistake_has_its_line_and_says_what_would_be_right() {
        for (text, says) in [
            ("", None),
            (ENTRY, None),
            ("accepted = 1", Some("b.toml:1: `accepted` is a list of sections: begin each with [[accepted]]")),
            ("[[suppress]]", Some("b.toml:1: a baseline has no `suppress`; it has [[accepted]] sections only")),
            (
                "[[accepted]]\nstatement = \"why\"",
                Some(
                    "b.toml:1: an accepted finding needs its `fingerprint`; `tokio-canary check --update-baseline` adds it",
                ),
            ),
            (
                "[[accepted]]\nfingerprint = \"deadlock:3f2a0011223344ff\"",
                Some("b.toml:1: an accepted finding needs a `statement` that says why"),
            ),
            (
                "[[accepted]]\nfingerprint = \"deadlok:3f2a0011223344ff\"\nstatement = \"why\"",
                Some("b.toml:2: there is no detector `deadlok`; did you mean `deadlock`?"),
            ),
            (
                "[[accepted]]\nfingerprint = \"deadlock:3f2a\"\nstatement = \"why\"",
                Some(
                    "b.toml:2: `deadlock:3f2a` is not a fingerprint: write all of it, as in deadlock:3f2a0011223344ff; ndjson and \
                     `witness` show it",
                ),
            ),
            (
                "[[accepted]]\nfingerprint = \"quiet-feed:3f2a0011223344ff\"\nstatement = \"why\"",
                Some(
                    "b.toml:2: quiet-feed cannot be suppressed: it reports a doubt about the feed, and a verdict that ignores it would \
                     be a guess; `tokio-canary explain quiet-feed` says what to do",
                ),
            ),
            (
                "[[accepted]]\nfingerprint = \"deadlock:3f2a0011223344ff\"\nstatement = \"why\"\nexpires = 2027-01-31",
                Some("b.toml:4: an accepted finding has no `expires`; did you mean `expired_at`?"),
            ),
            ("[[accepted", Some("b.toml:1: not valid TOML: unclosed array table, expected `]]`")),
        ] {
            let (_, faults) = read(text);
            assert_eq!(faults, says.into_iter().collect::<Vec<_>>(), "{text}");
        }
        let (baseline, faults) = read(&[ENTRY, ENTRY].concat());
        assert_eq!((baseline.accepted.len(), faults.len()), (1, 1));
        assert!(faults[0].starts_with("b.toml:4: deadlock:3f2a0011223344ff is accepted at "), "{faults:?}");
    }

    #[test]
    fn a_file_that_is_to_be_written_need_not_exist() {
        let path = PathBuf::from("/nonexistent/b.toml");
        let mut faults = Vec::new();
        assert_eq!(Baseline::read(path.clone(), true, &mut faults).accepted, []);
        assert!(faults.is_empty());
        Baseline::read(path, false, &mut faults);
        let [fault] = faults.as_slice() else { panic!("{faults:?}") };
        assert!(fault.to_string().ends_with("; --update-baseline writes a new one"), "{fault}");
    }
}
