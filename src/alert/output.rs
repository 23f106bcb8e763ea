//! An output as the user asks for it: a format, and where it goes.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One sentence a line, for people and logs.
    Text,
    /// One JSON object a line (schema `tokio-canary.events/v1`), for programs.
    Ndjson,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 2] = [Self::Text, Self::Ndjson];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Ndjson => "ndjson",
        }
    }
}

/// A format, and the file it goes to; standard output if there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How events are written.
    pub format: Format,
    /// The file, which is appended to.
    pub path: Option<PathBuf>,
}

impl Default for Output {
    fn default() -> Self {
        Self { format: Format::Text, path: None }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.format.as_str())?;
        self.path.as_ref().map_or(Ok(()), |path| write!(f, "={}", path.display()))
    }
}

/// A text that is not an output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseOutputError {
    /// There is no such format.
    #[error(
        "there is no format `{0}`; write `text`, `ndjson`, or one of them with a file, like `ndjson=events.ndjson`"
    )]
    Format(String),
    /// The file is missing.
    #[error("the file after `{0}=` is missing; write it like `{0}=FILE`, or `{0}` alone for standard output")]
    Path(&'static str),
}

impl FromStr for Output {
    type Err = ParseOutputError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, path) = text.split_once('=').map_or((text, None), |(name, path)| (name, Some(path)));
        let format = Format::ALL.into_iter().find(|format| format.as_str() == name);
        let format = format.ok_or_else(|| ParseOutputError::Format(name.escape_debug().to_string()))?;
        if path.is_some_and(str::is_empty) {
            return Err(ParseOutputError::Path(format.as_str()));
        }
        Ok(Self { format, path: path.map(PathBuf::from) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_a_format_and_perhaps_a_file() {
        for (text, format, path) in [
            ("text", Format::Text, None),
            ("ndjson=events.ndjson", Format::Ndjson, Some("events.ndjson")),
            ("text=a=b", Format::Text, Some("a=b")),
        ] {
            let output = Output { format, path: path.map(PathBuf::from) };
            assert_eq!((text.parse(), output.to_string()), (Ok(output), text.to_owned()));
        }
        for (wrong, says) in [("json", "no format `json`"), ("ndjson=", "`ndjson=FILE`"), ("", "no format ``")] {
            let error = wrong.parse::<Output>().unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
