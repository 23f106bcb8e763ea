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
use crate::report::lock::LockView;
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

    /// Takes in what has happened. Who leaves is looked at once more: what it did last was not looked at yet.
    pub(super) fn take(&mut self, step: &Step, fleet: &Fleet) {
        let (member, is_last) = match step {
            Step::Joined(_) => return,
            Step::Arrived { target, .. } => (fleet.member(*target), false),
            Step::Closed(target) => (fleet.member(*target), true),
            Step::Left(member) => (Some(&**member), true),
        };
        let Some(member) = member.filter(|it| it.diagnosis().updates() > 0) else { return };
        let now = member.diagnosis().model().now();
        let (structure, next) = self.seen.entry(member.id()).or_default();
        if now >= *next || now.plus(LOOK) < *next || is_last {
            *next = now.plus(LOOK);
            structure.observe(&member.diagnosis().evidence());
        }
    }

    /// Drops what was seen of a target whose last verdict has been given.
    pub(super) fn forget(&mut self, target: TargetId) {
        self.seen.remove(&target);
    }

    /// A target measured by the file.
    pub(super) fn view(&self, member: &Member) -> LockView {
        let seen = self.seen.get(&member.id()).into_iter().flat_map(|(structure, _)| structure.items());
        let (known, new): (Vec<_>, Vec<_>) = seen.map(|(item, _)| item).partition(|item| self.known.contains(item));
        LockView {
            file: self.path.display().to_string(),
            parts: self.known.len(),
            seen: known.len(),
            new: new.into_iter().map(ToString::to_string).collect(),
        }
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

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use console_api::{Field, Id, Location, instrument, tasks};

    use super::*;
    use crate::detect::settings::Settings;
    use crate::diagnosis::{Arrived, Diagnosis, FeedEvent};
    use crate::feed::Update;
    use crate::model::DEFAULT_RETENTION;

    /// What a process says of a task that it has spawned, so long after its start.
    fn update(id: u64, file: &str, millis: u64) -> FeedEvent {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000) + Duration::from_millis(millis);
        let location = Location { file: Some(file.to_owned()), ..Location::default() };
        let kind = Field { name: Some("kind".into()), value: Some("task".into()), metadata_id: None };
        let task =
            tasks::Task { id: Some(Id { id }), fields: vec![kind], location: Some(location), ..tasks::Task::default() };
        let stats = tasks::Stats { created_at: Some(now.into()), ..tasks::Stats::default() };
        let part = tasks::TaskUpdate {
            new_tasks: vec![task],
            stats_update: [(id, stats)].into(),
            ..tasks::TaskUpdate::default()
        };
        let message =
            instrument::Update { now: Some(now.into()), task_update: Some(part), ..instrument::Update::default() };
        FeedEvent::Update(Box::new(Update::from(message)))
    }

    #[test]
    fn what_a_target_did_just_before_it_left_is_compared_and_then_dropped() {
        let mut locked = Locked { path: "a.lock".into(), known: BTreeSet::new(), seen: BTreeMap::new() };
        let mut fleet = Fleet::default();
        let diagnosis = Diagnosis::new("pod".to_owned(), Settings::default(), DEFAULT_RETENTION);
        let target = fleet.join(diagnosis);
        locked.take(&Step::Joined(target), &fleet);
        for (id, file, millis) in [(1, "src/a.rs", 0), (2, "src/b.rs", 500)] {
            let at = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
            let step = fleet.apply(target, Arrived { at, event: update(id, file, millis) });
            locked.take(&step, &fleet);
        }
        let member = fleet.leave(target).unwrap();
        let new = |locked: &Locked, member: &Member| locked.view(member).new.join("; ");
        assert!(!new(&locked, &member).contains("src/b.rs"), "it is not looked at with each update");
        let step = Step::Left(Box::new(member));
        locked.take(&step, &fleet);
        let Step::Left(member) = step else { unreachable!() };
        assert!(new(&locked, &member).contains("src/a.rs") && new(&locked, &member).contains("src/b.rs"));
        locked.forget(target);
        assert_eq!(new(&locked, &member), "");
    }
}
