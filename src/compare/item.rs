//! What a service's concurrent structure consists of, by name and file: it stays the same when lines move.

use std::fmt;

use crate::model::Model;
use crate::model::entity::resource::Resource;
use crate::model::entity::site::Site;
use crate::model::location::Location;
use crate::model::tokio::{ResourceKind, TaskKind};

/// The tasks of a spawn site. Hostile until escaped by whoever prints it, as is everything here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Who {
    /// Their name with numbers left out; empty for tasks without one.
    pub name: String,
    /// The file that spawns them, without the version of its package.
    pub file: String,
}

/// A lock, channel or other thing that tasks wait for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Thing {
    /// What it is, such as `Mutex`.
    pub kind: String,
    /// What its program calls it; mostly empty.
    pub name: String,
    /// The file that makes it, without the version of its package; empty where the feed does not say, as of bounded channels.
    pub file: String,
}

/// A part of the structure.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Item {
    /// Tasks of this kind are spawned here.
    Spawns {
        /// `task`, `local`, `blocking` or `block_on`.
        kind: String,
        /// Which tasks.
        who: Who,
    },
    /// This is made.
    Makes(Thing),
    /// These tasks wait for this, if only for an instant.
    Waits {
        /// Which tasks.
        who: Who,
        /// For what.
        thing: Thing,
    },
    /// These tasks take a lock while they hold another.
    Nests {
        /// Which tasks.
        who: Who,
        /// What they hold.
        outer: Thing,
        /// What they take.
        inner: Thing,
    },
    /// Two locks are taken in both orders, each while the other is held.
    Inverts {
        /// The tasks that take them one way,
        one: Who,
        /// and those that take them the other way round; the two are sorted.
        other: Who,
        /// The locks, sorted.
        locks: (Thing, Thing),
    },
}

impl Who {
    /// The tasks of this name that are spawned here.
    pub fn new(name: &str, location: &Location) -> Self {
        Self { name: name.to_owned(), file: file(location) }
    }
}

impl Thing {
    /// What a resource is; nothing for timers and the parts inside others.
    pub fn of(model: &Model, resource: &Resource) -> Option<Self> {
        let is_part =
            resource.kind == ResourceKind::Inner || (resource.internal && resource.kind != ResourceKind::Channel);
        if resource.placeholder || is_part || resource.kind.is_timer() {
            return None;
        }
        let kind = match resource.kind {
            ResourceKind::Other => &*resource.concrete_type,
            kind => kind.as_str(),
        };
        let name = resource.name().unwrap_or_default();
        Some(Self::new(kind, name, model.own_place(resource)))
    }

    /// A thing of this kind that is made here.
    pub fn new(kind: &str, name: &str, location: Option<&Location>) -> Self {
        Self { kind: kind.to_owned(), name: name.to_owned(), file: location.map(file).unwrap_or_default() }
    }

    /// Whether more than its kind is known of it.
    pub fn is_placed(&self) -> bool {
        !self.file.is_empty() || !self.name.is_empty()
    }
}

impl Item {
    /// The spawn site as a part of the structure; nothing for the console's own and for tasks of which too little is known.
    pub fn of_site(site: &Site) -> Option<Self> {
        let is_known = !site.is_of_console && site.id.kind != TaskKind::Other;
        is_known.then(|| Self::Spawns {
            kind: site.id.kind.as_str().to_owned(),
            who: Who::new(&site.id.name, &site.id.location),
        })
    }

    /// Two locks that are taken in both orders.
    pub(super) fn inverts(one: Who, other: Who, locks: (Thing, Thing)) -> Self {
        let (one, other) = if one <= other { (one, other) } else { (other, one) };
        let (first, second) = locks;
        let locks = if first <= second { (first, second) } else { (second, first) };
        Self::Inverts { one, other, locks }
    }

    /// The word for what kind of part it is.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Spawns { .. } => "spawns",
            Self::Makes(_) => "makes",
            Self::Waits { .. } => "waits",
            Self::Nests { .. } => "nests",
            Self::Inverts { .. } => "inverts",
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name.as_str(), self.file.as_str()) {
            ("", "") => f.write_str("tasks of an unknown place"),
            ("", file) => write!(f, "tasks of {file}"),
            (name, "") => f.write_str(name),
            (name, file) => write!(f, "{name} ({file})"),
        }
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        if !self.name.is_empty() {
            write!(f, " {}", self.name)?;
        }
        if self.file.is_empty() { Ok(()) } else { write!(f, " of {}", self.file) }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spawns { kind, who } => write!(f, "spawn of {who} as {kind}"),
            Self::Makes(thing) => write!(f, "creation of {thing}"),
            Self::Waits { who, thing } => write!(f, "wait of {who} for {thing}"),
            Self::Nests { who, outer, inner } => write!(f, "{inner} acquired by {who} while holding {outer}"),
            Self::Inverts { one, other, locks: (first, second) } => {
                write!(f, "{first} and {second} acquired in opposite orders by {one} and {other}")
            }
        }
    }
}

/// The file of a place, without the version of the package that it is in: an update of a dependency makes nothing new.
pub(super) fn file(location: &Location) -> String {
    let file = location.file();
    match location.package() {
        Some(package) => match file.split_once('/') {
            Some((_, rest)) => format!("{}/{rest}", package.name),
            None => file.to_owned(),
        },
        None => file.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_is_a_noun_phrase_with_and_without_names() {
        let who = |name: &str| Who { name: name.to_owned(), file: "src/main.rs".to_owned() };
        let lock = |file: &str| Thing { kind: "Mutex".to_owned(), name: String::new(), file: file.to_owned() };
        let (one, other) = (lock("src/a.rs"), lock("src/b.rs"));
        for (item, expected) in [
            (Item::Spawns { kind: "task".to_owned(), who: who("") }, "spawn of tasks of src/main.rs as task"),
            (Item::Spawns { kind: "task".to_owned(), who: who("job") }, "spawn of job (src/main.rs) as task"),
            (Item::Makes(lock("src/a.rs")), "creation of Mutex of src/a.rs"),
            (Item::Waits { who: who(""), thing: one.clone() }, "wait of tasks of src/main.rs for Mutex of src/a.rs"),
            (
                Item::Nests { who: who(""), outer: one.clone(), inner: other.clone() },
                "Mutex of src/b.rs acquired by tasks of src/main.rs while holding Mutex of src/a.rs",
            ),
            (
                Item::inverts(who("job"), who(""), (other, one)),
                "Mutex of src/a.rs and Mutex of src/b.rs acquired in opposite orders by tasks of src/main.rs and job (src/main.rs)",
            ),
        ] {
            assert_eq!(item.to_string(), expected);
        }
    }

    #[test]
    fn neither_a_line_nor_a_version_makes_a_place_new() {
        for (place, expected) in [
            ("src/bank.rs:41:9", "src/bank.rs"),
            ("axum-0.8.9/src/serve/mod.rs:389:5", "axum/src/serve/mod.rs"),
            ("", ""),
        ] {
            assert_eq!(file(&Location::parse(place)), expected);
        }
    }
}
