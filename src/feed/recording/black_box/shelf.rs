//! The folder of the recordings: their names, and how the oldest make room for new ones. Nothing else in it is ever touched.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::feed::recording::note::Note;

/// How every name begins and ends.
const PREFIX: &str = "canary-";
const SUFFIX: &str = ".mcap";
/// What is added while it is being written.
const PARTIAL: &str = ".partial";
/// The note by which our recordings are told from others.
pub(super) const NOTE: &str = "tokio-canary.black-box";
/// Most characters of a part of a name. Of a longer one the end is kept, which tells hosts and files apart.
const LONGEST_PART: usize = 48;
/// What is not finished and was not written to for so long is left over from a run that was killed.
const LEFT_OVER: Duration = Duration::from_secs(60 * 60);

/// A folder in which recordings are kept, as far as they fit.
#[derive(Debug, Clone)]
pub struct Shelf {
    folder: PathBuf,
    space: u64,
}

/// One of our recordings.
struct Kept {
    /// Without the ending of one that is not finished: begins with its time.
    name: String,
    path: PathBuf,
    bytes: u64,
}

impl Shelf {
    /// A folder with room for so many bytes of recordings. Its path is made absolute: whoever reads an alert is elsewhere.
    pub fn new(folder: &Path, space: u64) -> Self {
        Self { folder: std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()), space }
    }

    /// Makes sure that there is such a folder, and that it can be written to.
    ///
    /// # Errors
    /// What the system says.
    pub fn prepare(&self) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        tempfile::Builder::new().prefix("canary-probe-").tempfile_in(&self.folder)?.close()
    }

    /// A path for a recording: when it begins to be written, of which target, and why. Names sort by their times, and those of
    /// different processes differ.
    pub fn path(&self, at: SystemTime, target: &str, detector: &str) -> PathBuf {
        let (target, process) = (part(target), std::process::id());
        self.folder.join(format!("{PREFIX}{}-{target}-{}-{process}{SUFFIX}", stamp(at), part(detector)))
    }

    /// A path for a recording that a person asks for. It is not one of ours: nobody deletes it.
    pub fn saved(&self, at: SystemTime, target: &str) -> PathBuf {
        self.folder.join(format!("saved-{}-{}{SUFFIX}", stamp(at), part(target)))
    }

    /// Deletes our oldest recordings until the others fit. The one named stays, also if it is larger by itself.
    pub(super) fn make_room(&self, newest: Option<&Path>) {
        let Ok(mut kept) = self.kept() else { return };
        kept.sort_by(|one, other| other.name.cmp(&one.name));
        let mut total = newest.and_then(|path| fs::metadata(path).ok()).map_or(0, |it| it.len());
        for recording in kept.into_iter().filter(|it| Some(&*it.path) != newest && is_ours(&it.path)) {
            total += recording.bytes;
            if total > self.space {
                // Another process may have been faster.
                let _ = fs::remove_file(&recording.path);
            }
        }
    }

    /// What looks like a recording of ours and is not being written.
    fn kept(&self) -> io::Result<Vec<Kept>> {
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.folder)?.filter_map(Result::ok) {
            let (Ok(name), Ok(metadata)) = (entry.file_name().into_string(), entry.metadata()) else { continue };
            let finished = name.strip_suffix(PARTIAL).unwrap_or(&name);
            let is_left_over = || metadata.modified().ok().and_then(|it| it.elapsed().ok()) > Some(LEFT_OVER);
            let is_over = finished.len() == name.len() || is_left_over();
            if metadata.is_file() && is_over && has_our_form(finished) {
                kept.push(Kept { name: finished.to_owned(), path: entry.path(), bytes: metadata.len() });
            }
        }
        Ok(kept)
    }
}

/// The path of a recording while it is being written.
pub(super) fn partial(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or(OsStr::new("canary")).to_owned();
    name.push(PARTIAL);
    path.with_file_name(name)
}

/// Creates a file that nobody else can read: names and places of a service are its own business.
pub(super) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Gives a recording that is complete its name, which no other has.
pub(super) fn publish(from: &Path, to: &Path) -> io::Result<()> {
    if to.try_exists()? {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    fs::rename(from, to)?;
    // The name is on the disk once its folder is.
    to.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// A name is not enough to delete a file by.
fn is_ours(path: &Path) -> bool {
    Note::read(path, NOTE).is_ok_and(|note| note.is_some())
}

/// `canary-20261127T001530.123Z-TARGET-DETECTOR-PROCESS.mcap`.
fn has_our_form(name: &str) -> bool {
    let inner = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
    let time = inner.and_then(|inner| inner.split('-').next()).unwrap_or_default();
    let is_digit = |at: usize| time.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
    time.len() == 20
        && time.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b'T',
            15 => byte == b'.',
            19 => byte == b'Z',
            _ => is_digit(at),
        })
}

