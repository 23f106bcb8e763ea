//! The files of the configuration: where they are, and how they get read.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use etcetera::BaseStrategy;

use super::document::{self, Rights};
use super::fault::Fault;
use super::layer::Layer;
use super::origin::Origin;

/// The name of the file that counts where it lies in the current folder.
pub const LOCAL_FILE: &str = "tokio-canary.toml";

/// The largest file that is read, in bytes: a checkout may hold anything under this name, a link to an endless device included.
const MOST_BYTES: u64 = 1024 * 1024;

/// The user's own file, whether it exists or not: below `$XDG_CONFIG_HOME`, `~/.config`, or the folder that Windows has for this.
pub(super) fn users_own() -> Option<PathBuf> {
    let folders = etcetera::choose_base_strategy().ok()?;
    Some(folders.config_dir().join("tokio-canary").join("config.toml"))
}

/// A file that is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Where.
    pub(super) path: PathBuf,
    /// What it may say.
    pub(super) rights: Rights,
    /// Whether it has to be there.
    pub(super) is_required: bool,
}

/// The files that are looked for, from weakest to strongest: one that the user names replaces their own, and nothing but that is read in
/// isolation.
pub(super) fn candidates(
    named: Option<PathBuf>,
    own: Option<PathBuf>,
    local: PathBuf,
    isolated: bool,
) -> Vec<Candidate> {
    // Whoever names the file of the checkout trusts it.
    let is_local_named = named.as_ref().is_some_and(|named| is_same(named, &local));
    let own = own.filter(|_| !isolated && named.is_none());
    let local = Some(local).filter(|_| !isolated && !is_local_named);
    let candidate = |rights, is_required| move |path| Candidate { path, rights, is_required };
    let (own, local) = (own.map(candidate(Rights::All, false)), local.map(candidate(Rights::Thresholds, false)));
    own.into_iter().chain(local).chain(named.map(candidate(Rights::All, true))).collect()
}

/// Reads a file that has to be there.
pub(super) fn read(path: &Path, rights: Rights, faults: &mut Vec<Fault>) -> Layer {
    let shown: Arc<str> = path.display().to_string().into();
    match content(path, rights) {
        Ok(content) => {
            let (layer, wrong) = document::read(&content, &shown, rights);
            faults.extend(wrong);
            layer
        }
        Err(error) => {
            faults.push(Fault::new(Origin::File { path: shown, line: None }, format!("cannot be read: {error}")));
            Layer::default()
        }
    }
}

/// Whether there is anything of this name. What cannot be looked at counts, so that reading it says why.
pub(super) fn exists(path: &Path) -> bool {
    !matches!(fs::metadata(path), Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory))
}

/// Whether two names are those of one file.
fn is_same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// The text of a file that the user names.
///
/// # Errors
/// It cannot be read, or is no text.
pub(super) fn content_of(path: &Path) -> io::Result<String> {
    content(path, Rights::All)
}

fn content(path: &Path, rights: Rights) -> io::Result<String> {
    // A pipe that nobody writes to would hold up the start for ever. One that the user names is theirs.
    if rights == Rights::Thresholds && !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8"))
}
