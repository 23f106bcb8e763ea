//! Where a document goes: a file is replaced in one step, so that its reader finds the old one or the new one.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::alert::stream::Stream;

/// What a new file may be used for, before the process's own mask.
const EVERYBODY: u32 = 0o666;

/// Where a document goes.
#[derive(Debug)]
pub(super) enum Place {
    /// To whoever reads this.
    Stream(Stream),
    /// To a file that is replaced.
    File(PathBuf),
    /// To something in the file system that is no file, such as a pipe: it is written as it is.
    Special(PathBuf),
}

impl Place {
    /// A path, if a file can be written there: what would fail at the end of a run fails at its beginning.
    ///
    /// # Errors
    /// It is a folder, or nothing can be written beside it.
    pub(super) fn file(path: PathBuf) -> io::Result<Self> {
        match fs::metadata(&path) {
            Ok(known) if known.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(known) if !known.is_file() => return Ok(Self::Special(path)),
            // Where a link leads, so that the link stays.
            Ok(_) => return Self::File(fs::canonicalize(path)?).probed(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Self::File(path).probed()
    }

    fn probed(self) -> io::Result<Self> {
        if let Self::File(path) = &self {
            beside(path)?;
        }
        Ok(self)
    }

    /// Writes a document.
    ///
    /// # Errors
    /// It cannot be written; what was there before stays.
    pub(super) fn write(&mut self, text: &str) -> io::Result<()> {
        match self {
            Self::Stream(stream) => stream.write_all(text.as_bytes()),
            Self::Special(path) => OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes()),
            Self::File(path) => {
                let mut file = beside(path)?;
                file.write_all(text.as_bytes())?;
                file.as_file().sync_all()?;
                file.persist(path).map(drop).map_err(|error| error.error)
            }
        }
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
        let mut place = Place::file(path.clone()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old", "until there is a new one");
        let mut reader = fs::File::open(&path).unwrap();
        place.write("new").unwrap();
        assert_eq!(io::read_to_string(&mut reader).unwrap(), "old", "whoever reads the old one keeps it");
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(names(folder.path()), ["report.xml"], "nothing is left beside it");
    }

    #[test]
    fn an_old_file_stays_if_writing_fails() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.xml");
        fs::write(&path, "old").unwrap();
        let mut place = Place::file(path.clone()).unwrap();
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), "old").unwrap();
        assert!(place.write("new").is_err());
        assert_eq!(fs::read_to_string(path.join("inside")).unwrap(), "old");
        assert_eq!(names(folder.path()), ["report.xml"], "nothing is left beside it");
    }

    #[test]
    fn what_cannot_be_written_is_known_at_the_beginning() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Place::file(folder.path().to_owned()).is_err());
        assert!(Place::file(folder.path().join("no/such/report.xml")).is_err());
        assert!(matches!(Place::file("/dev/null".into()), Ok(Place::Special(_))), "it is no file to be replaced");
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        Place::file(link.clone()).unwrap().write("new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
}