/// A time in UTC without what a file name should not have.
fn stamp(at: SystemTime) -> String {
    let at = if at < UNIX_EPOCH { UNIX_EPOCH } else { at };
    humantime::format_rfc3339_millis(at).to_string().replace(['-', ':'], "")
}

/// A text as a part of a file name: letters, digits, dots and underscores.
fn part(text: &str) -> String {
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    let plain = |char: char| if char.is_ascii_alphanumeric() || ".-".contains(char) { char } else { '_' };
    let plain: Vec<char> = text.chars().map(plain).collect();
    let end: String = plain[plain.len().saturating_sub(LONGEST_PART)..].iter().collect();
    let end = end.trim_matches(['.', '_', '-']);
    if end.is_empty() { "target".to_owned() } else { end.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::feed::recording::{Kept as Recorded, save};

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn recorded(path: &Path, note: &str) {
        let note = Note { name: note.to_owned(), ..Note::default() };
        save(path, &Recorded { target: "a", events: &[], note }).unwrap();
    }

    #[test]
    fn a_name_is_made_of_harmless_characters_and_says_when_what_and_why() {
        let shelf = Shelf::new(Path::new("d"), 0);
        let name = |target| {
            let path = shelf.path(at(1_000_000_000), target, "deadlock");
            path.file_name().unwrap().to_str().unwrap().to_owned()
        };
        let process = std::process::id();
        for (target, expected) in [
            ("http://127.0.0.1:6669", "127.0.0.1_6669"),
            ("unix:/run/orders/console", "unix__run_orders_console"),
            ("../../etc/passwd", "etc_passwd"),
            ("a\u{1b}[2J\n\u{202e}b", "a__2J__b"),
            ("...", "target"),
            ("", "target"),
        ] {
            let expected = format!("canary-20010909T014640.000Z-{expected}-deadlock-{process}.mcap");
            assert_eq!(name(target), expected, "{target:?}");
            assert!(has_our_form(&expected));
        }
        assert!(name(&"x".repeat(5_000)).len() < 128);
    }

    #[test]
    fn only_the_oldest_of_our_own_recordings_make_room() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = |space| Shelf::new(folder.path(), space);
        let ours: Vec<PathBuf> = (0..5).map(|n| shelf(0).path(at(n), "a", "deadlock")).collect();
        ours.iter().for_each(|path| recorded(path, NOTE));
        let size = fs::metadata(&ours[0]).unwrap().len();
        // Of others: without our note, with another name, no recordings, a folder, a link to one of ours, and what is being written now.
        let others: Vec<PathBuf> =
            ["canary-20010909T014640.000Z-user.mcap", "mine.mcap", "canary-20010909T014640.000Z-b.mcap"]
                .map(|name| folder.path().join(name))
                .to_vec();
        recorded(&others[0], "somebody's");
        recorded(&others[1], NOTE);
        fs::write(&others[2], "not a recording").unwrap();
        let inner = folder.path().join("canary-20010909T014640.000Z-c.mcap");
        fs::create_dir(&inner).unwrap();
        let writing = partial(&shelf(0).path(at(0), "b", "deadlock"));
        recorded(&writing, NOTE);

        shelf(u64::MAX).make_room(None);
        assert!(ours.iter().all(|path| path.exists()));
        shelf(3 * size + size / 2).make_room(Some(&ours[4]));
        assert_eq!(ours.iter().map(|path| path.exists()).collect::<Vec<_>>(), [false, false, true, true, true]);
        shelf(0).make_room(Some(&ours[2]));
        assert_eq!(ours.iter().map(|path| path.exists()).collect::<Vec<_>>(), [false, false, true, false, false]);
        assert!(others.iter().chain([&inner, &writing]).all(|path| path.exists()));
    }

    #[test]
    fn nobody_else_can_read_a_recording_and_none_takes_the_place_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        drop(create(&path).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(create(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        let other = folder.path().join("b");
        fs::write(&other, "b").unwrap();
        assert_eq!(publish(&path, &other).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        fs::remove_file(&other).unwrap();
        publish(&path, &other).unwrap();
        assert!(other.exists() && !path.exists());
    }

    #[test]
    fn a_folder_is_made_if_there_is_none_and_nothing_is_left_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        Shelf::new(&inner, 0).prepare().unwrap();
        assert_eq!(fs::read_dir(&inner).unwrap().count(), 0);
        // What a run with the same process id has left behind, as in a container, is in nobody's way.
        let left = inner.join(format!("canary-probe-{}.partial", std::process::id()));
        fs::write(left, "").unwrap();
        Shelf::new(&inner, 0).prepare().unwrap();
        assert_eq!(fs::read_dir(&inner).unwrap().count(), 1);
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(Shelf::new(&folder.path().join("file/c"), 0).prepare().is_err());
    }
}
