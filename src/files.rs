//! Files that are replaced in one step, so that their readers find the old one or the new one, and never half of one.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// What a new file may be used for, before the process's own mask.
const EVERYBODY: u32 = 0o666;

/// Where something is written.
#[derive(Debug)]
enum Destination {
    /// A file, which keeps its mode if it was there before.
    File(PathBuf, Option<Permissions>),
    /// Something in the file system that is not a regular file, such as a pipe: it is written as it is.
    Special,
}

/// Replaces a file. Where the path is a link, it stays one; a pipe or device is written as it is.
///
/// # Errors
/// It cannot be written; what was there before stays.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match destination(path)? {
        Destination::Special => OpenOptions::new().write(true).open(path)?.write_all(bytes),
        Destination::File(path, mode) => {
            let mut file = beside(&path)?;
            file.write_all(bytes)?;
            if let Some(mode) = mode {
                file.as_file().set_permissions(mode)?;
            }
            file.as_file().sync_all()?;
            file.persist(path).map(drop).map_err(|error| error.error)
        }
    }
}

/// Whether a file can be replaced, or written anew, so that what would fail later is known now.
///
/// # Errors
/// It is a folder, or nothing can be written beside it.
pub fn check_replaceable(path: &Path) -> io::Result<()> {
    match destination(path)? {
        Destination::Special => Ok(()),
        Destination::File(path, _) => beside(&path).map(drop),
    }
}

fn destination(path: &Path) -> io::Result<Destination> {
    match fs::metadata(path) {
        Ok(known) if known.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(known) if !known.is_file() => Ok(Destination::Special),
        // Where a link leads, so that the link stays.
        Ok(known) => Ok(Destination::File(fs::canonicalize(path)?, Some(known.permissions()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Destination::File(path.to_owned(), None)),
        Err(error) => Err(error),
    }
}

/// A new file in the same folder, which disappears unless it takes the place of the other.
fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let permissions = Permissions::from_mode(EVERYBODY);
    tempfile::Builder::new().prefix(".tokio-canary-").permissions(permissions).tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.xml");
        fs::write(&path, "old").unwrap();
        check_replaceable(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old", "until there is a new one");
        let mut reader = fs::File::open(&path).unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(io::read_to_string(&mut reader).unwrap(), "old", "whoever reads the old one keeps it");
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(names(folder.path()), ["report.xml"], "nothing is left beside it");
    }

    #[test]
    fn a_file_that_is_replaced_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.xml");
        for mode in [0o600, 0o664, 0o640] {
            fs::write(&path, "old").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            replace(&path, b"new").unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode, "{mode:o}");
        }
    }

    #[test]
    fn what_was_there_stays_if_writing_fails() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.xml");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), "old").unwrap();
        assert!(replace(&path, b"new").is_err());
        assert_eq!(fs::read_to_string(path.join("inside")).unwrap(), "old");
        assert_eq!(names(folder.path()), ["report.xml"], "nothing is left beside it");
    }

    #[test]
    fn what_cannot_be_written_is_known_before() {
        let folder = tempfile::tempdir().unwrap();
        assert!(check_replaceable(folder.path()).is_err());
        assert!(check_replaceable(&folder.path().join("no/such/report.xml")).is_err());
        check_replaceable(Path::new("/dev/null")).unwrap();
        replace(Path::new("/dev/null"), b"new").unwrap();
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        replace(&link, b"new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
}
