//! Source files by the names that their readers know, without the folders of the machine that built them.

use std::borrow::Cow;

/// What stands before the sources of dependencies and of the toolchain, and whether one more folder of the machine follows it: that of the
/// registry's index, or the compiler's hash.
const BEFORE_LIBRARIES: [(&str, bool); 5] = [
    ("/registry/src/", true),
    ("/git/checkouts/", false),
    ("/rustc/", true),
    ("/lib/rustlib/src/rust/", false),
    // Debian's registry.
    ("/share/cargo/registry/", false),
];

/// The folders in which a package keeps its sources. The first is asked first: `src/tests/` is a module, `tests/` is beside `src`.
const IN_A_PACKAGE: [&str; 4] = ["/src/", "/tests/", "/examples/", "/benches/"];

/// Where build scripts write sources.
const BUILT: (&str, &str) = ("/build/", "/out/");

/// The name of a source file, with slashes:
///
/// - `hyper-1.6.0/src/rt.rs`, `mini-redis-0123456789abcdef/9f3c1aa/src/lib.rs` or `library/std/src/thread.rs` in a dependency from a
///   registry, in one from a git repository, and in the toolchain;
/// - as it is where it is relative, as cargo names what is in the workspace, but without the way to a module that stands elsewhere
///   (`examples/../tests/bank.rs` is `tests/bank.rs`);
/// - of another absolute path, from the folder of the package on (`bank/src/main.rs`), the file below `out/` of a build script, or, where
///   neither can be told, the name of the file alone. A user's home is no package.
///
/// A name stays as it is, so that it does not matter how often it was shortened.
#[must_use]
pub fn short(file: &str) -> Cow<'_, str> {
    if file.contains('\\') {
        return Cow::Owned(shortened(&file.replace('\\', "/")).to_owned());
    }
    Cow::Borrowed(shortened(file))
}

/// The name of a callsite: that of an event is its source file and line, `event src/bank.rs:41`.
#[must_use]
pub fn short_callsite(name: &str) -> Cow<'_, str> {
    match name.strip_prefix("event ").map(|place| (place, short(place))) {
        Some((place, short)) if short != place => Cow::Owned(format!("event {short}")),
        _ => Cow::Borrowed(name),
    }
}

fn shortened(file: &str) -> &str {
    let file = if is_absolute(file) { of_library(file).unwrap_or_else(|| of_package(file)) } else { file };
    without_detours(file)
}

/// Whether it begins at the root of a file system, at that of a drive, or at a home that the compiler was told to leave out.
fn is_absolute(file: &str) -> bool {
    let drive = file.as_bytes().get(..3).is_some_and(|it| it[0].is_ascii_alphabetic() && &it[1..] == b":/");
    drive || ["/", "~/", ".cargo/"].iter().any(|root| file.starts_with(root))
}

/// A relative path without the way to a module that stands elsewhere.
fn without_detours(mut file: &str) -> &str {
    while let Some((folder, rest)) = file.split_once("/../") {
        if folder == ".." || folder.contains('/') {
            break;
        }
        file = rest;
    }
    file
}

/// The name of a file in a dependency or in the toolchain.
fn of_library(file: &str) -> Option<&str> {
    let found = BEFORE_LIBRARIES.iter().filter_map(|(marker, has_folder)| {
        let (before, rest) = file.split_once(marker)?;
        Some((before.len(), rest, *has_folder))
    });
    let (_, rest, has_folder) = found.min_by_key(|(at, ..)| *at)?;
    Some(if has_folder { rest.split_once('/').map_or(rest, |(_, path)| path) } else { rest })
}

/// The part of an absolute path that tells which file it is.
fn of_package(file: &str) -> &str {
    if let Some((_, rest)) = file.rsplit_once(BUILT.0)
        && let Some(at) = rest.find(BUILT.1)
    {
        return &rest[at + 1..];
    }
    let name = file.rfind('/').map_or(0, |slash| slash + 1);
    let Some(folder) = IN_A_PACKAGE.iter().find_map(|folder| file.rfind(folder)) else {
        return &file[name..];
    };
    let (above, package) = file[..folder].rsplit_once('/').unwrap_or_default();
    if matches!(package, "" | "." | "..") || is_home(above, package) {
        &file[folder + 1..]
    } else {
        &file[above.len() + 1..]
    }
}

