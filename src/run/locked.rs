//! The lockfile of a run: which structure of its targets is not in it, and the file written anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use super::exit::UsageError;
use crate::compare::{Item, Structure, lockfile};
use crate::files;
use crate::fleet::{Fleet, Member, Step, TargetId};
use crate::model::time::Timestamp;
use crate::words;

/// How often the structure of a target is looked at: less often than what ends is forgotten.
const LOOK: Duration = Duration::from_secs(2);

/// The lockfile of a run, and what its targets are seen to have.
#[derive(Debug)]
pub(super) struct Locked {
    path: PathBuf,
    known: BTreeSet<Item>,
    seen: BTreeMap<TargetId, (Structure, Timestamp)>,
}

impl Locked {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read, or is no lockfile that this tool understands.
    pub(super) fn read(path: &Path) -> Result<Self, UsageError> {
        let known = read(path)?.ok_or_else(|| {
            UsageError(format!(
                "{} does not exist. `tokio-canary compare --stable TARGET --write={0}` makes it.",
                path.display()
            ))
        })?;
        Ok(Self { path: path.to_owned(), known, seen: BTreeMap::new() })
    }

    /// Takes in what has happened.
    pub(super) fn take(&mut self, step: &Step, fleet: &Fleet) {
        let (Step::Arrived { target, .. } | Step::Closed(target)) = step else { return };
        let Some(member) = fleet.member(*target).filter(|it| it.diagnosis().updates() > 0) else { return };
        let now = member.diagnosis().model().now();
        let (structure, next) = self.seen.entry(*target).or_default();
        if now >= *next || now.plus(LOOK) < *next || matches!(step, Step::Closed(_)) {
            *next = now.plus(LOOK);
            structure.observe(&member.diagnosis().evidence());
        }
    }

    /// A clause about each part of a target that is not in the file.
    pub(super) fn new_in(&self, member: &Member) -> Vec<String> {
        let seen = self.seen.get(&member.id()).into_iter().flat_map(|(structure, _)| structure.items());
        let new = seen.map(|(item, _)| item).filter(|item| !self.known.contains(item));
        new.map(|item| format!("not in {}: {item}", self.path.display())).collect()
    }
}

/// What a lockfile lists; nothing if there is no such file.
///
/// # Errors
/// It cannot be read, or is no lockfile that this tool understands.
pub(super) fn read(path: &Path) -> Result<Option<BTreeSet<Item>>, UsageError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(UsageError(format!("Cannot read the lockfile {}: {error}.", path.display()))),
    };
    let items = lockfile::read(&text);
    items.map(Some).map_err(|error| UsageError(format!("Cannot use the lockfile {}: {error}.", path.display())))
}

/// Writes a lockfile, and says in a sentence what is new in it.
///
/// # Errors
/// It cannot be written.
pub(super) fn write(path: &Path, known: &BTreeSet<Item>, seen: &BTreeSet<Item>) -> anyhow::Result<String> {
    let all = known | seen;
    files::replace(path, lockfile::write(&all).as_bytes())
        .with_context(|| format!("Cannot write the lockfile {}", path.display()))?;
    let added = all.len() - known.len();
    Ok(format!("Wrote {}: {}, {added} of them new.", path.display(), words::count(all.len(), "part")))
}
