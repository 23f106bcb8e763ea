//! Stand-ins for places: files of the service become `src/a.rs`, those of libraries that the rules know stay what they are.

use console_api::Location as WireLocation;

use super::stand_ins::{Scheme, StandIns};
use crate::evidence::places::is_known_package;
use crate::model::location::Location;
use crate::paths;

/// Stand-ins for files and modules.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    files: StandIns,
    libraries: StandIns,
    modules: StandIns,
}

impl Places {
    /// Stand-ins that are chosen like this.
    pub(super) fn new(scheme: Scheme) -> Self {
        let [files, libraries, modules] = [(); 3].map(|()| StandIns::new(scheme));
        Self { files, libraries, modules }
    }

    /// Replaces what a place says about its author; line and column stay.
    pub(super) fn redact(&mut self, location: &mut WireLocation) {
        if let Some(file) = &mut location.file {
            *file = self.file(file);
            location.module_path = None;
        } else if let Some(module) = &mut location.module_path {
            *module = self.module(module);
        }
    }

    /// The stand-in for a file.
    pub(super) fn file(&mut self, file: &str) -> String {
        let short = paths::short(file).into_owned();
        if short.is_empty() || is_known(&Location::parse(&short)) {
            return short;
        }
        let extension = short.rsplit_once('.').map(|(_, it)| it).filter(|it| it.len() <= 4 && is_plain(it));
        let extension = extension.map_or(String::new(), |it| format!(".{it}"));
        if !Location::parse(&short).is_library() {
            return self.files.of(&short, |letters| format!("src/{letters}{extension}"));
        }
        // It stays a library, and nobody learns whose.
        let package = short.split('/').next().unwrap_or_default();
        let package = self.libraries.of(package, |letters| format!("library-{letters}"));
        self.files.of(&short, |letters| format!("{package}-0.0.0/src/{letters}{extension}"))
    }

    /// The stand-in for the path of a module.
    pub(super) fn module(&mut self, module: &str) -> String {
        if module.is_empty() || is_of_tokio(module) {
            module.to_owned()
        } else {
            self.modules.of(module, |letters| format!("module_{letters}"))
        }
    }

    /// The stand-in of a place that a finding has named.
    pub(super) fn place(&self, place: &str) -> String {
        let file = Location::parse(place).file().to_owned();
        let known = self.files.get(&file).or_else(|| self.modules.get(&file));
        known.map_or_else(|| place.to_owned(), |stand_in| place.replacen(&file, stand_in, 1))
    }
}

/// Whether a file belongs to the standard library, or to a published crate that the rules know. Others may come from a registry of the
/// service's owner, and those from git, which have a hash as their version, may be anybody's.
fn is_known(place: &Location) -> bool {
    let of_registry = place.package().filter(|package| package.version.contains('.'));
    place.is_std() || of_registry.is_some_and(|package| is_known_package(package.name))
}

/// Whether a module is Tokio's or that of its instrumentation.
pub(super) fn is_of_tokio(module: &str) -> bool {
    let krate = module.split("::").next().unwrap_or_default();
    matches!(krate, "tokio" | "tokio_canary_channels" | "console_subscriber")
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|it| it.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_files_get_stand_ins_and_libraries_stay_what_they_are() {
        let mut places = Places::default();
        for (file, shown) in [
            ("src/bank.rs", "src/a.rs"),
            ("/home/me/acme/src/main.rs", "src/b.rs"),
            ("examples/../src/bank.rs", "src/a.rs"),
            (
                "/home/me/.cargo/registry/src/index.crates.io-1949/axum-0.8.9/src/serve/mod.rs",
                "axum-0.8.9/src/serve/mod.rs",
            ),
            ("/rustc/59807616e/library/std/src/thread.rs", "library/std/src/thread.rs"),
            ("/home/me/.cargo/git/checkouts/acme-0123456789abcdef/9f3c1aa/src/lib.rs", "library-a-0.0.0/src/c.rs"),
            (
                "/home/me/.cargo/registry/src/registry.acme.example-1949/acme-core-1.2.0/src/lib.rs",
                "library-b-0.0.0/src/d.rs",
            ),
            ("acme-2.0/src/main.rs", "library-c-0.0.0/src/e.rs"),
            ("", ""),
        ] {
            let stand_in = places.file(file);
            assert_eq!(stand_in, shown, "{file}");
            assert!(!stand_in.contains("me/") && !stand_in.contains("acme"), "{stand_in}");
            let (before, after) = (Location::parse(&paths::short(file)), Location::parse(&stand_in));
            assert_eq!(before.is_library(), after.is_library(), "{file}");
        }
        assert_eq!(places.place("src/bank.rs:41:9"), "src/a.rs:41:9");
        assert_eq!(places.place("axum-0.8.9/src/serve/mod.rs:389:5"), "axum-0.8.9/src/serve/mod.rs:389:5");
        assert_eq!(places.place(""), "");
        let again = places.file("src/a.rs");
        assert_ne!(again, "src/a.rs", "what looks like a stand-in is a name like any other");
    }
}