/// Whether this folder in that one is the home of a user, whose name it has.
fn is_home(above: &str, folder: &str) -> bool {
    let above = above.rsplit('/').next().unwrap_or_default();
    matches!(above, "home" | "Users") || (above.is_empty() && folder == "root")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn files_are_named_without_the_folders_of_a_machine() {
        for (file, name) in [
            // Dependencies by crate and version, the toolchain by its own folders.
            ("/home/me/.cargo/registry/src/index.crates.io-1949cf8c/hyper-1.6.0/src/rt.rs", "hyper-1.6.0/src/rt.rs"),
            ("~/.cargo/registry/src/index.crates.io-1949cf8c/hyper-1.6.0/src/rt.rs", "hyper-1.6.0/src/rt.rs"),
            (".cargo/registry/src/index.crates.io-1949cf8c/hyper-1.6.0/src/rt.rs", "hyper-1.6.0/src/rt.rs"),
            (
                "/cargo/registry/src/index/cargo-1.0.0/src/git/checkouts/list.rs",
                "cargo-1.0.0/src/git/checkouts/list.rs",
            ),
            ("/usr/share/cargo/registry/hyper-1.6.0/src/rt.rs", "hyper-1.6.0/src/rt.rs"),
            (
                "/home/me/.cargo/git/checkouts/redis-0123456789abcdef/9f3c1aa/src/lib.rs",
                "redis-0123456789abcdef/9f3c1aa/src/lib.rs",
            ),
            (
                r"C:\Users\me\.cargo\registry\src\index.crates.io-1949cf8c\hyper-1.6.0\src\rt.rs",
                "hyper-1.6.0/src/rt.rs",
            ),
            ("/rustc/59807616e/library/std/src/thread.rs", "library/std/src/thread.rs"),
            (
                "/home/me/.rustup/toolchains/stable/lib/rustlib/src/rust/library/std/src/thread.rs",
                "library/std/src/thread.rs",
            ),
            // The workspace.
            ("src/bank.rs", "src/bank.rs"),
            (r"bank\src\main.rs", "bank/src/main.rs"),
            ("examples/../tests/../src/bank.rs", "src/bank.rs"),
            ("../src/bank.rs", "../src/bank.rs"),
            ("a/b/../bank.rs", "a/b/../bank.rs"),
            ("../../bank.rs", "../../bank.rs"),
            ("../a/../bank.rs", "../a/../bank.rs"),
            ("", ""),
            ("cargo-1.0.0/src/git/checkouts/list.rs", "cargo-1.0.0/src/git/checkouts/list.rs"),
            // Packages that stand elsewhere.
            ("/home/me/code/bank/src/main.rs", "bank/src/main.rs"),
            ("/home/me/src/bank/src/main.rs", "bank/src/main.rs"),
            ("/home/me/code/bank/src/tests/teller.rs", "bank/src/tests/teller.rs"),
            ("/home/me/code/bank/tests/teller/main.rs", "bank/tests/teller/main.rs"),
            ("/home/me/code/bank/examples/../tests/teller.rs", "tests/teller.rs"),
            (r"D:\work\bank\benches\teller.rs", "bank/benches/teller.rs"),
            ("/build/vendor/hyper-1.6.0/src/rt.rs", "hyper-1.6.0/src/rt.rs"),
            ("/home/me/bank/target/debug/build/bank-0123456789abcdef/out/bank.v1.rs", "out/bank.v1.rs"),
            // No home is a package.
            ("/home/me/src/main.rs", "src/main.rs"),
            ("/Users/me/src/main.rs", "src/main.rs"),
            ("C:/Users/me/src/main.rs", "src/main.rs"),
            ("/src/main.rs", "src/main.rs"),
            // Nothing tells.
            ("/home/me/main.rs", "main.rs"),
            ("/../main.rs", "main.rs"),
            ("/", ""),
        ] {
            assert_eq!(short(file), name, "{file}");
            assert_eq!(short(name), name, "{file} twice");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_name_stays_as_it_is(root in "(/|C:/|~/|\\.cargo/|)", folders in folders(), file in "[a-z]{1,3}") {
            let path = format!("{root}{}{file}.rs", folders.concat());
            let name = short(&path).into_owned();
            prop_assert_eq!(short(&name), name.as_str(), "{}", path);
            prop_assert!(!is_absolute(&name), "{} is {}", path, name);
        }
    }

    const FOLDERS: &[&str] = &[
        "home/",
        "root/",
        "me/",
        "registry/src/",
        "git/checkouts/",
        "rustc/",
        "build/",
        "out/",
        "src/",
        "tests/",
        "../",
    ];

    fn folders() -> impl Strategy<Value = Vec<&'static str>> {
        proptest::collection::vec(proptest::sample::select(FOLDERS), 0..8)
    }

    #[test]
    fn callsites_of_events_are_places() {
        for (name, short) in [
            ("event /home/me/.cargo/registry/src/index/tokio-1.54.1/src/task.rs:7", "event tokio-1.54.1/src/task.rs:7"),
            ("event src/bank.rs:41", "event src/bank.rs:41"),
            ("runtime.spawn", "runtime.spawn"),
        ] {
            assert_eq!(short_callsite(name), short);
        }
    }
}
