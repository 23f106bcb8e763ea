//! Where a secret is. Its value is never part of the configuration, so nothing that prints one can print it.

use std::env;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

/// The largest secret, in bytes.
const MOST_BYTES: u64 = 64 * 1024;

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// In a file, without the line break at its end. It is read whenever it is needed, so it may be replaced.
    File(PathBuf),
    /// In a variable of the environment.
    Variable(String),
}

impl Secret {
    /// Reads it.
    ///
    /// # Errors
    /// A sentence that says where it should be.
    pub fn read(&self) -> Result<String, String> {
        let read = match self {
            Self::File(path) => File::open(path).and_then(|file| {
                let mut text = String::new();
                file.take(MOST_BYTES).read_to_string(&mut text)?;
                Ok(text)
            }),
            Self::Variable(name) => env::var(name).map_err(io::Error::other),
        };
        match read.map(|text| text.trim_end_matches(['\r', '\n']).to_owned()) {
            Ok(text) if text.is_empty() => Err(format!("{self} is empty")),
            Ok(text) => Ok(text),
            // The error of a variable that is not UTF-8 shows its value.
            Err(_) if matches!(self, Self::Variable(_)) => Err(format!("{self} is not set, or not UTF-8")),
            Err(error) => Err(format!("{self} cannot be read: {error}")),
        }
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Variable(name) => write!(f, "the variable {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_ends_before_its_line_break_and_is_not_in_any_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).expect("it can be written");
            Secret::File(path.clone()).read()
        };
        assert_eq!(read(b"hunter2\r\n"), Ok("hunter2".to_owned()));
        assert!(read(b"\n").is_err_and(|error| error.ends_with("is empty")));
        assert!(read(b"hunter2\xff").is_err_and(|error| !error.contains("hunter2")));
        assert!(Secret::File(folder.path().join("none")).read().is_err_and(|error| error.contains("cannot be read")));
        let missing = Secret::Variable("TOKIO_CANARY_NO_SUCH_SECRET".to_owned());
        assert!(missing.read().is_err_and(|error| error.contains("TOKIO_CANARY_NO_SUCH_SECRET is not set")));
    }
}
