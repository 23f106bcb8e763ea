//! Checks one file of the configuration by itself.

use std::path::Path;
use std::time::SystemTime;

use super::document::Rights;
use super::fault::Fault;
use super::file::{self, LOCAL_FILE};
use super::resolved::expired;

/// What was found in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What is wrong, in the order of the lines.
    pub faults: Vec<Fault>,
    /// A sentence about each suppression that does not apply any more, which is no fault.
    pub expired: Vec<String>,
}

/// Checks a file. One that is called like the file of a checkout may only say what that may.
pub fn check(path: &Path, now: SystemTime) -> Checked {
    let is_local = path.file_name().is_some_and(|name| name == LOCAL_FILE);
    let mut faults = Vec::new();
    let layer = file::read(path, if is_local { Rights::Thresholds } else { Rights::All }, &mut faults);
    Checked { faults, expired: expired(&layer.suppressions, "suppression", now) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_name_of_a_file_decides_what_it_may_say() {
        let folder = tempfile::tempdir().expect("a folder");
        let told = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("it can be written");
            check(&path, SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(2_000_000_000))
        };
        assert_eq!(told("own.toml", "retain = \"5s\""), Checked { faults: Vec::new(), expired: Vec::new() });
        assert_eq!(told(LOCAL_FILE, "retain = \"5s\"").faults.len(), 1);
        let old = "[[suppress]]\nname = \"a\"\nstatement = \"b\"\nexpired_at = 2033-05-18";
        let Checked { faults, expired } = told("own.toml", old);
        assert_eq!((faults.len(), expired.len()), (0, 1));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let folder = tempfile::tempdir().expect("a folder");
        let told = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).expect("it can be written");
            check(&path, SystemTime::UNIX_EPOCH).faults.iter().map(|it| it.what.clone()).collect::<Vec<_>>()
        };
        assert_eq!(told("a.toml", b"\xff"), ["cannot be read: it is not UTF-8"]);
        assert_eq!(told("b.toml", &vec![b' '; 1024 * 1024 + 1]), ["cannot be read: it is larger than 1 MiB"]);
        assert_eq!(told("c.toml", "\u{feff}retain = \"5s\"\r\n".as_bytes()), [""; 0]);
        let missing = check(&folder.path().join("no.toml"), SystemTime::UNIX_EPOCH).faults;
        assert!(missing[0].what.starts_with("cannot be read: "), "{missing:?}");
        let local = folder.path().join(LOCAL_FILE);
        fs::create_dir(&local).expect("a folder");
        assert_eq!(check(&local, SystemTime::UNIX_EPOCH).faults[0].what, "cannot be read: it is not a regular file");
    }
}
