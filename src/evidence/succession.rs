//! Whether the last task of a spawn site has ended alone while the process lives on, and whether something took its place.

use std::time::Duration;

use super::view::Evidence;
use crate::model::SiteKey;
use crate::model::entity::site::Site;
use crate::model::text;
use crate::model::time::Timestamp;

/// What ends within this time of each other ends together,
const TOGETHER: Duration = Duration::from_secs(2);
/// and this many more sites that end together are a part of the process that is shut down.
const OTHERS: usize = 2;
/// What begins this soon before the end of a task may take its place: two stamps of different threads.
const BEFORE: Duration = Duration::from_secs(1);
/// Waits that began within this time of the end of a task may be for it.
const SOON: Duration = Duration::from_secs(10);
/// One that was polled less often may have been start-up work.
const AT_WORK: u64 = 5;

impl Evidence<'_> {
    /// Whether a task of another site is alive.
    pub fn others_live(&self, key: SiteKey) -> bool {
        self.async_sites().any(|(other, site)| other != key && !site.live.is_empty())
    }

    /// Whether any task is alive.
    pub fn process_lives(&self) -> bool {
        self.async_sites().any(|(_, site)| !site.live.is_empty())
    }

    /// Whether several sites lost their last task at about this time, as when the process or a part of it is shut down.
    pub fn ended_together(&self, key: SiteKey, at: Timestamp) -> bool {
        let near = |other: Timestamp| other.since(at) <= TOGETHER && at.since(other) <= TOGETHER;
        let others = self.async_sites().filter(|(other, site)| *other != key && site.live.is_empty());
        others.filter(|(_, site)| site.last_end.is_some_and(near)).count() >= OTHERS
    }

    /// The site of the service whose only task ended alone, shortly before a time at which others began to wait for ever, and how long before;
    /// nothing if there are several, for each may be the one that should answer.
    pub fn ended_before(&self, time: Timestamp) -> Option<(SiteKey, Duration)> {
        let from = time.minus(SOON).max(self.clock().began());
        let lone = self.async_sites().filter(|(_, site)| site.live.is_empty() && site.born == 1);
        let mut ended = lone.filter_map(|(key, site)| {
            let life = site.last_life.filter(|it| !it.cancelled && it.polls >= AT_WORK)?;
            let own = site.id.kind.is_spawned() && !site.id.location.is_library();
            let soon = life.ended >= from && life.ended <= time.plus(BEFORE);
            (own && soon && !self.ended_together(key, life.ended)).then(|| (key, time.since(life.ended)))
        });
        ended.next().filter(|_| ended.next().is_none())
    }

    /// Whether something came after a task that may take its place or continue its work: one of the same name or the same future, or of a site
    /// that had not been there before.
    pub fn is_followed(&self, key: SiteKey, site: &Site, ended: Timestamp) -> bool {
        let from = ended.minus(BEFORE);
        self.async_sites().filter(|(other, _)| *other != key).any(|(_, it)| {
            let alike = (!it.id.name.is_empty() && it.id.name == site.id.name)
                || (it.id.sizes.0 > 0 && it.id.sizes == site.id.sizes);
            let came_after = it.live.first_since(from).is_some();
            (alike && came_after) || it.first_seen >= from
        })
    }

    /// Whether a task is alive that a user means by a name, which may be that of one task of many with numbers in their names.
    pub fn is_there(&self, name: &str) -> bool {
        let is_numbered = text::without_numbers(name) != *name;
        let mut meant = self.sites().filter(|(_, site)| is_called(site, name));
        meant.any(|(_, site)| {
            let has_name = |task| self.task(task).and_then(|task| task.name()).is_some_and(|own| **own == *name);
            site.live.iter().any(|(_, task)| !is_numbered || is_place(site, name) || has_name(*task))
        })
    }

    fn async_sites(&self) -> impl Iterator<Item = (SiteKey, &Site)> {
        self.sites().filter(|(_, site)| site.id.kind.is_async())
    }
}

/// Whether a user means the tasks of this site by a name.
pub fn is_called(site: &Site, name: &str) -> bool {
    let named = !site.id.name.is_empty() && (*site.id.name == *name || *site.id.name == *text::without_numbers(name));
    named || is_place(site, name)
}

/// Whether a place is meant by its end, with or without the column: `main.rs:7` for `src/main.rs:7:5`.
fn is_place(site: &Site, name: &str) -> bool {
    let location = &site.id.location;
    let ends =
        |place: &str| place.strip_suffix(name).is_some_and(|folders| folders.is_empty() || folders.ends_with('/'));
    name.contains(':') && (ends(location.as_str()) || ends(location.without_column()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::entity::site::SiteId;
    use crate::model::location::Location;
    use crate::model::tokio::TaskKind;

    #[test]
    fn places_are_known_by_their_ends() {
        let id = SiteId {
            name: "".into(),
            kind: TaskKind::Task,
            location: Location::parse("src/main.rs:7:5"),
            sizes: (0, 0),
        };
        let site = Site::new(id, Timestamp::default());
        for (name, meant) in [
            ("src/main.rs:7:5", true),
            ("src/main.rs:7", true),
            ("main.rs:7", true),
            ("ain.rs:7", false),
            ("main.rs", false),
            ("main.rs:70", false),
            ("7", false),
        ] {
            assert_eq!(is_place(&site, name), meant, "{name}");
        }
    }
}
