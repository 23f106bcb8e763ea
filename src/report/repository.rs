//! Where a place that a target reports is in the repository of whoever reads the results.

use crate::model::location::Location;

/// How the paths of a target become those of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repository {
    /// Beginnings of paths and what stands for them, without slashes at their ends, the longest first.
    prefixes: Vec<(String, String)>,
    /// Whether what a target reports are stand-ins.
    is_redacted: bool,
}

/// A line in a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RepositoryPlace {
    /// The path from the root of the repository, with slashes.
    pub path: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1, if it is known.
    pub column: Option<u32>,
}

/// Why a place is not in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elsewhere {
    /// The target does not say where it is.
    Unknown,
    /// It is in a dependency, in the toolchain, or in what a build script wrote.
    Library,
    /// It is a stand-in.
    Redacted,
    /// It is outside of the folder that the target was built in.
    Outside,
}

impl Elsewhere {
    /// The reason as a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Unknown => "The target does not report a place for it.",
            Self::Library => "Its place is in a library, not in this repository.",
            Self::Redacted => "Its place is redacted.",
            Self::Outside => "Its place is outside this repository; map it with --path-prefix.",
        }
    }
}

impl Repository {
    /// One in which these beginnings of paths are replaced. An empty one stands for every path.
    pub fn new(prefixes: &[(String, String)], is_redacted: bool) -> Self {
        let trimmed = |path: &str| path.trim_end_matches('/').to_owned();
        let mut prefixes: Vec<_> = prefixes.iter().map(|(from, to)| (trimmed(from), trimmed(to))).collect();
        prefixes.sort_by_key(|(from, _)| std::cmp::Reverse(from.len()));
        Self { prefixes, is_redacted }
    }

    /// Where a place such as `src/bank.rs:41:9` is.
    ///
    /// # Errors
    /// It is not in the repository.
    pub fn place(&self, location: &str) -> Result<RepositoryPlace, Elsewhere> {
        let place = Location::parse(location);
        let Some(line) = place.line().filter(|line| *line > 0) else { return Err(Elsewhere::Unknown) };
        if self.is_redacted {
            return Err(Elsewhere::Redacted);
        }
        let file = place.file().replace('\\', "/");
        let replaced = self.replaced(&file);
        if replaced.is_none() && is_of_library(&place) {
            return Err(Elsewhere::Library);
        }
        let path = replaced.unwrap_or(file);
        let path = path.strip_prefix("./").unwrap_or(&path);
        let is_outside =
            path.starts_with('/') || path.contains(':') || path.split('/').any(|it| matches!(it, "" | ".."));
        if is_outside {
            return Err(Elsewhere::Outside);
        }
        let column =
            location.strip_prefix(place.without_column()).and_then(|rest| rest.strip_prefix(':')?.parse().ok());
        Ok(RepositoryPlace { path: path.to_owned(), line, column: column.filter(|column| *column > 0) })
    }

    /// A path with its beginning replaced; none if nothing is said about it.
    fn replaced(&self, file: &str) -> Option<String> {
        self.prefixes.iter().find_map(|(from, to)| {
            let rest = if from.is_empty() {
                Some(file).filter(|_| !is_of_library(&Location::parse(file)))
            } else {
                file.strip_prefix(from.as_str()).and_then(|rest| rest.strip_prefix('/'))
            }?;
            Some(if to.is_empty() { rest.to_owned() } else { format!("{to}/{rest}") })
        })
    }
}

fn is_of_library(place: &Location) -> bool {
    place.is_library() || place.is_std() || place.as_str().starts_with("out/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(rules: &[(&str, &str)], location: &str) -> Result<String, Elsewhere> {
        let rules: Vec<_> = rules.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
        let place = Repository::new(&rules, false).place(location)?;
        Ok(format!("{} {} {}", place.path, place.line, place.column.map_or(0, |it| it)))
    }

    #[test]
    fn a_place_is_where_the_longest_prefix_says() {
        let rules = [("bank", "services/bank/"), ("bank/src/wire", "wire/src"), ("vendor/fork-1.2.3/", "forks/fork")];
        for (location, expected) in [
            ("bank/src/main.rs:41:9", "services/bank/src/main.rs 41 9"),
            ("bank/src/wire/mod.rs:7:1", "wire/src/mod.rs 7 1"),
            ("banking/src/main.rs:3:1", "banking/src/main.rs 3 1"),
            ("src/main.rs:3", "src/main.rs 3 0"),
            (r"bank\src\main.rs:2:2", "services/bank/src/main.rs 2 2"),
        ] {
            assert_eq!(place(&rules, location).as_deref(), Ok(expected), "{location}");
        }
        assert_eq!(place(&[("", "services/bank")], "src/main.rs:1:1").as_deref(), Ok("services/bank/src/main.rs 1 1"));
        assert_eq!(
            place(&[("axum-0.8.9", "forks/axum")], "axum-0.8.9/src/a.rs:1:1").as_deref(),
            Ok("forks/axum/src/a.rs 1 1")
        );
        assert_eq!(place(&[("bank", "")], "bank/src/main.rs:1:1").as_deref(), Ok("src/main.rs 1 1"));
    }

    #[test]
    fn a_place_elsewhere_is_not_invented() {
        for (location, why) in [
            ("", Elsewhere::Unknown),
            ("src/main.rs", Elsewhere::Unknown),
            ("src/main.rs:0:1", Elsewhere::Unknown),
            ("axum-0.8.9/src/serve/mod.rs:389:5", Elsewhere::Library),
            ("library/std/src/thread.rs:1:1", Elsewhere::Library),
            ("out/bank.v1.rs:1:1", Elsewhere::Library),
            ("../../etc/passwd:1:1", Elsewhere::Outside),
            ("/etc/passwd:1:1", Elsewhere::Outside),
            ("C:/code/main.rs:1:1", Elsewhere::Outside),
            ("https://evil/a.rs:1:1", Elsewhere::Outside),
        ] {
            assert_eq!(place(&[], location), Err(why), "{location}");
        }
        assert_eq!(place(&[("", "app")], "axum-0.8.9/src/serve/mod.rs:389:5"), Err(Elsewhere::Library));
        assert_eq!(Repository::new(&[], true).place("src/a.rs:1:1"), Err(Elsewhere::Redacted));
    }
}
