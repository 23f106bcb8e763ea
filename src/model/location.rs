//! A place in the source of the target, in the form in which its reader knows it.

use std::fmt;

use super::text::Text;

/// Where something was spawned or made: `src/bank.rs:41:9`, or `axum-0.8.9/src/serve/mod.rs:389:5` in a dependency. Empty if it is not known.
/// Hostile until escaped by whoever prints it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location(Text);

/// The dependency that a place belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Package<'a> {
    /// Its name, such as `hyper-util`.
    pub name: &'a str,
    /// Its version, or, for one from a git repository, the hash of that.
    pub version: &'a str,
}

/// The packages of the standard library.
const STD: [&str; 4] = ["alloc", "core", "std", "test"];

impl Location {
    /// The location of this text, which has its final form.
    pub(in crate::model) fn new(text: Text) -> Self {
        Self(text)
    }

    /// The place written as `file:line:column`.
    pub fn parse(text: &str) -> Self {
        Self(text.into())
    }

    /// The whole of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nothing is known of it.
    pub fn is_unknown(&self) -> bool {
        self.0.is_empty()
    }

    /// The file, without line and column.
    pub fn file(&self) -> &str {
        let mut file = self.as_str();
        for _ in 0..2 {
            match file.rsplit_once(':') {
                Some((rest, number)) if is_number(number) => file = rest,
                _ => break,
            }
        }
        file
    }

    /// The line, if it is known.
    pub fn line(&self) -> Option<u32> {
        self.without_column().rsplit_once(':')?.1.parse().ok()
    }

    /// The file and the line, without the column.
    pub fn without_column(&self) -> &str {
        let has_line = |place: &str| place.rsplit_once(':').is_some_and(|(_, number)| is_number(number));
        match self.0.rsplit_once(':') {
            Some((place, column)) if is_number(column) && has_line(place) => place,
            _ => self.as_str(),
        }
    }

    /// The dependency that it belongs to; none if it is in the code of the service or is not known.
    pub fn package(&self) -> Option<Package<'_>> {
        let (folder, rest) = self.0.split_once('/')?;
        let (name, version) = folder.rsplit_once('-')?;
        let of_registry = version.starts_with(|it: char| it.is_ascii_digit()) && version.contains('.');
        let of_git = version.len() == 16 && version.bytes().all(|it| it.is_ascii_hexdigit()) && rest.contains('/');
        (of_registry || of_git).then_some(Package { name, version })
    }

    /// Whether it is in the source of the standard library and its kin.
    pub fn is_std(&self) -> bool {
        let rest = self.as_str().strip_prefix("library/");
        rest.and_then(|rest| rest.split_once('/')).is_some_and(|(name, _)| STD.contains(&name))
    }

    /// Whether it is in the source of a dependency. All kinds of work may be spawned there.
    pub fn is_library(&self) -> bool {
        self.package().is_some()
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_a_file_and_perhaps_a_package() {
        for (text, file, without_column, package) in [
            ("src/bank.rs:41:9", "src/bank.rs", "src/bank.rs:41", None),
            ("src/bank.rs:41", "src/bank.rs", "src/bank.rs:41", None),
            ("src/bank.rs", "src/bank.rs", "src/bank.rs", None),
            ("", "", "", None),
            (
                "hyper-util-0.1.21/src/rt.rs:7:5",
                "hyper-util-0.1.21/src/rt.rs",
                "hyper-util-0.1.21/src/rt.rs:7",
                Some("hyper-util"),
            ),
            (
                "mini-redis-0123456789abcdef/9f3c1aa/src/lib.rs:1:1",
                "mini-redis-0123456789abcdef/9f3c1aa/src/lib.rs",
                "mini-redis-0123456789abcdef/9f3c1aa/src/lib.rs:1",
                Some("mini-redis"),
            ),
            ("service-2/src/main.rs:1:1", "service-2/src/main.rs", "service-2/src/main.rs:1", None),
            ("C:/code/main.rs:3:1", "C:/code/main.rs", "C:/code/main.rs:3", None),
        ] {
            let location = Location::parse(text);
            assert_eq!((location.file(), location.without_column()), (file, without_column), "{text}");
            assert_eq!(location.package().map(|it| it.name), package, "{text}");
            assert!(!location.is_std(), "{text}");
        }
        assert!(Location::parse("library/std/src/thread.rs:1:1").is_std());
        assert!(!Location::parse("library/books/src/lib.rs:1:1").is_std());
    }
}
